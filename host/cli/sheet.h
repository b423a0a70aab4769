/* sheet.h - contact sheets of a run: --sheet, one PNG with all its pictures, and --html, one page that needs nothing
 * else. Pictures are collected while they are drawn (drawing.c) and written in the order of their indices at the
 * end. */
#ifndef CLI_SHEET_H
#define CLI_SHEET_H

#include <stdbool.h>

#include "args.h"

enum { CLI_SHEET_MOST = 400 }; /* pictures */

/* A picture as a sheet keeps it. */
typedef struct cli_frame {
    uint8_t *rgb; /* side * side pixels, averaged down when it was drawn larger */
    int side, drawn_side;
    size_t index, prompt_index;
    uint64_t seed;
    bool on_path, has_components; /* theta and cosine mean something; components does */
    double theta, cosine;
    int components;
    double seconds[UNCLIP_STAGE_COUNT];
    char *prompt;   /* "" for none */
    char *settings; /* indented JSON */
} cli_frame;

typedef struct cli_sheet {
    const char *png, *html; /* paths, NULL for none */
    const char *command;    /* "interp" */
    cli_frame *frames;
    size_t count, planned;
} cli_sheet;

/* Which sheets the flags ask for. Refuses paths that cannot be written and more than CLI_SHEET_MOST pictures. */
int cli_sheet_begin(cli_sheet *sheet, const cli_args *args, size_t pictures, cli_error *err);
int cli_sheet_add(cli_sheet *sheet, const unclip_image *image, cli_error *err);

/* Writes the sheets, each whole or not at all. */
int cli_sheet_finish(cli_sheet *sheet, cli_error *err);
void cli_sheet_free(cli_sheet *sheet);

/* ---- the parts --------------------------------------------------------------------------------------------------- */

/* What stands under a picture: line 0 or 1; "" when there is nothing to say. */
void cli_frame_label(const cli_sheet *sheet, const cli_frame *frame, int line, char *out, size_t size);

/* The prompt that all frames share, else the subcommand's name. */
const char *cli_sheet_title(const cli_sheet *sheet);

/* Columns of n pictures: near a square, without a gap at the end when a little wider has none; up to 6 in one row. */
size_t cli_sheet_columns(size_t n);

/* A square of `from` pixels a side to one of `to` by exact area means; larger is by repetition where it divides. */
void cli_resize_square(const uint8_t *rgb, int from, uint8_t *out, int to);

/* *image owns nothing: its rgb is to be freed. false when memory ran out. */
bool cli_sheet_grid(const cli_sheet *sheet, unclip_image *image);

/* The page, zero-terminated, to be freed; NULL when memory ran out. */
char *cli_sheet_page(const cli_sheet *sheet, size_t *size);

#endif

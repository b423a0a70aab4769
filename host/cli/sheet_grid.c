/* sheet_grid.c - the pictures of a run side by side in one, with labels: what --sheet writes. */
#include <stdlib.h>
#include <string.h>

#include "font.h"
#include "sheet.h"

enum { GAP = 12, LARGEST_CELL = 256, SMALLEST_CELL = 128, WIDEST = 4096, PAPER = 250, INK = 40, FAINT = 120 };

typedef struct canvas {
    uint8_t *rgb;
    int width, height;
} canvas;

/* Sizes in pixels: cells, text as a multiple of the font, and the room for it. */
typedef struct layout {
    int columns, rows, cell, zoom, lines, label, title;
} layout;

static int line_height(int zoom) { return (CLI_FONT_HEIGHT + 2) * zoom; }

static bool any_second_line(const cli_sheet *sheet) {
    char text[8];
    for (size_t i = 0; i < sheet->count; i++) {
        cli_frame_label(sheet, &sheet->frames[i], 1, text, sizeof text);
        if (text[0]) return true;
    }
    return false;
}

static layout lay_out(const cli_sheet *sheet) {
    layout l = { .columns = (int)cli_sheet_columns(sheet->count) };
    l.rows = ((int)sheet->count + l.columns - 1) / l.columns;
    const int side = sheet->frames[0].side, most = (WIDEST - GAP) / l.columns - GAP;
    l.cell = side < SMALLEST_CELL ? side * (SMALLEST_CELL / side) : side;
    if (l.cell > LARGEST_CELL) l.cell = LARGEST_CELL;
    if (l.cell > most) l.cell = most;
    l.zoom = l.cell >= 200 ? 2 : 1;
    l.lines = any_second_line(sheet) ? 2 : 1;
    l.label = l.lines * line_height(l.zoom) + 2 * l.zoom;
    l.title = line_height(l.zoom) + GAP;
    return l;
}

/* One line of text, cut with three dots where it would pass `width` pixels. Bytes of UTF-8 after the first of a
 * character take no room. */
static void write_text(canvas *c, int left, int top, int width, int zoom, uint8_t ink, const char *text) {
    const int room = width / (CLI_FONT_WIDTH * zoom);
    int letters = 0, at = 0;
    for (const char *t = text; *t; t++) letters += (*t & 0xC0) != 0x80;
    for (const char *t = text; *t && at < room; t++) {
        if ((*t & 0xC0) == 0x80) continue;
        const bool cut = letters > room && at >= room - 3;
        const unsigned char character = cut ? '.' : (unsigned char)*t;
        for (int y = 0; y < CLI_FONT_HEIGHT * zoom; y++)
            for (int x = 0; x < CLI_FONT_WIDTH * zoom; x++) {
                const int px = left + at * CLI_FONT_WIDTH * zoom + x, py = top + y;
                if (!cli_font_dot(character, x / zoom, y / zoom) || px >= c->width || py >= c->height) continue;
                memset(c->rgb + 3 * ((size_t)py * (size_t)c->width + (size_t)px), ink, 3);
            }
        at++;
    }
}

static void put_picture(canvas *c, int left, int top, const cli_frame *frame, int cell, uint8_t *scratch) {
    cli_resize_square(frame->rgb, frame->side, scratch, cell);
    for (int y = 0; y < cell; y++)
        memcpy(c->rgb + 3 * ((size_t)(top + y) * (size_t)c->width + (size_t)left),
               scratch + 3 * (size_t)y * (size_t)cell, 3 * (size_t)cell);
}

bool cli_sheet_grid(const cli_sheet *sheet, unclip_image *image) {
    const layout l = lay_out(sheet);
    canvas c = { .width = GAP + l.columns * (l.cell + GAP),
                 .height = l.title + GAP + l.rows * (l.cell + l.label + GAP) };
    const size_t bytes = 3 * (size_t)c.width * (size_t)c.height;
    uint8_t *scratch = malloc(3 * (size_t)l.cell * (size_t)l.cell);
    c.rgb = malloc(bytes);
    if (!c.rgb || !scratch) {
        free(c.rgb);
        free(scratch);
        return false;
    }
    memset(c.rgb, PAPER, bytes);
    write_text(&c, GAP, GAP, c.width - 2 * GAP, l.zoom, INK, cli_sheet_title(sheet));
    for (size_t i = 0; i < sheet->count; i++) {
        const int left = GAP + (int)i % l.columns * (l.cell + GAP);
        const int top = l.title + GAP + (int)i / l.columns * (l.cell + l.label + GAP);
        put_picture(&c, left, top, &sheet->frames[i], l.cell, scratch);
        for (int line = 0; line < l.lines; line++) {
            char text[512];
            cli_frame_label(sheet, &sheet->frames[i], line, text, sizeof text);
            write_text(&c, left, top + l.cell + 3 * l.zoom + line * line_height(l.zoom), l.cell, l.zoom,
                       line ? FAINT : INK, text);
        }
    }
    free(scratch);
    *image = (unclip_image){ .struct_size = sizeof *image, .width = c.width, .height = c.height, .rgb = c.rgb };
    return true;
}

/* output.h - where pictures go: the last arrow. Names never come from prompts. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "exit.h"

typedef struct cli_output {
    bool to_stdout;
    char *path;   /* of the only picture; NULL when they are numbered */
    char *prefix; /* of numbered ones: prefix, index, ".png" */
    size_t count;
} cli_output;

/* Decides the names; reads the file system only to see whether `path` is a folder.
 * path: as given, NULL for the default. The default is out.png, or standard output when that is a pipe and there is one
 * picture. */
int cli_output_plan(cli_output *output, const char *path, size_t count, bool stdout_is_pipe, cli_error *err);
void cli_output_free(cli_output *output);

/* The path of picture `index`, to be freed; NULL when out of memory. */
char *cli_output_name(const cli_output *output, size_t index);

/* Before any work: can the pictures be written? Leaves nothing behind. */
int cli_output_check(const cli_output *output, cli_error *err);

/* The same for one path. */
int cli_check_writable(const char *path, cli_error *err);

/* A whole file or none. Pipes and devices, which cannot be replaced, are written straight. */
int cli_write_image(const unclip_image *image, const char *path, cli_error *err);
int cli_write_image_to_stdout(const unclip_image *image, cli_error *err);

#endif

/* drawing.h - what every subcommand that draws does alike: files are tried before any work, progress and previews are
 * shown meanwhile, each picture is written as it comes, and the end is said. Between the library's calls and the last
 * arrow.
 *
 *     cli_drawing d = { .args = args, .log = log, .err = err };
 *     code = cli_drawing_begin(&d, images, err);            // before the model is opened
 *     options.on_progress = cli_drawing_progress; options.on_image = cli_drawing_image; options.user = &d;
 *     status = unclip_...(engine, &options, &error);
 *     code = cli_drawing_end(&d, status, &error, err);
 *     cli_drawing_free(&d);                                  // always */
#ifndef CLI_DRAWING_H
#define CLI_DRAWING_H

#include "output.h"
#include "progress.h"
#include "sheet.h"

typedef struct cli_drawing {
    const cli_args *args;
    cli_log *log;
    cli_error *err; /* of a callback that stopped the run; code 0 while none did */
    cli_output output;
    cli_progress progress;
    cli_sheet sheet;
    bool preview_failed, warned;
    double began;
} cli_drawing;

/* Plans the names of `images` pictures by --output and refuses what cannot be written, previews included. */
int cli_drawing_begin(cli_drawing *drawing, size_t images, cli_error *err);

/* unclip_progress_fn and unclip_image_fn over a cli_drawing. */
int cli_drawing_progress(void *drawing, const unclip_progress *report);
int cli_drawing_image(void *drawing, const unclip_image *image);

/* Writes the contact sheets, and gives the exit code of a library call that drew: a signal or a callback's own failure
 * comes before the status. */
int cli_drawing_end(cli_drawing *drawing, unclip_status status, const unclip_error *error, cli_error *err);
void cli_drawing_free(cli_drawing *drawing);

#endif

/* progress.h - how far a run is: a bar per stage on a terminal, one line per finished stage otherwise. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stddef.h>

#include "log.h"

typedef struct cli_progress {
    cli_log *log;
    size_t total_images;                      /* of the whole run */
    double began;                             /* when the running stage did */
    double stage_seconds[UNCLIP_STAGE_COUNT]; /* summed over launches */
} cli_progress;

void cli_progress_init(cli_progress *progress, cli_log *log, size_t total_images);

/* To be called with each of the library's reports. */
void cli_progress_show(cli_progress *progress, const unclip_progress *report);

/* "decoder  [=====>    ] 12/25  3.4 it/s  ETA 0:04  images 1-4 of 8": at most columns wide, the bar takes what is left.
 */
void cli_progress_bar(char *out, size_t size, const unclip_progress *report, double seconds, size_t total_images,
                      size_t columns);

/* "decoder: 25 steps in 7.35 s (3.40 it/s), images 1-4 of 8" */
void cli_progress_line(char *out, size_t size, const unclip_progress *report, double seconds, size_t total_images);

/* Seconds of a clock that never goes back. */
double cli_clock(void);

#endif

/* log.h - what the program says while it works, on standard error: lines, JSON lines, or a bar that rewrites itself. */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "args.h"

/* CLI_NOTICE is what even -q does not silence, short of an error: the seed. */
typedef enum cli_level { CLI_DEBUG, CLI_INFO, CLI_WARNING, CLI_NOTICE, CLI_ERROR } cli_level;

typedef struct cli_log {
    FILE *stream;
    cli_level least; /* what is below it is not said */
    bool json;
    bool terminal;  /* a bar may be drawn */
    bool bar_drawn; /* the cursor stands behind a bar, which the next line has to erase */
} cli_log;

/* As -v, -q and --log-json say; args may be NULL when they could not be read. */
void cli_log_init(cli_log *log, FILE *stream, const cli_args *args);

void cli_say(cli_log *log, cli_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* unclip_log_fn over a cli_log. */
void cli_log_library(void *log, unclip_log_level level, const char *message);

#endif

/* exit.h - how the program ends: one message and one exit code of sysexits.h, the contract of scripts and job arrays.
 *
 * See README.md in this folder for the table. A command that fails fills a cli_error and returns its code; main prints
 * the message once. */
#ifndef CLI_EXIT_H
#define CLI_EXIT_H

#include "../../engine/unclip.h"

enum {
    CLI_OK = 0,
    CLI_USAGE = 64,    /* the command line is wrong; asking again will not help */
    CLI_DATA = 65,     /* a prompt, a picture or a model file is malformed */
    CLI_NO_INPUT = 66, /* a model or an input file is not there */
    CLI_NO_DEVICE = 69,
    CLI_INTERNAL = 70, /* a bug */
    CLI_CANT_WRITE = 73,
    CLI_TRY_AGAIN = 75, /* out of memory, device lost, disk full: the same command may work later */
    CLI_INTERRUPTED = 130,
    CLI_TERMINATED = 143
};

typedef struct cli_error {
    int code;
    char message[1200];
} cli_error;

/* Fills *err and returns code, so that `return cli_fail(...)` reads naturally. */
int cli_fail(cli_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As cli_fail, for a file that could not be written: disk full and quota are CLI_TRY_AGAIN, the rest CLI_CANT_WRITE. */
int cli_fail_write(cli_error *err, const char *path, int error_number);

/* Takes over the library's answer. */
int cli_fail_status(cli_error *err, unclip_status status, const unclip_error *from);

/* The exit code of a status; UNCLIP_ERR_CANCELLED is CLI_INTERRUPTED. */
int cli_exit_code(unclip_status status);

#endif

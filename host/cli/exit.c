/* exit.c - the end of every failing run: the library's status becomes an exit code. */
#include "exit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

int cli_fail(cli_error *err, int code, const char *format, ...) {
    va_list values;
    va_start(values, format);
    err->code = code;
    vsnprintf(err->message, sizeof err->message, format, values);
    va_end(values);
    return code;
}

int cli_fail_write(cli_error *err, const char *path, int error_number) {
    bool full = error_number == ENOSPC || error_number == EDQUOT;
    return cli_fail(err, full ? CLI_TRY_AGAIN : CLI_CANT_WRITE, "%s: cannot write: %s", path, strerror(error_number));
}

int cli_exit_code(unclip_status status) {
    switch (status) {
    case UNCLIP_OK: return CLI_OK;
    case UNCLIP_ERR_ARGUMENT:
    case UNCLIP_ERR_UNSUPPORTED: return CLI_USAGE;
    case UNCLIP_ERR_UTF8:
    case UNCLIP_ERR_IMAGE:
    case UNCLIP_ERR_MODEL_DATA:
    /* The weights and the prompt decide the numbers: the same job gives the same NaN on every machine. */
    case UNCLIP_ERR_NOT_FINITE: return CLI_DATA;
    case UNCLIP_ERR_MODEL_MISSING: return CLI_NO_INPUT;
    case UNCLIP_ERR_NO_DEVICE: return CLI_NO_DEVICE;
    case UNCLIP_ERR_WRITE: return CLI_CANT_WRITE;
    case UNCLIP_ERR_MEMORY:
    case UNCLIP_ERR_DEVICE: return CLI_TRY_AGAIN;
    case UNCLIP_ERR_CANCELLED: return CLI_INTERRUPTED;
    case UNCLIP_ERR_INTERNAL: return CLI_INTERNAL;
    }
    return CLI_INTERNAL;
}

int cli_fail_status(cli_error *err, unclip_status status, const unclip_error *from) {
    const char *message = from->message[0] ? from->message : unclip_status_name(status);
    return cli_fail(err, cli_exit_code(status), "%s", message);
}

/* error.h - every failure is one message in the caller's unclip_error and a pinned status. */
#ifndef UC_CORE_ERROR_H
#define UC_CORE_ERROR_H

#include "../unclip.h"

/* Fills *err (which may be NULL) and returns status, so that `return uc_fail(...)` reads naturally. The message names
 * the thing, what it is and what was expected; a message longer than the buffer is cut at a UTF-8 boundary. */
unclip_status uc_fail(unclip_error *err, unclip_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prepends "prefix: " to the message of an error on its way up, e.g. the file that a parser does not know. */
unclip_status uc_fail_prefix(unclip_error *err, unclip_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The usual answer to a NULL from malloc. */
unclip_status uc_fail_memory(unclip_error *err, size_t bytes, const char *what);

#endif

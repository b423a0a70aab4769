/* error.c - see error.h. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* vsnprintf cuts anywhere; step back to where a character begins. */
static void cut_at_character(char *text, size_t capacity) {
    size_t n = strnlen(text, capacity);
    if (n + 1 < capacity) return;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80) n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xC0) n--;
    text[n] = 0;
}

unclip_status uc_fail(unclip_error *err, unclip_status status, const char *format, ...) {
    if (!err) return status;
    err->status = status;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    cut_at_character(err->message, sizeof err->message);
    return status;
}

unclip_status uc_fail_prefix(unclip_error *err, unclip_status status, const char *format, ...) {
    if (!err) return status;
    const unclip_error inner = *err;
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    const size_t used = strlen(err->message), room = sizeof err->message - used - 1;
    strncat(err->message, ": ", room);
    if (room > 2) strncat(err->message, inner.message, room - 2);
    cut_at_character(err->message, sizeof err->message);
    return err->status = status;
}

unclip_status uc_fail_memory(unclip_error *err, size_t bytes, const char *what) {
    return uc_fail(err, UNCLIP_ERR_MEMORY, "%s: out of memory for %zu bytes", what, bytes);
}

const char *unclip_status_name(unclip_status status) {
    switch (status) {
    case UNCLIP_OK: return "UNCLIP_OK";
    case UNCLIP_ERR_ARGUMENT: return "UNCLIP_ERR_ARGUMENT";
    case UNCLIP_ERR_UTF8: return "UNCLIP_ERR_UTF8";
    case UNCLIP_ERR_UNSUPPORTED: return "UNCLIP_ERR_UNSUPPORTED";
    case UNCLIP_ERR_CANCELLED: return "UNCLIP_ERR_CANCELLED";
    case UNCLIP_ERR_IMAGE: return "UNCLIP_ERR_IMAGE";
    case UNCLIP_ERR_MODEL_MISSING: return "UNCLIP_ERR_MODEL_MISSING";
    case UNCLIP_ERR_MODEL_DATA: return "UNCLIP_ERR_MODEL_DATA";
    case UNCLIP_ERR_WRITE: return "UNCLIP_ERR_WRITE";
    case UNCLIP_ERR_NO_DEVICE: return "UNCLIP_ERR_NO_DEVICE";
    case UNCLIP_ERR_MEMORY: return "UNCLIP_ERR_MEMORY";
    case UNCLIP_ERR_DEVICE: return "UNCLIP_ERR_DEVICE";
    case UNCLIP_ERR_NOT_FINITE: return "UNCLIP_ERR_NOT_FINITE";
    case UNCLIP_ERR_INTERNAL: return "UNCLIP_ERR_INTERNAL";
    }
    return "unknown status";
}

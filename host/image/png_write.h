/* png_write.h - pixels -> PNG, the last arrow of the flow, with the settings as text chunks, and onto the disk. */
#ifndef UC_HOST_PNG_WRITE_H
#define UC_HOST_PNG_WRITE_H

#include "../../engine/core/error.h"

typedef struct uc_png_text {
    const char *keyword; /* 1 to 79 printable ASCII characters */
    const char *text;    /* UTF-8; becomes a tEXt chunk when it is ASCII, else an iTXt chunk */
} uc_png_text;

/* Encodes height rows of width RGB pixels. The texts stand before the pixels, in their order. *png is to be released
 * with free and is NULL on failure. The same input gives the same bytes. */
unclip_status uc_png_encode(uint8_t **png, size_t *size, const uint8_t *rgb, int width, int height,
                            const uc_png_text *texts, size_t text_count, unclip_error *err);

/* Puts the bytes into the file path, whole or not at all: they go into a new file beside it, are forced to the disk,
 * and that file is renamed. What path held before is replaced, a symbolic link is followed, and a device or pipe is written
 * to directly. On failure UNCLIP_ERR_WRITE names path and reason, and nothing is left behind. */
unclip_status uc_png_write_file(const char *path, const uint8_t *png, size_t size, unclip_error *err);

#endif

/* png_read.h - PNG -> pixels, at the entrance of the CLIP image encoder, and PNG -> settings, for replay. The bytes are
 * not trusted. */
#ifndef UC_HOST_PNG_READ_H
#define UC_HOST_PNG_READ_H

#include "../../engine/core/error.h"

enum { UC_PNG_MAX_SIDE = 4096 };

/* Decodes a whole PNG file into height rows of width RGB pixels, to be released with free. Every PNG colour type is
 * accepted: palettes and greys are expanded, 16 bits become 8 by their upper half (as Pillow does), transparency is
 * composed on white; gamma and colour profiles are ignored. UNCLIP_ERR_IMAGE for anything that is not a complete PNG
 * file of at most UC_PNG_MAX_SIDE pixels a side. *rgb is NULL on failure. */
unclip_status uc_png_read(const uint8_t *png, size_t size, uint8_t **rgb, int *width, int *height, unclip_error *err);

/* The text stored in a PNG under a keyword, as UTF-8 to be released with free: the first tEXt or uncompressed iTXt
 * chunk with that keyword. Pixels are not decoded. UNCLIP_ERR_IMAGE when there is none. *text is NULL on failure. */
unclip_status uc_png_text_read(const uint8_t *png, size_t size, const char *keyword, char **text, unclip_error *err);

#endif

/* png_pixels.h - pixels -> PNG without texts: the compressor behind png_write.c. */
#ifndef UC_HOST_PNG_PIXELS_H
#define UC_HOST_PNG_PIXELS_H

#include <stddef.h>
#include <stdint.h>

/* A whole PNG file, to be released with free; NULL when memory ran out. */
uint8_t *uc_png_pixels(const uint8_t *rgb, int width, int height, size_t *size);

#endif

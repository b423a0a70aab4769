/* picture_resize.h - a picture of any size -> the small square that the decoder or an upsampler works on: where
 * pictures enter the flow that were not drawn here (upscaling, inversion). */
#ifndef UC_MODELS_PICTURE_RESIZE_H
#define UC_MODELS_PICTURE_RESIZE_H

#include "../core/error.h"

/* The last two as torch's interpolate(antialias=True): the window widens when the picture shrinks, and weights are
 * renormalised at the borders. */
typedef enum uc_resize_filter {
    UC_RESIZE_AREA, /* the mean of what an output sample covers, partly covered samples in proportion */
    UC_RESIZE_BILINEAR,
    UC_RESIZE_BICUBIC /* Keys, a = -0.5 */
} uc_resize_filter;

/* in [channels, in_height, in_width] -> out [channels, out_height, out_width]; all sizes at least 1. UNCLIP_ERR_MEMORY
 * is the only failure. */
unclip_status uc_planes_resize(const float *in, int64_t channels, int64_t in_height, int64_t in_width, float *out,
                               int64_t out_height, int64_t out_width, uc_resize_filter filter, unclip_error *err);

/* The largest centred square of a picture as planes out [3, size, size] in [-1, 1]: by area when it shrinks, bicubic
 * (clamped) when it grows. Of an odd remainder the extra row or column is cut off at the end.
 * rgb: height rows of width pixels of 3 bytes. UNCLIP_ERR_IMAGE for an empty picture. */
unclip_status uc_picture_square(const uint8_t *rgb, int width, int height, int64_t size, float *out, unclip_error *err);

#endif

/* image_processor.h - picture -> pixels for the CLIP image encoder, as transformers' CLIPImageProcessor makes them:
 * resize (Pillow's bicubic on 8-bit samples), centre crop, rescale, normalise. */
#ifndef UC_MODELS_IMAGE_PROCESSOR_H
#define UC_MODELS_IMAGE_PROCESSOR_H

#include "../core/error.h"
#include "config.h"

/* The size of the result for a picture of width x height. */
void uc_image_processor_size(const uc_image_processor_config *config, int64_t width, int64_t height, int64_t *out_width,
                             int64_t *out_height);

/* rgb: height rows of width pixels of 3 bytes. out: [3, out_height, out_width]. Memory and time go with the part of the
 * picture that the crop keeps, however long and thin the picture is. */
unclip_status uc_image_process(const uc_image_processor_config *config, const uint8_t *rgb, int width, int height,
                               float *out, unclip_error *err);

#endif

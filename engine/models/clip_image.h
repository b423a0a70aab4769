/* clip_image.h - picture -> CLIP image embedding: the vision transformer (transformers CLIPVisionModelWithProjection). */
#ifndef UC_MODELS_CLIP_IMAGE_H
#define UC_MODELS_CLIP_IMAGE_H

#include "../core/record.h"
#include "config.h"

/* pixels [b,3,size,size], preprocessed (image_processor.h) -> [b,projection], not normalised. */
uc_val uc_clip_image_record(uc_graph *g, const uc_clip_image_config *c, uc_val pixels);

#endif

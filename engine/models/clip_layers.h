/* clip_layers.h - the transformer layer that CLIP's text and image encoders share (transformers CLIPEncoderLayer). */
#ifndef UC_MODELS_CLIP_LAYERS_H
#define UC_MODELS_CLIP_LAYERS_H

#include "../core/record.h"

typedef struct uc_clip_layers {
    int64_t layers, heads, intermediate;
    uc_act act;
    float eps;
    bool causal;
} uc_clip_layers;

/* x [b,tokens,width] through layers.0 ... layers.n-1 of the current scope. */
uc_val uc_clip_encoder(uc_graph *g, const uc_clip_layers *c, uc_val x);

#endif

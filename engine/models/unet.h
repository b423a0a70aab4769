/* unet.h - the network of the decoder and of both upsamplers (diffusers UNet2DConditionModel with the blocks of unCLIP,
 * and UNet2DModel without attention; after GLIDE's and ADM's UNet). */
#ifndef UC_MODELS_UNET_H
#define UC_MODELS_UNET_H

#include "../core/record.h"
#include "config.h"

typedef struct uc_unet_inputs {
    uc_val x;            /* [rows, in_channels, height, width]; sizes divide by 2^(levels - 1) */
    uc_val timesteps;    /* [steps] F32 */
    uc_val time_addend;  /* conditional: [rows, time_dim], added to the time embedding; else none */
    uc_val context;      /* conditional: [rows, tokens, cross_dim] */
    uc_val context_bias; /* conditional: [rows, tokens] F32, 0 or -10000 for padding */
} uc_unet_inputs;

/* The prediction [rows, out_channels, height, width], in the current phase; keys and values of the context are recorded
 * in phase 0. */
uc_val uc_unet_record(uc_graph *g, const uc_unet_config *c, const uc_unet_inputs *in);

#endif

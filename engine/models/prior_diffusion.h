/* prior_diffusion.h - CLIP text -> CLIP image embedding: the diffusion prior (paper section 2.2, diffusers
 * PriorTransformer).
 *
 * A causal transformer over [text tokens, text embedding, time, noised image embedding, learned query]; the output at
 * the last token is the denoised embedding. The first text + 1 tokens do not depend on the step, and being causal do not
 * see what follows, so their keys and values are computed once in phase 0; a step has three query tokens. */
#ifndef UC_MODELS_PRIOR_DIFFUSION_H
#define UC_MODELS_PRIOR_DIFFUSION_H

#include "../core/record.h"
#include "config.h"

typedef struct uc_prior_inputs {
    uc_val x;           /* [rows, embedding_dim], noised and normalised */
    uc_val timesteps;   /* [steps] F32 */
    uc_val text_embeds; /* [rows, embedding_proj_dim] */
    uc_val text_hidden; /* [rows, num_embeddings, embedding_dim] */
    uc_val mask_bias;   /* [rows, num_embeddings + 1] F32: 0 where a text token counts (and for the text embedding),
                           -10000 where it is padding */
} uc_prior_inputs;

/* The prediction [rows, clip_embed_dim], in the current phase. */
uc_val uc_prior_record(uc_graph *g, const uc_prior_config *c, const uc_prior_inputs *in);

/* Back from normalised to CLIP's own scale: x * clip_std + clip_mean. */
uc_val uc_prior_denormalise(uc_graph *g, const uc_prior_config *c, uc_val x);

#endif

/* prior_ar.h - CLIP text -> CLIP image embedding, token by token: the autoregressive prior (paper section 2.2; layout
 * in weights/README.md).
 *
 * A causal transformer over [text tokens, text embedding, dot product, components]. Phase 0 runs what stands before the
 * first component, keeps its keys and values, and draws component 0. Phase 1 draws one component more: the token that
 * was drawn last goes through the network alone and sees the kept keys and a window of those of the components before
 * it, which slides by one each time. It is run components - 1 times. */
#ifndef UC_MODELS_PRIOR_AR_H
#define UC_MODELS_PRIOR_AR_H

#include "../core/record.h"
#include "config.h"

/* batch: embeddings that are drawn; rows: batch, or 2 batch when guided (rows without text first). */
typedef struct uc_prior_ar_inputs {
    uc_val text_hidden; /* [rows, text_tokens, text_width] */
    uc_val text_embeds; /* [rows, text_projection] */
    uc_val mask_bias;   /* [rows, text_tokens + 2] F32: -10000 where a text token is padding, else 0 */
    uc_val dot;         /* [rows, 1] I32: uc_prior_ar_dot_id or uc_prior_ar_no_text_id */
    uc_val window_bias; /* [components - 1, components - 1] F32: uc_prior_ar_window_bias */
    uc_val seeds;       /* [batch] I64 */
    uc_val token;       /* [batch, 1] I32 state: the component that was drawn last */
    uc_val logits;      /* [rows, buckets] F32 state that gets the logits of each draw, or none */
    bool guided;
} uc_prior_ar_inputs;

void uc_prior_ar_record(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in);

/* Row r: -10000 for the keys of the window that are not there yet when component r + 1 is drawn, else 0. */
void uc_prior_ar_window_bias(const uc_prior_ar_config *c, float *bias);

/* What the step for component k is given, k from 0; the phase is k > 0. */
uc_step uc_prior_ar_step(int64_t component, uint32_t stage, float guidance, float temperature);

#endif

/* prior_ar_run.h - the autoregressive prior of one launch: text features -> image embeddings, token by token. It stands
 * where uc_stage_run stands for the diffusion prior. */
#ifndef UC_TASKS_PRIOR_AR_RUN_H
#define UC_TASKS_PRIOR_AR_RUN_H

#include "stage_run.h"

typedef struct uc_prior_ar_shape {
    int64_t rows; /* embeddings that are drawn together */
    bool guided;
    bool logits;  /* adds the state of that name, see uc_prior_ar_inputs */
} uc_prior_ar_shape;

/* States text_embeds, text_hidden, mask_bias, dot of the network's rows; seeds and token of the launch's; window_bias.
 * Phase 0 draws component 0, phase 1 one component more. */
uc_graph *uc_prior_ar_graph(const uc_session *session, const uc_prior_ar_shape *shape);

/* The percentile of the dot product that an image asks for: uniform between low and high, by its seed. */
double uc_prior_ar_percentile(uint64_t seed, double low, double high);

/* out [count, embedding_dim]: of each image's candidates the nearest to its text. */
unclip_status uc_prior_ar_run(uc_cascade *cascade, float *out, unclip_error *err);

/* The cross-entropy of true embeddings [count, embedding_dim] of the launch's images under the prior, each with its own
 * dot product, unguided: the sum over the images of the mean over the components, in nats. */
unclip_status uc_prior_ar_cross_entropy(uc_cascade *cascade, const float *embeddings, double *sum, unclip_error *err);

#endif

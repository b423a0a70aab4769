/* condition.h - what the decoder is given when no prior runs (paper section 5.1, figure 8): a caller's image embedding,
 * the text embedding in its place, or the embedding that stands for none. The arrow that leads past the prior. */
#ifndef UC_TASKS_CONDITION_H
#define UC_TASKS_CONDITION_H

#include "stage_run.h"

/* Does the request leave the prior out? */
static inline bool uc_skips_prior(const unclip_generate_options *o) {
    return o->condition != UNCLIP_CONDITION_PRIOR || o->prior_input;
}

/* Refuses what cannot be conditioned on. */
unclip_status uc_condition_check(const unclip_generate_options *options, const uc_model *model, unclip_error *err);

/* The launch's embeddings [count, clip_dim], to be released with free. */
unclip_status uc_condition_rows(const uc_cascade *cascade, float **rows, unclip_error *err);

#endif

/* time_embedding.h - diffusion timesteps -> embedding vectors (diffusers Timesteps and TimestepEmbedding).
 *
 * Recorded in phase 0 for all steps of a run at once; each step then selects its row. */
#ifndef UC_MODELS_TIME_EMBEDDING_H
#define UC_MODELS_TIME_EMBEDDING_H

#include "../core/record.h"

typedef struct uc_time_embedding {
    int64_t sinusoid, hidden, out; /* widths */
    bool flip_sin_to_cos;
    float freq_shift;
} uc_time_embedding;

/* timesteps [steps] (F32) -> this step's embedding [1,out], by time_embedding.linear_1 and linear_2. */
uc_val uc_time_embedding_record(uc_graph *g, const uc_time_embedding *c, uc_val timesteps);

#endif

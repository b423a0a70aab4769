/* stage_run.h - one diffusion stage of one launch: from noise to sample, step by step. */
#ifndef UC_TASKS_STAGE_RUN_H
#define UC_TASKS_STAGE_RUN_H

#include "noise_source.h"
#include "request.h"
#include "stage_graphs.h"
#include "text_features.h"

/* Pictures that go through the cascade together. */
typedef struct uc_cascade {
    const uc_session *session;
    const uc_request *request;
    size_t first, count;             /* images of the request */
    uc_noise_source noise;
    const uc_text_features *text;    /* row p: prompt p; last row: the empty prompt */
    double seconds[UNCLIP_STAGE_COUNT];
} uc_cascade;

/* The row of `text` that an image has: given embeddings share the caption, or the empty row when there is none. */
static inline size_t uc_prompt_of(const uc_cascade *c, size_t image) {
    return c->request->given ? 0 : (c->first + image) / c->request->options->images_per_prompt;
}
static inline uint64_t uc_seed_of(const uc_cascade *c, size_t image) {
    const bool one = c->request->given && c->request->given->one_seed;
    return c->request->options->seed + (one ? 0 : c->first + image);
}

/* What a stage needs of its neighbours. */
typedef struct uc_stage_io {
    const float *embedding;  /* decoder: [count, clip_dim] */
    const float *noise;      /* the first sample, like out, or NULL: drawn */
    const float *low;        /* upsamplers: [count, 3, h, w] */
    float *out;              /* prior: [count, clip_embed_dim], CLIP's scale; others: [count, 3, size, size] in [-1, 1] */
    uint8_t *bytes;          /* instead of out, for pictures that are delivered: [count, size, size, 4], see to_bytes */
} uc_stage_io;

unclip_status uc_stage_run(uc_cascade *cascade, unclip_stage stage, const uc_stage_io *io, unclip_error *err);

/* Floats of one row of a stage's sample. */
int64_t uc_sample_count(const uc_model *model, unclip_stage stage);

/* Of each image's candidates [count, candidates, dim] the one with the largest dot product with its text embedding
 * (paper section 2.2), out [count, dim]. */
void uc_keep_best(const uc_cascade *cascade, const float *candidates, int64_t dim, float *out);

/* A clock for durations. */
double uc_seconds_now(void);

#endif

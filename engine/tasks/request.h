/* request.h - a caller's generate options, checked and worked out: which stages, which steps, which tokens. Everything
 * that can be wrong with a request is found here, before any work. */
#ifndef UC_TASKS_REQUEST_H
#define UC_TASKS_REQUEST_H

#include "../sampling/sampler.h"
#include "model.h"

enum { UC_MAX_BATCH = 1024, UC_DEFAULT_BATCH = 4 };

/* One frame of a path through the embeddings, for whoever labels it. See unclip_image. */
typedef struct uc_frame {
    double theta, cosine;
    int components;
} uc_frame;

/* Pictures that begin at the decoder, with embeddings that somebody else made (paper section 3): the prior is left
 * out, and the decoder's first noise may be given too. A table has one row for all images or one for each. */
typedef struct uc_given {
    size_t images;
    const float *embeddings; /* [embedding_rows, clip_dim] */
    size_t embedding_rows;
    const float *noise;      /* [noise_rows, 3, size, size] x_T, or NULL: drawn from the seeds as always */
    size_t noise_rows;
    bool one_seed;           /* every image has the request's seed itself, so that frames differ by nothing else */
    const uc_frame *frames;  /* [images] or NULL */
    const float *low;        /* [low_rows, 3, side, side] or NULL: pictures for the upsampler `first`, not embeddings */
    size_t low_rows;
    unclip_stage first;      /* read with low */
    bool inverse;            /* `noise` holds pictures and the decoder, the last stage, runs backwards to their noise */
    int refinements;         /* inverse: rounds of fixed-point iteration per step */
} uc_given;

typedef struct uc_request {
    const unclip_generate_options *options;
    const uc_given *given;                          /* NULL: from prompts alone */
    unclip_stage first;                             /* where the cascade begins: the prior, or the decoder when given */
    unclip_stage last;                              /* where the cascade stops */
    uc_sampler_plan *sampler[UNCLIP_STAGE_COUNT];   /* NULL for stages after the last */
    float guidance[UNCLIP_STAGE_COUNT];             /* 1 = none */
    float eta[UNCLIP_STAGE_COUNT];
    size_t images, batch;                           /* in all; in a launch */
    int candidates;
    bool prior_ar;                                  /* the autoregressive prior runs; sampler[prior] is NULL then */
    int32_t *ids;                                   /* [prompt_count + 1, context]; the last row is the empty prompt */
    int *used;                                      /* [prompt_count + 1]: tokens without padding */
    bool *truncated;
} uc_request;

unclip_status uc_request_new(uc_request *request, const uc_session *session, const unclip_generate_options *options,
                             unclip_error *err);

/* The same for given embeddings. The options need no prompt then; one prompt is the decoder's caption for all images.
 * images_per_prompt is not read. *given must outlive the request. */
unclip_status uc_request_new_given(uc_request *request, const uc_session *session,
                                   const unclip_generate_options *options, const uc_given *given, unclip_error *err);
void uc_request_free(uc_request *request);

/* Size of the embedding that the prior draws. */
static inline int64_t uc_prior_dim(const uc_request *request, const uc_model *m) {
    return request->prior_ar ? m->prior_ar.embedding_dim : m->prior.clip_embed_dim;
}

static inline bool uc_guided(const uc_request *request, unclip_stage stage) { return request->guidance[stage] > 1; }

#endif

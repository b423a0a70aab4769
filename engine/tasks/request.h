/* request.h - a caller's generate options, checked and worked out: which stages, which steps, which tokens. Everything
 * that can be wrong with a request is found here, before any work. */
#ifndef UC_TASKS_REQUEST_H
#define UC_TASKS_REQUEST_H

#include "../sampling/sampler.h"
#include "model.h"

enum { UC_MAX_BATCH = 1024, UC_DEFAULT_BATCH = 4 };

typedef struct uc_request {
    const unclip_generate_options *options;
    unclip_stage last;                              /* where the cascade stops */
    uc_sampler_plan *sampler[UNCLIP_STAGE_COUNT];   /* NULL for stages after the last */
    float guidance[UNCLIP_STAGE_COUNT];             /* 1 = none */
    float eta[UNCLIP_STAGE_COUNT];
    size_t images, batch;                           /* in all; in a launch */
    int candidates;
    int32_t *ids;                                   /* [prompt_count + 1, context]; the last row is the empty prompt */
    int *used;                                      /* [prompt_count + 1]: tokens without padding */
    bool *truncated;
} uc_request;

unclip_status uc_request_new(uc_request *request, const uc_session *session, const unclip_generate_options *options,
                             unclip_error *err);
void uc_request_free(uc_request *request);

static inline bool uc_guided(const uc_request *request, unclip_stage stage) { return request->guidance[stage] > 1; }

#endif

/* eval.c - the public functions that measure a model: how near a prior's embeddings come to those of pictures. */
#include <math.h>

#include "../engine/tasks/eval_prior.h"
#include "engine.h"

static unclip_status check_embeddings(const uc_request *r, const uc_model *m, const float *embeddings, size_t dim,
                                      unclip_error *err) {
    if (r->first != UNCLIP_STAGE_PRIOR)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the options leave out the prior that is to be evaluated");
    if (dim != (size_t)uc_prior_dim(r, m))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "embeddings have %zu numbers, the prior draws %lld", dim,
                       (long long)uc_prior_dim(r, m));
    for (size_t i = 0; i < r->options->prompt_count * dim; i++)
        if (!isfinite(embeddings[i]))
            return uc_fail(err, UNCLIP_ERR_ARGUMENT, "embedding %zu has a number that is not finite", i / dim);
    return UNCLIP_OK;
}

unclip_status unclip_eval_prior(unclip_engine *engine, const unclip_generate_options *options, const float *embeddings,
                                size_t dim, unclip_prior_statistics *statistics, unclip_error *err) {
    if (!engine || !options || !embeddings || !statistics)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no options, no embeddings or no result were given");
    uc_request request;
    unclip_status status = uc_model_dir_unchanged(engine->loaded->dir, err);
    if (!status) status = uc_request_new(&request, &engine->session, options, err);
    if (status) return status;
    status = check_embeddings(&request, &engine->loaded->model, embeddings, dim, err);
    if (!status) status = uc_eval_prior(&engine->session, &request, embeddings, statistics, err);
    uc_request_free(&request);
    return status;
}

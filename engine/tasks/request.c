/* request.c - see request.h. */
#include "condition.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void unclip_generate_options_init(unclip_generate_options *options) {
    *options = (unclip_generate_options){ .struct_size = sizeof *options, .images_per_prompt = 1,
                                          .prior_candidates = 1, .prior_temperature = 1, .prior_dot_low = 50,
                                          .prior_dot_high = 100 };
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++)
        options->stage[i] = (unclip_stage_options){ .guidance = -1, .eta = -1 };
}

static unclip_status check_counts(const uc_request *r, unclip_error *err) {
    const unclip_generate_options *o = r->options;
    if (o->struct_size != sizeof *o)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "generate options were not filled by unclip_generate_options_init");
    if (!r->given && (!o->prompts || !o->prompt_count))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no prompt was given");
    if (r->given && (o->prompt_count > 1 || (o->prompt_count && !o->prompts)))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%zu prompts were given, expected at most one, the decoder's caption",
                       o->prompt_count);
    if (!o->images_per_prompt || o->images_per_prompt > 1000000)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "images per prompt is %zu, expected 1 to 1000000",
                       o->images_per_prompt);
    if (o->prompt_count > SIZE_MAX / 1000000)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%zu prompts are too many", o->prompt_count);
    if (o->batch_size > UC_MAX_BATCH)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "batch size is %zu, expected 1 to %d", o->batch_size, UC_MAX_BATCH);
    if (o->prior_candidates < 1 || o->prior_candidates > 64)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "prior candidates is %d, expected 1 to 64", o->prior_candidates);
    if (o->preview_interval < 0)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "preview interval is %d, expected 0 or more", o->preview_interval);
    if (o->rng != UNCLIP_RNG_PHILOX && o->rng != UNCLIP_RNG_TORCH_CPU)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "random number generator %d is unknown", (int)o->rng);
    if ((unsigned)o->prior > UNCLIP_PRIOR_AUTOREGRESSIVE)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "prior %d is unknown", (int)o->prior);
    if (!(o->prior_temperature >= 0 && o->prior_temperature <= 100))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "prior temperature is %g, expected 0 to 100",
                       (double)o->prior_temperature);
    if (!(o->prior_dot_low >= 0 && o->prior_dot_low <= o->prior_dot_high && o->prior_dot_high <= 100))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "prior dot percentiles are %g to %g, expected a range in 0 to 100",
                       (double)o->prior_dot_low, (double)o->prior_dot_high);
    return UNCLIP_OK;
}

static unclip_status choose_last_stage(uc_request *r, const uc_model *m, unclip_error *err) {
    if (r->prior_ar && !uc_has_prior_ar(m))
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no autoregressive prior (prior_ar)");
    if (r->first == UNCLIP_STAGE_PRIOR && !r->prior_ar && !uc_has_stage(m, UNCLIP_STAGE_PRIOR))
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model cannot draw from text: it has no %s",
                       m->text_params ? "prior" : "text_encoder");
    if (r->first > UNCLIP_STAGE_DECODER && !uc_stage_size(m, r->first))
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no %s", unclip_stage_name(r->first));
    if (!uc_has_stage(m, UNCLIP_STAGE_DECODER))
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model cannot draw: it has no decoder or no text_proj");
    char sizes[96];
    size_t n = 0;
    bool found = false;
    for (int s = r->first ? (int)r->first : UNCLIP_STAGE_DECODER; s < UNCLIP_STAGE_COUNT; s++) {
        const int64_t size = uc_stage_size(m, (unclip_stage)s);
        if (!size) break; /* a later stage has nothing to enlarge */
        n += (size_t)snprintf(sizes + n, sizeof sizes - n, "%s%lld", n ? ", " : "", (long long)size);
        if (!r->options->size || r->options->size == size) {
            r->last = (unclip_stage)s;
            found = true;
        }
    }
    if (!found)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "size is %d, this model draws %s", r->options->size, sizes);
    return UNCLIP_OK;
}

static unclip_status plan_sampler(uc_request *r, const uc_model *m, unclip_stage stage, unclip_error *err) {
    const unclip_stage_options *o = &r->options->stage[stage];
    const uc_stage_defaults *d = &m->defaults[stage];
    const char *name = unclip_stage_name(stage);
    if (!isfinite(o->guidance) || o->guidance > 1000)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: guidance is %g, expected at most 1000", name, o->guidance);
    if (isnan(o->eta) || o->eta > 1)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: eta is %g, expected 0 to 1", name, o->eta);
    if (o->steps < 0) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: steps is %d, expected 1 or more", name, o->steps);
    if ((unsigned)o->sampler > UNCLIP_SAMPLER_DPMPP_2M)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: sampler %d is unknown", name, (int)o->sampler);
    const float threshold = r->options->threshold[stage];
    if (!(threshold <= 1) || (stage == UNCLIP_STAGE_PRIOR && threshold > 0))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: threshold is %g, expected %s", name, (double)threshold,
                       stage == UNCLIP_STAGE_PRIOR ? "none: it is for pictures" : "at most 1");
    const float guidance = o->guidance < 0 ? d->guidance : o->guidance;
    r->guidance[stage] = stage <= UNCLIP_STAGE_DECODER && guidance > 1 ? guidance : 1;
    r->eta[stage] = o->eta < 0 ? d->eta : o->eta;
    if (stage == UNCLIP_STAGE_PRIOR && r->prior_ar) return UNCLIP_OK;
    const uc_sampler_request request = {
        .sampler = o->sampler ? o->sampler : d->sampler,
        .steps = o->steps ? o->steps : d->steps,
        .respacing = o->respacing,
        .eta = r->eta[stage],
        .gamma = m->gamma[stage],
        .guidance = r->guidance[stage],
        .stage = (uint32_t)stage,
        .threshold = threshold,
        .inverse = r->given && r->given->inverse,
    };
    const unclip_status status = uc_sampler_plan_new(&r->sampler[stage], &m->scheduler[stage], &request, err);
    return status ? uc_fail_prefix(err, status, "%s", name) : UNCLIP_OK;
}

static unclip_status tokenize(uc_request *r, const uc_session *session, unclip_error *err) {
    const uc_model *m = session->model;
    const size_t rows = r->options->prompt_count + 1, context = (size_t)m->text.context;
    r->ids = calloc(rows * context, sizeof *r->ids);
    r->used = calloc(rows, sizeof *r->used);
    r->truncated = calloc(rows, sizeof *r->truncated);
    if (!r->ids || !r->used || !r->truncated) return uc_fail_memory(err, rows * context * sizeof *r->ids, "tokens");
    for (size_t i = 0; i < rows; i++) {
        const char *prompt = i + 1 < rows ? r->options->prompts[i] : "";
        if (!prompt) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "prompt %zu is NULL", i);
        const unclip_status status = uc_tokenizer_encode(m->tokenizer, prompt, strlen(prompt), &r->ids[i * context],
                                                         (int)context, &r->used[i], &r->truncated[i], err);
        if (status) return uc_fail_prefix(err, status, "prompt %zu", i);
        if (r->truncated[i])
            uc_log(session, UNCLIP_LOG_WARNING, "prompt %zu is longer than the model's %zu tokens: its end is not seen",
                   i, context);
    }
    return UNCLIP_OK;
}

static unclip_status build(uc_request *r, const uc_session *session, unclip_error *err) {
    unclip_status status = check_counts(r, err);
    if (!status && !r->given) status = uc_condition_check(r->options, session->model, err);
    if (!status && !r->given && uc_skips_prior(r->options)) r->first = UNCLIP_STAGE_DECODER;
    r->prior_ar = r->first == UNCLIP_STAGE_PRIOR && r->options->prior == UNCLIP_PRIOR_AUTOREGRESSIVE;
    if (!status) status = choose_last_stage(r, session->model, err);
    for (int s = (int)r->first; !status && s <= (int)r->last; s++)
        status = plan_sampler(r, session->model, (unclip_stage)s, err);
    if (!status && r->first <= UNCLIP_STAGE_DECODER) status = tokenize(r, session, err);
    if (status) return status;
    r->images = r->given ? r->given->images : r->options->prompt_count * r->options->images_per_prompt;
    r->batch = r->options->batch_size ? r->options->batch_size : UC_DEFAULT_BATCH;
    if (r->batch > r->images) r->batch = r->images;
    r->candidates = r->options->prior_candidates;
    return UNCLIP_OK;
}

unclip_status uc_request_new(uc_request *request, const uc_session *session, const unclip_generate_options *options,
                             unclip_error *err) {
    return uc_request_new_given(request, session, options, NULL, err);
}

unclip_status uc_request_new_given(uc_request *request, const uc_session *session,
                                   const unclip_generate_options *options, const uc_given *given, unclip_error *err) {
    *request = (uc_request){ .options = options, .given = given,
                             .first = !given ? UNCLIP_STAGE_PRIOR : given->low ? given->first : UNCLIP_STAGE_DECODER };
    const unclip_status status = build(request, session, err);
    if (status) uc_request_free(request);
    return status;
}

void uc_request_free(uc_request *request) {
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) uc_sampler_plan_free(request->sampler[s]);
    free(request->ids);
    free(request->used);
    free(request->truncated);
    *request = (uc_request){ 0 };
}

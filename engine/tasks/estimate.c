/* estimate.c - see estimate.h. */
#include "estimate.h"

#include "prior_ar_run.h"

static unclip_status estimate_graph(const uc_session *s, uc_graph *g, unclip_stage stage, int steps,
                                    unclip_estimate_stage *out, unclip_error *err) {
    if (!g) return uc_fail_memory(err, sizeof *g, "graph");
    const uc_target target = s->backend->target(s->backend);
    uc_plan *plan = NULL;
    const unclip_status status = uc_plan_new(&plan, g, &target, s->backend->shares_memory(s->backend), err);
    if (status) return status;
    out->activation_bytes = plan->arena_bytes;
    out->flops = uc_plan_flops(plan, 0);
    if (steps > 0) /* the last may have a network of its own */
        out->flops += (steps - 1) * uc_plan_flops(plan, 1) + uc_plan_flops(plan, uc_step_phase(stage, steps - 1, steps));
    out->steps = steps;
    uc_plan_free(plan);
    return UNCLIP_OK;
}

static uint64_t bytes_of(const uc_params *params) { return params ? uc_params_bytes(params) : 0; }

static uint64_t stage_weight_bytes(const uc_model *m, unclip_stage stage) {
    switch (stage) {
    case UNCLIP_STAGE_PRIOR: return bytes_of(m->prior_params);
    case UNCLIP_STAGE_DECODER: return bytes_of(m->text_proj_params) + bytes_of(m->decoder_params);
    case UNCLIP_STAGE_SR256: return bytes_of(m->sr256_params) + bytes_of(m->sr256_last_params);
    case UNCLIP_STAGE_SR1024: return bytes_of(m->sr1024_params);
    case UNCLIP_STAGE_COUNT: break;
    }
    return 0;
}

/* Inversion runs a step less than its plan has, and may refine each of the others. */
static unclip_status estimate_inversion(const uc_session *session, const uc_request *request, uc_graph *graph,
                                        unclip_estimate_stage *out, unclip_error *err) {
    const int steps = request->sampler[UNCLIP_STAGE_DECODER]->count;
    const int runs = (steps - 1) * (1 + request->given->refinements);
    const unclip_status status = estimate_graph(session, graph, UNCLIP_STAGE_DECODER, runs, out, err);
    out->steps = steps;
    return status;
}

static unclip_status estimate_stage(const uc_session *session, const uc_request *request, unclip_stage stage,
                                    unclip_estimate_stage *out, unclip_error *err) {
    const bool prior = stage == UNCLIP_STAGE_PRIOR, inverse = request->given && request->given->inverse;
    const uc_stage_shape shape = {
        .rows = (int64_t)request->batch * (prior ? request->candidates : 1),
        .guided = uc_guided(request, stage),
        .host_noise = request->options->rng == UNCLIP_RNG_TORCH_CPU || inverse,
        .bytes = !prior && !inverse && stage == request->last,
        .sampler = request->sampler[stage],
    };
    unclip_status status;
    if (prior && request->prior_ar) {
        const uc_prior_ar_shape ar = { .rows = shape.rows, .guided = shape.guided };
        const int tokens = (int)session->model->prior_ar.components;
        status = estimate_graph(session, uc_prior_ar_graph(session, &ar), stage, tokens - 1, out, err);
        out->steps = tokens; /* phase 0 draws the first */
        out->weight_bytes = bytes_of(session->model->prior_ar_params);
        return status;
    }
    uc_graph *graph = uc_stage_graph(session, stage, &shape);
    status = inverse ? estimate_inversion(session, request, graph, out, err)
                     : estimate_graph(session, graph, stage, shape.sampler->count, out, err);
    out->weight_bytes = stage_weight_bytes(session->model, stage);
    return status;
}

/* Stages run one after another. */
static void raise_peak(unclip_estimate *estimate, const unclip_estimate_stage *stage) {
    if (stage->activation_bytes > estimate->peak_activation_bytes)
        estimate->peak_activation_bytes = stage->activation_bytes;
}

unclip_status uc_generate_estimate(const uc_session *session, const uc_request *request, unclip_estimate *estimate,
                                   unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    if (request->first <= UNCLIP_STAGE_DECODER) { /* the upsamplers see no text */
        const int64_t rows = (int64_t)request->options->prompt_count + 1;
        status = estimate_graph(session, uc_text_graph(session, rows), UNCLIP_STAGE_PRIOR, 0, &estimate->text, err);
        estimate->text.weight_bytes = bytes_of(session->model->text_params);
        raise_peak(estimate, &estimate->text);
    }
    for (int s = (int)request->first; s <= (int)request->last && !status; s++) {
        status = estimate_stage(session, request, (unclip_stage)s, &estimate->stage[s], err);
        raise_peak(estimate, &estimate->stage[s]);
    }
    return status;
}

unclip_status uc_image_estimate(const uc_session *session, unclip_estimate *estimate, unclip_error *err) {
    if (!session->model->image_params)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no image_encoder");
    const unclip_status status = estimate_graph(session, uc_image_graph(session, 1), UNCLIP_STAGE_PRIOR, 0,
                                                &estimate->image, err);
    estimate->image.weight_bytes = bytes_of(session->model->image_params);
    raise_peak(estimate, &estimate->image);
    return status;
}

/* model.c - see model.h. */
#include "model.h"

#include <stdarg.h>
#include <stdio.h>

#include "../models/prior_ar_tables.h"
#include "prior_ar_run.h"
#include "stage_graphs.h"

void uc_log(const uc_session *session, unclip_log_level level, const char *format, ...) {
    if (!session->on_log) return;
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    session->on_log(session->log_user, level, message);
}

unclip_status uc_session_program(const uc_session *session, int64_t rows, uc_graph *graph, uc_program **program,
                                 unclip_error *err) {
    const unclip_status status = uc_program_new(session->backend, graph, program, err);
    if (status) return status;
    const uc_plan *plan = session->backend->plan(*program);
    uc_log(session, UNCLIP_LOG_DEBUG, "%s: %lld rows, %d operations, arena of %llu bytes", plan->graph->name,
           (long long)rows, (int)plan->graph->op_count, (unsigned long long)plan->arena_bytes);
    return UNCLIP_OK;
}

const char *unclip_stage_name(unclip_stage stage) {
    static const char *const names[UNCLIP_STAGE_COUNT] = { "prior", "decoder", "sr256", "sr1024" };
    return (unsigned)stage < UNCLIP_STAGE_COUNT ? names[stage] : "unknown stage";
}

int64_t uc_stage_size(const uc_model *model, unclip_stage stage) {
    if (stage == UNCLIP_STAGE_PRIOR || !uc_has_stage(model, stage)) return 0;
    return stage == UNCLIP_STAGE_DECODER ? model->decoder.sample_size
         : stage == UNCLIP_STAGE_SR256   ? model->sr256.sample_size
                                         : model->sr1024.sample_size;
}

static unclip_status check_graph(uc_graph *g, unclip_error *err) {
    if (!g) return uc_fail_memory(err, sizeof *g, "graph");
    const unclip_status status = uc_graph_finish(g, err);
    uc_graph_free(g);
    return status;
}

static unclip_status check_stage(const uc_session *session, unclip_stage stage, unclip_error *err) {
    const uc_model *m = session->model;
    const uc_sampler_request request = { .steps = 1 };
    uc_sampler_plan *sampler = NULL;
    unclip_status status = uc_sampler_plan_new(&sampler, &m->scheduler[stage], &request, err);
    if (status) return uc_fail_prefix(err, status, "%s", unclip_stage_name(stage));
    const uc_stage_shape shape = { .rows = 1, .guided = stage <= UNCLIP_STAGE_DECODER, .sampler = sampler };
    status = check_graph(uc_stage_graph(session, stage, &shape), err);
    uc_sampler_plan_free(sampler);
    return status;
}

static unclip_status check_prior_ar(const uc_session *session, unclip_error *err) {
    const uc_model *m = session->model;
    const uc_prior_ar_shape shape = { .rows = 1, .guided = true };
    uc_prior_ar_tables tables;
    unclip_status status = uc_prior_ar_tables_of(&tables, &m->prior_ar, m->prior_ar_params, err);
    return status ? status : check_graph(uc_prior_ar_graph(session, &shape), err);
}

unclip_status uc_model_check(const uc_session *session, unclip_error *err) {
    const uc_model *m = session->model;
    unclip_status status = UNCLIP_OK;
    if (m->text_params) status = check_graph(uc_text_graph(session, 1), err);
    if (!status && m->image_params) status = check_graph(uc_image_graph(session, 1), err);
    for (int stage = 0; stage < UNCLIP_STAGE_COUNT && !status; stage++)
        if (uc_has_stage(m, (unclip_stage)stage)) status = check_stage(session, (unclip_stage)stage, err);
    if (!status && uc_has_prior_ar(m)) status = check_prior_ar(session, err);
    const uc_params *all[] = { m->text_params, m->image_params, m->prior_params, m->prior_ar_params,
                               m->text_proj_params, m->decoder_params, m->sr256_params, m->sr256_last_params,
                               m->sr1024_params };
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++)
        if (all[i]) status = uc_params_check_all_used(all[i], err);
    return status;
}

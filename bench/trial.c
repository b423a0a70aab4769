/* trial.c - see limits.h: one operation as a program of its own. */
#include <stdlib.h>
#include <string.h>

#include "limits.h"

static uc_param param_of(const uc_view *v, const char *name) {
    uc_param p = { .name = name, .dtype = v->dtype, .rank = v->shape.rank, .data = v->data };
    for (int d = 0; d < v->shape.rank; d++) p.dim[d] = v->shape.dim[d];
    return p;
}

static void collect_weights(bench_trial *t) {
    const op_case *c = &t->data->c;
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        snprintf(t->names[k], sizeof t->names[k], "w%d", k);
        if (c->in[k].rank && c->weights & 1u << k)
            t->items[t->params.count++] = param_of(&t->data->launch.in[k], t->names[k]);
    }
    t->params.component = "trial";
    t->params.file = "memory";
    t->params.items = t->items;
}

static uc_graph *record(bench_trial *t) {
    const op_case *c = &t->data->c;
    uc_graph *g = uc_graph_new("trial", c->type);
    if (!g) return NULL;
    uc_use_params(g, &t->params);
    uc_op op = { .kind = c->kind, .attrs = c->attrs };
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        if (!c->in[k].rank) continue;
        op.in[k] = c->weights & 1u << k ? uc_weight(g, t->names[k], c->in[k])
                                        : uc_state(g, t->names[k], c->in_type[k], c->in[k]);
    }
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        if (!c->out[k].rank) continue;
        if (c->kind == UC_OP_noise_step) op.out[k] = op.in[k ? UC_NOISE_X0 : UC_NOISE_X];
        else op.out[k] = uc_graph_add_temp(g, c->out_type, c->out[k]);
    }
    uc_graph_add_op(g, &op);
    return g;
}

static unclip_status upload_inputs(bench_trial *t, unclip_error *err) {
    const uc_graph *g = t->backend->plan(t->program)->graph;
    unclip_status status = UNCLIP_OK;
    for (int k = 0; k < UC_MAX_INPUTS && !status; k++) {
        const uc_val state = uc_graph_state(g, t->names[k]);
        const uc_view *from = &t->data->launch.in[k];
        if (uc_present(state) && from->data) status = t->backend->upload(t->program, state, from->data, err);
    }
    return status;
}

unclip_status bench_trial_new(bench_trial *t, uc_backend *backend, bench_sink *sink, const op_data *data,
                              unclip_error *err) {
    *t = (bench_trial){ .backend = backend, .sink = sink, .data = data, .op = -1 };
    collect_weights(t);
    unclip_status status = uc_program_new(backend, record(t), &t->program, err);
    if (!status) status = upload_inputs(t, err);
    if (!status) {
        const uc_plan *plan = backend->plan(t->program);
        sink->seconds = calloc((size_t)plan->graph->op_count + 1, sizeof *sink->seconds);
        if (!sink->seconds) status = uc_fail_memory(err, sizeof *sink->seconds, "times");
        /* reorders that the planner put before and after have another kind, or are not the last of theirs */
        for (int32_t i = 0; i < plan->graph->op_count; i++)
            if (plan->graph->ops[i].kind == data->c.kind) t->op = i;
        if (t->op >= 0) t->launch = uc_plan_launch(plan, t->op, NULL);
    }
    if (status) bench_trial_free(t);
    return status;
}

void bench_trial_free(bench_trial *t) {
    if (t->program) t->backend->release(t->backend, t->program);
    free(t->sink->seconds);
    t->sink->seconds = NULL;
    t->program = NULL;
}

unclip_status bench_trial_run(bench_trial *t, double *seconds, unclip_error *err) {
    t->sink->last = bench_now(t->sink->options);
    const unclip_status status = t->backend->run(t->program, 0, &t->data->c.step, err);
    *seconds = t->sink->seconds[t->op];
    return status;
}

unclip_status bench_trial_sample(bench_trial *t, const bench_options *o, bench_summary *summary, unclip_error *err) {
    bench_samples samples = { 0 };
    unclip_status status = UNCLIP_OK;
    double seconds = 0, spent = 0;
    for (int i = 0; i < o->warmup && !status; i++) status = bench_trial_run(t, &seconds, err);
    while (!status && bench_wants_more(&samples, o, spent)) {
        status = bench_trial_run(t, &seconds, err);
        spent += seconds;
        if (!status && !bench_add(&samples, seconds)) status = uc_fail_memory(err, sizeof seconds, "samples");
    }
    *summary = bench_summarise(&samples);
    bench_drop(&samples);
    return status;
}

/* ops.c - unclip-bench ops: the time of single operations and their share of what the device can do. First the cases
 * that the tests run on, each as a program of its own; then every distinct operation of a model's plans, timed where it
 * stands, with the weights and the cache as they are in a picture. */
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "limits.h"
#include "tests/ops/cases.h"

/* ---- the cases of the tests -------------------------------------------------------------------------------------- */

/* A backend keeps pictures in its own layout: a case in another would be timed under a wrong name. Reorders of pictures
 * are the planner's; here it would add further ones. */
static bool fits_backend(const bench_trial *t, const op_case *c) {
    if (t->op < 0 || (c->kind == UC_OP_reorder && c->in[0].rank == 4)) return false;
    for (int k = 0; k < UC_MAX_INPUTS; k++)
        if (t->launch.in[k].shape.rank == 4 && !(c->weights & 1u << k) && t->launch.in[k].layout != c->layout)
            return false;
    return true;
}

static unclip_status time_case(const bench_options *o, uc_backend *backend, bench_sink *sink, const op_case *c,
                               bench_report *report, const bench_limits *limits, unclip_error *err) {
    char name[160];
    snprintf(name, sizeof name, "%s %s", uc_op_info_of(c->kind)->name, c->name);
    if (o->filter && !strstr(name, o->filter)) return UNCLIP_OK;
    if (!backend->supports(backend, c->type)) return UNCLIP_OK;
    if (uc_dtype_is_float(c->out_type) && !backend->supports(backend, c->out_type)) return UNCLIP_OK;
    op_data data;
    bench_trial t;
    bench_row row = { .name = name, .part = "case", .op = uc_op_info_of(c->kind)->name, .type = c->type, .times = 1 };
    op_data_fill(&data, c, 1);
    unclip_status status = bench_trial_new(&t, backend, sink, &data, err);
    if (!status) {
        if (fits_backend(&t, c)) {
            status = bench_trial_sample(&t, o, &row.time, err);
            row.flops = uc_op_flops(&t.launch);
            row.bytes = uc_op_bytes(&t.launch);
            if (!status) status = bench_report_row(report, &row, limits, err);
        }
        bench_trial_free(&t);
    }
    op_data_free(&data);
    return status ? uc_fail_prefix(err, status, "%s", name) : UNCLIP_OK;
}

static unclip_status time_cases(const bench_options *o, bench_report *report, const bench_limits *limits,
                                unclip_error *err) {
    uc_backend *backend = NULL;
    bench_sink sink;
    unclip_status status = bench_device_open(&backend, o, UNCLIP_RUN_TIMED, &sink, err);
    if (status) return status;
    for (int kind = UC_OP_NONE + 1; kind < UC_OP_COUNT && !status; kind++) {
        size_t count = 0;
        const op_case *cases = op_cases((uc_op_kind)kind, &count);
        for (size_t i = 0; i < count && !status; i++)
            status = time_case(o, backend, &sink, &cases[i], report, limits, err);
    }
    backend->close(backend);
    return status;
}

/* ---- the operations of a plan ------------------------------------------------------------------------------------ */

/* Operations that are the same work, wherever they stand. */
typedef struct group {
    char name[BENCH_LAUNCH_TEXT];
    uc_launch launch;
    uc_dtype type;
    double times; /* in one launch of all steps */
    bench_samples samples;
} group;

typedef struct groups {
    group *item;
    size_t count;
    size_t *of; /* by operation of the plan */
} groups;

static void drop_groups(groups *g) {
    for (size_t i = 0; i < g->count; i++) bench_drop(&g->item[i].samples);
    free(g->item);
    free(g->of);
}

static unclip_status collect_groups(groups *g, const bench_session *s, bench_part part, const uc_plan *plan,
                                    unclip_error *err) {
    const int phases = plan->graph->phase_count;
    const size_t ops = (size_t)plan->graph->op_count + 1;
    g->item = calloc(ops, sizeof *g->item);
    g->of = calloc(ops, sizeof *g->of);
    if (!g->item || !g->of) return uc_fail_memory(err, ops * sizeof *g->item, "operations");
    for (int phase = 0; phase < phases; phase++)
        for (int32_t i = plan->phase_begin[phase]; i < plan->phase_begin[phase + 1]; i++) {
            const uc_launch launch = uc_plan_launch(plan, i, NULL);
            char name[BENCH_LAUNCH_TEXT];
            size_t at = 0;
            bench_launch_text(&launch, name);
            while (at < g->count && strcmp(g->item[at].name, name) != 0) at++;
            if (at == g->count) {
                memcpy(g->item[at].name, name, sizeof name);
                g->item[at].launch = launch;
                g->item[at].type = bench_launch_type(&launch);
                g->count++;
            }
            g->item[at].times += bench_phase_times(s, part, phase, phases);
            g->of[i] = at;
        }
    return UNCLIP_OK;
}

/* One run of every phase; the first one of a program is the warm-up. */
static unclip_status run_once(bench_session *s, bench_part part, uc_program *program, groups *g, bool keep,
                              double *spent, unclip_error *err) {
    const uc_plan *plan = s->backend->plan(program);
    unclip_status status = UNCLIP_OK;
    for (int phase = 0; phase < plan->graph->phase_count && !status; phase++) {
        double seconds = 0;
        status = bench_phase_run(s, part, program, phase, &seconds, err);
        *spent += seconds;
        for (int32_t i = plan->phase_begin[phase]; i < plan->phase_begin[phase + 1] && keep && !status; i++)
            if (!bench_add(&g->item[g->of[i]].samples, s->sink.seconds[i]))
                status = uc_fail_memory(err, sizeof(double), "samples");
    }
    return status;
}

static unclip_status report_groups(groups *g, bench_session *s, bench_part part, bench_report *report,
                                   const bench_limits *limits, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < g->count && !status; i++) {
        group *item = &g->item[i];
        char name[BENCH_LAUNCH_TEXT + 32];
        snprintf(name, sizeof name, "%s: %s", bench_part_name(part), item->name);
        if (s->options->filter && !strstr(name, s->options->filter)) continue;
        const bench_row row = { .name = name, .part = "plan", .stage = bench_part_name(part),
                                .op = uc_op_info_of(item->launch.kind)->name, .type = item->type,
                                .time = bench_summarise(&item->samples), .times = item->times,
                                .flops = uc_op_flops(&item->launch), .bytes = uc_op_bytes(&item->launch) };
        status = bench_report_row(report, &row, limits, err);
    }
    return status;
}

static unclip_status time_part(bench_session *s, bench_part part, bench_report *report, const bench_limits *limits,
                               unclip_error *err) {
    uc_program *program = NULL;
    groups g = { 0 };
    unclip_status status = bench_part_program(s, part, &program, err);
    if (status) return status;
    const uc_plan *plan = s->backend->plan(program);
    s->sink.seconds = calloc((size_t)plan->graph->op_count + 1, sizeof *s->sink.seconds);
    if (!s->sink.seconds) status = uc_fail_memory(err, sizeof(double), "times");
    if (!status) status = collect_groups(&g, s, part, plan, err);
    if (!status) status = bench_part_fill(s, part, program, err);
    double spent = 0;
    for (int i = 0; i < s->options->warmup && !status; i++) status = run_once(s, part, program, &g, false, &spent, err);
    spent = 0;
    for (int i = 0; !status && (i < s->options->least || (i < s->options->most && spent < s->options->seconds)); i++)
        status = run_once(s, part, program, &g, true, &spent, err);
    if (!status) status = report_groups(&g, s, part, report, limits, err);
    drop_groups(&g);
    free(s->sink.seconds);
    s->sink.seconds = NULL;
    s->backend->release(s->backend, program);
    return status;
}

static unclip_status time_each(void *user, bench_session *s, bench_part part, unclip_error *err) {
    bench_measured *m = user;
    return time_part(s, part, &m->report, &m->limits, err);
}

unclip_status bench_ops(const bench_options *o, unclip_error *err) {
    bench_measured m;
    unclip_status status = bench_measured_open(&m, o, err);
    if (status) return status;
    if (o->cases) status = time_cases(o, &m.report, &m.limits, err);
    if (!status) status = bench_each_part(o, UNCLIP_RUN_TIMED, time_each, &m, err);
    bench_measured_close(&m);
    return status;
}

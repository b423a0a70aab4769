/* stages.c - unclip-bench stages: each stage by itself with invented inputs: making its program ready (weights in the
 * device's order, memory), what is prepared once, and a step, which is one evaluation of the network. */
#include <stdlib.h>

#include "limits.h"

/* What a phase is called in rows: 0 prepares; the last of the 64 -> 256 stage is its other network. */
static const char *phase_name(bench_part part, int phase, int phases) {
    if (part.text) return "encode";
    if (phase == 0) return "once";
    if (part.stage == UNCLIP_STAGE_PRIOR && phase + 1 == phases) return "embedding";
    return phase == 1 ? "step" : "last step";
}

static double phase_bytes(const uc_plan *plan, int phase) {
    double bytes = 0;
    for (int32_t i = plan->phase_begin[phase]; i < plan->phase_begin[phase + 1]; i++) {
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        bytes += uc_op_bytes(&launch);
    }
    return bytes;
}

static unclip_status time_phase(bench_session *s, bench_part part, uc_program *program, int phase,
                                bench_summary *summary, unclip_error *err) {
    bench_samples samples = { 0 };
    double seconds = 0, spent = 0;
    unclip_status status = UNCLIP_OK;
    for (int i = 0; i < s->options->warmup && !status; i++)
        status = bench_phase_run(s, part, program, phase, &seconds, err);
    while (!status && bench_wants_more(&samples, s->options, spent)) {
        status = bench_phase_run(s, part, program, phase, &seconds, err);
        spent += seconds;
        if (!status && !bench_add(&samples, seconds)) status = uc_fail_memory(err, sizeof seconds, "samples");
    }
    *summary = bench_summarise(&samples);
    bench_drop(&samples);
    return status;
}

static unclip_status report_once(bench_report *report, const bench_session *s, bench_part part, const char *what,
                                 double seconds, unclip_error *err) {
    char name[64];
    snprintf(name, sizeof name, "%s %s", bench_part_name(part), what);
    const bench_row row = { .name = name, .stage = bench_part_name(part), .part = what, .type = s->session.type,
                            .times = 1,
                            .time = { .count = 1, .min = seconds, .p50 = seconds, .p95 = seconds, .low = seconds,
                                      .high = seconds } };
    return bench_report_row(report, &row, NULL, err);
}

static unclip_status time_phases(bench_session *s, bench_part part, uc_program *program, bench_report *report,
                                 const bench_limits *limits, unclip_error *err) {
    const uc_plan *plan = s->backend->plan(program);
    const int phases = plan->graph->phase_count;
    unclip_status status = bench_part_fill(s, part, program, err);
    for (int phase = 0; phase < phases && !status; phase++) {
        if (plan->phase_begin[phase] == plan->phase_begin[phase + 1]) continue;
        char name[64];
        const char *what = phase_name(part, phase, phases);
        snprintf(name, sizeof name, "%s %s", bench_part_name(part), what);
        bench_row row = { .name = name, .stage = bench_part_name(part), .part = what, .type = s->session.type,
                          .times = bench_phase_times(s, part, phase, phases), .flops = uc_plan_flops(plan, phase),
                          .bytes = phase_bytes(plan, phase) };
        status = time_phase(s, part, program, phase, &row.time, err);
        if (!status) status = bench_report_row(report, &row, limits, err);
    }
    return status;
}

static unclip_status time_each(void *user, bench_session *s, bench_part part, unclip_error *err) {
    bench_measured *m = user;
    unclip_status status = UNCLIP_OK;
    /* the first program also brings the weights into order, the second one finds them so */
    for (int again = 0; again < 2 && !status; again++) {
        uc_program *program = NULL;
        const double begin = bench_now(s->options);
        status = bench_part_program(s, part, &program, err);
        const double seconds = bench_now(s->options) - begin;
        if (!status) status = report_once(&m->report, s, part, again ? "ready again" : "ready", seconds, err);
        if (!status && again) status = time_phases(s, part, program, &m->report, &m->limits, err);
        if (program) s->backend->release(s->backend, program);
    }
    return status;
}

unclip_status bench_stages(const bench_options *o, unclip_error *err) {
    bench_measured m;
    unclip_status status = bench_measured_open(&m, o, err);
    if (status) return status;
    status = bench_each_part(o, UNCLIP_RUN_REPLAY, time_each, &m, err);
    bench_measured_close(&m);
    return status;
}

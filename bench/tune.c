/* tune.c - unclip-bench tune: every convolution and linear layer of a model's plans by each implementation that gives
 * the same precision, in turns, and the fastest into a file (host/tuning.h) that later runs obey when they are told to.
 * This is the only place where a time chooses anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "host/backends.h"
#include "limits.h"
#include "weights/file.h"

/* One implementation of the operation at hand, on a backend that is told to take it. */
typedef struct contender {
    uc_way way;
    bench_options options;
    uc_tuning table;
    uc_backend *backend;
    bench_sink sink;
    bench_trial trial;
    bench_samples samples;
    bench_summary time;
} contender;

typedef struct race {
    const uc_launch *launch;
    uc_tuning_key key;
    op_data data;
    contender by[UC_WAY_COUNT];
    int count;
} race;

typedef struct tuner {
    const bench_options *options;
    uc_tuning found;
} tuner;

static op_case case_of(const uc_launch *l) {
    op_case c = { .kind = l->kind, .attrs = l->attrs, .layout = UC_PLAIN, .type = l->in[0].dtype,
                  .weight_type = l->in[1].dtype, .out_type = l->out[0].dtype, .batched = 1u << 0 | 1u << 3,
                  .weights = 1u << 1 | 1u << 2 };
    c.out[0] = l->out[0].shape;
    for (int k = 0; k < 4; k++) {
        c.in[k] = l->in[k].shape;
        c.in_type[k] = l->in[k].dtype;
    }
    return c;
}

static void leave(contender *c) {
    if (c->trial.program) bench_trial_free(&c->trial);
    if (c->backend) c->backend->close(c->backend);
    free(c->table.entries);
    bench_drop(&c->samples);
}

static unclip_status enter(race *r, const bench_options *o, uc_way way, unclip_error *err) {
    contender *c = &r->by[r->count];
    const uc_tuning_entry told = { .key = r->key, .way = way };
    *c = (contender){ .way = way, .options = *o };
    c->options.tuning = &c->table;
    unclip_status status = uc_tuning_set(&c->table, &told, err);
    if (!status) status = bench_device_open(&c->backend, &c->options, UNCLIP_RUN_TIMED, &c->sink, err);
    if (!status && uc_backend_cpu_way(c->backend, r->launch) == way) {
        status = bench_trial_new(&c->trial, c->backend, &c->sink, &r->data, err);
        if (!status) {
            r->count++;
            return UNCLIP_OK;
        }
    }
    leave(c);
    return status;
}

/* In turns, so that what else the machine does meets all alike. */
static unclip_status run_race(race *r, const bench_options *o, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    double seconds = 0, spent[UC_WAY_COUNT] = { 0 };
    bool more = true;
    for (int i = 0; i < r->count; i++)
        for (int k = 0; k < o->warmup && !status; k++) status = bench_trial_run(&r->by[i].trial, &seconds, err);
    while (more && !status) {
        more = false;
        for (int i = 0; i < r->count && !status; i++) {
            contender *c = &r->by[i];
            if (!bench_wants_more(&c->samples, o, spent[i])) continue;
            more = true;
            status = bench_trial_run(&c->trial, &seconds, err);
            spent[i] += seconds;
            if (!status && !bench_add(&c->samples, seconds)) status = uc_fail_memory(err, sizeof seconds, "samples");
        }
    }
    for (int i = 0; i < r->count; i++) r->by[i].time = bench_summarise(&r->by[i].samples);
    return status;
}

/* The backend's own rule stands unless another is faster beyond noise. */
static uc_way winner(const race *r, uc_way rule) {
    const contender *best = NULL;
    for (int i = 0; i < r->count; i++)
        if (r->by[i].way == rule) best = &r->by[i];
    for (int i = 0; i < r->count; i++)
        if (!best || (r->by[i].time.high < best->time.low && r->by[i].time.p50 < best->time.p50)) best = &r->by[i];
    return best ? best->way : rule;
}

static void print_race(const race *r, uc_way rule, uc_way chosen) {
    char name[BENCH_LAUNCH_TEXT];
    bench_launch_text(r->launch, name);
    printf("%-88s", name);
    for (int i = 0; i < r->count; i++) printf(" %8s %10.4g ms", uc_way_name(r->by[i].way), 1e3 * r->by[i].time.p50);
    printf("  %s%s\n", uc_way_name(chosen), chosen == rule ? "" : ", not by rule");
    fflush(stdout);
}

static unclip_status decide(tuner *t, const uc_launch *launch, const uc_tuning_key *key, uc_way rule,
                            unclip_error *err) {
    race *r = calloc(1, sizeof *r);
    if (!r) return uc_fail_memory(err, sizeof *r, "a race");
    const op_case c = case_of(launch);
    r->launch = launch;
    r->key = *key;
    op_data_fill(&r->data, &c, 1);
    unclip_status status = UNCLIP_OK;
    for (int way = UC_WAY_DIRECT; way < UC_WAY_COUNT && !status; way++) status = enter(r, t->options, (uc_way)way, err);
    if (!status && r->count > 1) status = run_race(r, t->options, err);
    if (!status && r->count > 1) {
        uc_tuning_entry entry = { .key = *key, .way = winner(r, rule) };
        for (int i = 0; i < r->count; i++) entry.seconds[r->by[i].way] = r->by[i].time.p50;
        print_race(r, rule, entry.way);
        status = uc_tuning_set(&t->found, &entry, err);
    }
    for (int i = 0; i < r->count; i++) leave(&r->by[i]);
    op_data_free(&r->data);
    free(r);
    return status;
}

static bool is_known(const tuner *t, const uc_tuning_key *key) {
    for (size_t i = 0; i < t->found.count; i++)
        if (!memcmp(&t->found.entries[i].key, key, sizeof *key)) return true;
    return false;
}

/* Plans alone: a model's own weights are not brought into any order. */
static unclip_status tune_part(void *user, bench_session *s, bench_part part, unclip_error *err) {
    tuner *t = user;
    const uc_target target = s->backend->target(s->backend);
    uc_plan *plan = NULL;
    uc_graph *graph = bench_part_graph(s, part);
    unclip_status status = graph ? uc_plan_new(&plan, graph, &target, true, err)
                                 : uc_fail_memory(err, sizeof *graph, "graph");
    for (int32_t i = 0; !status && i < plan->graph->op_count; i++) {
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        uc_tuning_key key;
        char name[BENCH_LAUNCH_TEXT];
        if (!uc_tuning_key_of(&key, &launch) || is_known(t, &key)) continue;
        bench_launch_text(&launch, name);
        if (t->options->filter && !strstr(name, t->options->filter)) continue;
        status = decide(t, &launch, &key, uc_backend_cpu_way(s->backend, &launch), err);
        if (status) uc_fail_prefix(err, status, "%s", name);
    }
    if (plan) uc_plan_free(plan);
    return status;
}

unclip_status bench_tune(const bench_options *o, unclip_error *err) {
    tuner t = { .options = o };
    uc_tuning *before = NULL;
    if (!o->output) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "where to? -o FILE names the cache");
    if (strcmp(o->device, "cpu") != 0 || bench_dtype(o->type) != UC_F32)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "only the cpu has a choice, in f32");
    if (o->tuning) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "choices are measured, not obeyed: leave --tuning out");
    /* a damaged file is found before the work, not after it */
    unclip_status status = uc_file_exists(o->output) ? uc_tuning_load(&before, o->output, err) : UNCLIP_OK;
    uc_tuning_free(before);
    if (!status) status = bench_each_part(o, UNCLIP_RUN_REPLAY, tune_part, &t, err);
    if (!status) status = uc_tuning_write(&t.found, o->output, err);
    if (!status) printf("%zu choices in %s\n", t.found.count, o->output);
    free(t.found.entries);
    return status;
}

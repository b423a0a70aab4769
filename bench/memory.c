/* memory.c - unclip-bench memory: what --estimate says of each stage beside the resident memory that a process really
 * had at most while the stage ran. Linux tells that peak and lets it be set back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "drawing.h"
#include "session.h"

typedef struct stage_memory {
    uint64_t weights, arena;      /* estimated bytes: as stored in the files; exact */
    uint64_t peak, anonymous;     /* resident bytes: at most during the stage; at its end without mapped files */
} stage_memory;

typedef struct all_memory {
    stage_memory stage[UNCLIP_STAGE_COUNT];
    uint64_t begin, peak;         /* resident bytes with the model opened; at most over everything */
} all_memory;

static uint64_t status_bytes(const char *key) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) kib = strtoull(line + strlen(key), NULL, 10);
    if (f) fclose(f);
    return 1024 * kib;
}

/* The peak begins anew; where that is not allowed, peaks only grow. */
static void reset_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f) return;
    fputs("5", f);
    fclose(f);
}

/* A stage's peak includes the preparation of its weights: it begins where the stage before ended. */
static int on_progress(void *user, const unclip_progress *progress) {
    all_memory *m = user;
    if (progress->step < progress->steps) return 0;
    stage_memory *s = &m->stage[progress->stage];
    s->peak = status_bytes("VmHWM:");
    s->anonymous = status_bytes("RssAnon:");
    if (s->peak > m->peak) m->peak = s->peak;
    reset_peak();
    return 0;
}

static unclip_status draw(const bench_options *o, void *result, unclip_error *err) {
    all_memory *m = result;
    unclip_engine *engine = NULL;
    unclip_generate_options want;
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    unclip_status status = bench_engine_open(&engine, o, err);
    if (status) return status;
    bench_want(&want, o);
    if (!o->steps)
        for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) want.stage[i].steps = 2; /* memory does not depend on steps */
    want.on_progress = on_progress;
    want.user = m;
    status = unclip_generate_estimate(engine, &want, &estimate, err);
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        m->stage[i].weights = estimate.stage[i].weight_bytes;
        m->stage[i].arena = estimate.stage[i].activation_bytes;
    }
    m->begin = status_bytes("VmRSS:");
    reset_peak();
    if (!status) status = unclip_generate(engine, &want, err);
    unclip_engine_close(engine);
    return status;
}

static unclip_status report_stage(bench_report *report, const bench_options *o, const char *name,
                                  const stage_memory *m, unclip_error *err) {
    const double mib = 1.0 / (1 << 20);
    printf("%-10s %14.1f %14.1f %14.1f %14.1f\n", name, mib * (double)m->weights, mib * (double)m->arena,
           mib * (double)m->peak, mib * (double)m->anonymous);
    return bench_report_object(report, json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I}", "name", name, "type",
                                                 bench_type_name(bench_dtype(o->type)), "batch", o->batch,
                                                 "weight_bytes", (json_int_t)m->weights, "activation_bytes",
                                                 (json_int_t)m->arena, "peak_bytes", (json_int_t)m->peak,
                                                 "anonymous_bytes", (json_int_t)m->anonymous), err);
}

static unclip_status report_all(bench_report *report, const bench_options *o, const all_memory *m, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    stage_memory all = { .peak = m->peak, .anonymous = 0 };
    printf("%-10s %14s %14s %14s %14s\n", "MiB", "weights", "activations", "resident peak", "without files");
    for (int i = 0; i < UNCLIP_STAGE_COUNT && !status; i++) {
        const stage_memory *s = &m->stage[i];
        all.weights += s->weights;
        if (s->arena > all.arena) all.arena = s->arena;
        if (s->anonymous > all.anonymous) all.anonymous = s->anonymous;
        if (s->peak) status = report_stage(report, o, unclip_stage_name((unclip_stage)i), s, err);
    }
    return status ? status : report_stage(report, o, "all", &all, err);
}

unclip_status bench_memory(const bench_options *o, unclip_error *err) {
    bench_report report;
    all_memory m = { .begin = 0 };
    unclip_status status = bench_report_open(&report, o, NULL, err);
    if (status) return status;
    status = bench_apart(o, draw, &m, sizeof m, err);
    if (!status) status = report_all(&report, o, &m, err);
    bench_report_close(&report);
    return status;
}

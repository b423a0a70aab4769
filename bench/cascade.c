/* cascade.c - unclip-bench cascade: whole pictures, prompt to RGB bytes, through the public interface; split by stage.
 * The first launch after opening is reported apart: it brings the weights into the device's order. */
#include <stdlib.h>
#include <string.h>

#include "drawing.h"
#include "session.h"

/* Times of one launch: each stage, what is neither (text, delivery), and all of it. */
enum { REST = UNCLIP_STAGE_COUNT, ALL, SPLITS };

static const char *split_name(int split) {
    return split == REST ? "text and delivery" : split == ALL ? "all" : unclip_stage_name((unclip_stage)split);
}

typedef struct launch { double stage[UNCLIP_STAGE_COUNT]; size_t pictures; } launch;

static int on_image(void *user, const unclip_image *image) {
    launch *l = user;
    memcpy(l->stage, image->stage_seconds, sizeof l->stage);
    l->pictures++;
    return 0;
}

static unclip_status draw(const bench_options *o, unclip_engine *engine, double split[SPLITS], unclip_error *err) {
    unclip_generate_options want;
    launch l = { .pictures = 0 };
    bench_want(&want, o);
    want.on_image = on_image;
    want.user = &l;
    bench_options wall = *o;
    wall.cpu_clock = false; /* as the library's own times of stages are */
    const double begin = bench_now(&wall);
    const unclip_status status = unclip_generate(engine, &want, err);
    split[ALL] = split[REST] = bench_now(&wall) - begin;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) {
        split[s] = l.stage[s];
        split[REST] -= l.stage[s];
    }
    return status;
}

static unclip_status report_splits(bench_report *report, const bench_options *o, bench_samples samples[SPLITS],
                                   const char *when, const unclip_estimate *estimate, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (int i = 0; i < SPLITS && !status; i++) {
        const bench_summary time = bench_summarise(&samples[i]);
        const bool stage = i < UNCLIP_STAGE_COUNT;
        if (!time.count || (stage && time.p50 <= 0)) continue;
        char name[96];
        snprintf(name, sizeof name, "%d image%s, %s: %s", o->batch, o->batch > 1 ? "s" : "", when, split_name(i));
        bench_row row = { .name = name, .stage = stage ? split_name(i) : NULL, .part = when,
                          .type = bench_dtype(o->type), .time = time, .times = 1 };
        if (stage) row.flops = estimate->stage[i].flops;
        row.more = stage ? json_pack("{s:i}", "steps", estimate->stage[i].steps) : NULL;
        status = bench_report_row(report, &row, NULL, err);
    }
    return status;
}

static unclip_status draw_and_add(const bench_options *o, unclip_engine *engine, bench_samples samples[SPLITS],
                                  double *seconds, unclip_error *err) {
    double split[SPLITS];
    unclip_status status = draw(o, engine, split, err);
    for (int i = 0; i < SPLITS && !status; i++)
        if (!bench_add(&samples[i], split[i])) status = uc_fail_memory(err, sizeof *split, "samples");
    *seconds = split[ALL];
    return status;
}

static unclip_status measure(const bench_options *o, unclip_engine *engine, bench_report *report, unclip_error *err) {
    bench_samples first[SPLITS] = { { 0 } }, warm[SPLITS] = { { 0 } };
    unclip_generate_options want;
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    double seconds = 0, spent = 0;
    bench_want(&want, o);
    unclip_status status = unclip_generate_estimate(engine, &want, &estimate, err);
    if (!status) status = draw_and_add(o, engine, first, &seconds, err);
    if (!status) status = report_splits(report, o, first, "first", &estimate, err);
    while (!status && bench_wants_more(&warm[ALL], o, spent)) {
        status = draw_and_add(o, engine, warm, &seconds, err);
        spent += seconds;
    }
    if (!status) status = report_splits(report, o, warm, "warm", &estimate, err);
    for (int i = 0; i < SPLITS; i++) {
        bench_drop(&first[i]);
        bench_drop(&warm[i]);
    }
    return status;
}

unclip_status bench_cascade(const bench_options *o, unclip_error *err) {
    bench_report report;
    unclip_engine *engine = NULL;
    unclip_status status = bench_report_new(&report, o, err);
    if (status) return status;
    status = bench_engine_open(&engine, o, err);
    if (!status) status = measure(o, engine, &report, err);
    unclip_engine_close(engine);
    bench_report_close(&report);
    return status;
}

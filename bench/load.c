/* load.c - unclip-bench load: how long until the first step is done, in a process of its own each time; warm, with the
 * files in the system's cache, and cold, after it was asked to forget them. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "drawing.h"
#include "session.h"

/* Seconds from the beginning of the child's work. */
typedef struct arrival { double opened, first_step; } arrival;

typedef struct waiting { const bench_options *options; double begin, first_step; } waiting;

/* Stops after the first step of the first stage. */
static int on_progress(void *user, const unclip_progress *progress) {
    waiting *w = user;
    if (!progress->step) return 0;
    w->first_step = bench_now(w->options) - w->begin;
    return 1;
}

static unclip_status arrive(const bench_options *o, void *result, unclip_error *err) {
    arrival *a = result;
    waiting w = { .options = o, .begin = bench_now(o) };
    unclip_engine *engine = NULL;
    unclip_generate_options want;
    unclip_status status = bench_engine_open(&engine, o, err);
    if (status) return status;
    a->opened = bench_now(o) - w.begin;
    bench_want(&want, o);
    want.on_progress = on_progress;
    want.user = &w;
    status = unclip_generate(engine, &want, err);
    a->first_step = w.first_step;
    unclip_engine_close(engine);
    return status == UNCLIP_ERR_CANCELLED ? UNCLIP_OK : status;
}

/* The system may keep what others have mapped; then cold is warm, and the rows show it. */
static int forget(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info, (void)place;
    if (type != FTW_F) return 0;
    const int fd = open(path, O_RDONLY);
    if (fd < 0) return 0;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

static unclip_status report_arrivals(bench_report *report, const bench_options *o, bench_samples *samples,
                                     const char *what, const char *when, unclip_error *err) {
    char name[64];
    snprintf(name, sizeof name, "%s, %s", what, when);
    const bench_row row = { .name = name, .part = when, .type = bench_dtype(o->type), .times = 1,
                            .time = bench_summarise(samples) };
    return bench_report_row(report, &row, NULL, err);
}

static unclip_status measure(const bench_options *o, bench_report *report, bool cold, unclip_error *err) {
    bench_samples opened = { 0 }, first = { 0 };
    const char *when = cold ? "cold" : "warm";
    unclip_status status = UNCLIP_OK;
    double spent = 0;
    if (!cold) {
        arrival warm_up;
        status = bench_apart(o, arrive, &warm_up, sizeof warm_up, err);
    }
    while (!status && bench_wants_more(&first, o, spent)) {
        arrival a = { 0 };
        if (cold) nftw(o->model, forget, 16, FTW_PHYS);
        status = bench_apart(o, arrive, &a, sizeof a, err);
        spent += a.first_step;
        if (!status && (!bench_add(&opened, a.opened) || !bench_add(&first, a.first_step)))
            status = uc_fail_memory(err, sizeof a, "samples");
    }
    if (!status) status = report_arrivals(report, o, &opened, "model opened", when, err);
    if (!status) status = report_arrivals(report, o, &first, "first step done", when, err);
    bench_drop(&opened);
    bench_drop(&first);
    return status;
}

unclip_status bench_load(const bench_options *o, unclip_error *err) {
    bench_report report;
    /* not bench_report_new: a child must find no library's threads started */
    unclip_status status = bench_report_open(&report, o, NULL, err);
    if (status) return status;
    status = measure(o, &report, true, err);
    if (!status) status = measure(o, &report, false, err);
    bench_report_close(&report);
    return status;
}

/* limits.h - what the device can do at most, measured with the engine's own operations: a copy, matmul and convolution
 * of sizes that suit it. And single operations as programs of their own, of which that is made. */
#ifndef UC_BENCH_LIMITS_H
#define UC_BENCH_LIMITS_H

#include "engine/core/backend.h"
#include "session.h"
#include "tests/ops/driver.h"

/* One operation as a program on a backend in mode timed. */
typedef struct bench_trial {
    uc_backend *backend;
    bench_sink *sink;
    const op_data *data;
    uc_param items[UC_MAX_INPUTS]; /* the weights */
    uc_params params;
    char names[UC_MAX_INPUTS][8];
    uc_program *program;
    int32_t op;                    /* which of the plan's it is, reorders being others; -1: it needs no work */
    uc_launch launch;              /* shapes and layouts as planned; no data */
} bench_trial;

/* data: the case with its inputs in memory, which must stay; inputs without data stay zero. */
unclip_status bench_trial_new(bench_trial *t, uc_backend *backend, bench_sink *sink, const op_data *data,
                              unclip_error *err);
void bench_trial_free(bench_trial *t);
unclip_status bench_trial_run(bench_trial *t, double *seconds, unclip_error *err);

/* Warm-up, then samples until there are enough. */
unclip_status bench_trial_sample(bench_trial *t, const bench_options *options, bench_summary *summary,
                                 unclip_error *err);

unclip_status bench_limits_measure(bench_limits *limits, const bench_options *options, unclip_error *err);

/* A report that begins with the limits of the options' device. */
typedef struct bench_measured { bench_report report; bench_limits limits; } bench_measured;

unclip_status bench_measured_open(bench_measured *m, const bench_options *options, unclip_error *err);
void bench_measured_close(bench_measured *m);

#endif

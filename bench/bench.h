/* bench.h - unclip-bench: what its subcommands share. It stands outside the flow and measures every arrow of it: the
 * options of the command line, the clock, samples and what is said of them. */
#ifndef UC_BENCH_H
#define UC_BENCH_H

#include "engine/core/error.h"
#include "engine/core/tensor.h"

enum { BENCH_SCHEMA = 1, BENCH_OPERANDS = 2 };

typedef struct bench_options {
    const char *command;
    const char *operand[BENCH_OPERANDS];
    int operands;
    const char *model, *device, *output, *filter, *prompt;
    unclip_type type;
    int threads;                     /* 0 = all */
    int batch;                       /* images in a launch */
    int steps;                       /* of every stage; 0 = the model's own */
    bool stage[UNCLIP_STAGE_COUNT];  /* which; all when none was named */
    bool text;                       /* the text encoder */
    int least, most;                 /* samples */
    int warmup;
    double seconds;                  /* of one measurement, about */
    bool cpu_clock;                  /* the process's processor time instead of the wall's */
    bool small;                      /* limits from small operands: does it work, not how fast */
    bool cases;                      /* ops: the list of the tests too */
    const char *tuning_file;
    const struct uc_tuning *tuning;  /* what it says of this machine, or NULL */
} bench_options;

/* Seconds by the wall, or of processor time of all threads. */
double bench_now(const bench_options *options);

uc_dtype bench_dtype(unclip_type type);
const char *bench_type_name(uc_dtype type); /* "f32" */

/* ---- samples ----------------------------------------------------------------------------------------------------- */

typedef struct bench_samples { double *value; size_t count, capacity; } bench_samples;

/* low ... high: where the median lies with 95 % confidence, from order statistics; with few samples their range. */
typedef struct bench_summary { size_t count; double min, p50, p95, low, high; } bench_summary;

bool bench_add(bench_samples *samples, double value); /* false when out of memory */
void bench_drop(bench_samples *samples);
bench_summary bench_summarise(bench_samples *samples); /* sorts them; zeros when there are none */

/* Whether another one is wanted: at least `least`, at most `most`, and in between until the median is known to 2 % or
 * `spent` seconds exceed the options' budget. */
bool bench_wants_more(bench_samples *samples, const bench_options *options, double spent);

/* ---- subcommands ------------------------------------------------------------------------------------------------- */

unclip_status bench_ops(const bench_options *options, unclip_error *err);
unclip_status bench_stages(const bench_options *options, unclip_error *err);
unclip_status bench_cascade(const bench_options *options, unclip_error *err);
unclip_status bench_load(const bench_options *options, unclip_error *err);
unclip_status bench_memory(const bench_options *options, unclip_error *err);
unclip_status bench_evaluate(const bench_options *options, unclip_error *err);
unclip_status bench_tune(const bench_options *options, unclip_error *err);
unclip_status bench_compare(const bench_options *options, unclip_error *err);
unclip_status bench_roofline(const bench_options *options, unclip_error *err);

#endif

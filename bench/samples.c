/* samples.c - see bench.h: the clock, and what may be said of a set of measured times. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

double bench_now(const bench_options *options) {
    struct timespec t;
    clock_gettime(options->cpu_clock ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

uc_dtype bench_dtype(unclip_type type) {
    return type == UNCLIP_TYPE_BF16 ? UC_BF16 : type == UNCLIP_TYPE_F16 ? UC_F16 : UC_F32;
}

const char *bench_type_name(uc_dtype type) { return type == UC_BF16 ? "bf16" : type == UC_F16 ? "f16" : "f32"; }

bool bench_add(bench_samples *s, double value) {
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 32;
        double *grown = realloc(s->value, capacity * sizeof *grown);
        if (!grown) return false;
        s->value = grown;
        s->capacity = capacity;
    }
    s->value[s->count++] = value;
    return true;
}

void bench_drop(bench_samples *samples) {
    free(samples->value);
    *samples = (bench_samples){ 0 };
}

static int ascending(const void *pa, const void *pb) {
    const double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

/* Between the two neighbours in order, as most plotting tools do. */
static double quantile(const bench_samples *s, double q) {
    const double at = q * (double)(s->count - 1);
    const size_t below = (size_t)at, above = below + 1 < s->count ? below + 1 : below;
    return s->value[below] + (at - (double)below) * (s->value[above] - s->value[below]);
}

bench_summary bench_summarise(bench_samples *s) {
    if (!s->count) return (bench_summary){ 0 };
    qsort(s->value, s->count, sizeof *s->value, ascending);
    /* the median's rank is binomial: n / 2 with a deviation of sqrt(n) / 2 */
    const double n = (double)s->count, reach = 1.96 * sqrt(n) / 2;
    const double low = fmax(floor((n - 1) / 2 - reach), 0), high = n - 1 - low;
    return (bench_summary){ .count = s->count,
                            .min = s->value[0],
                            .p50 = quantile(s, 0.5),
                            .p95 = quantile(s, 0.95),
                            .low = s->value[(size_t)low],
                            .high = s->value[(size_t)high] };
}

bool bench_wants_more(bench_samples *samples, const bench_options *options, double spent) {
    if (samples->count < (size_t)options->least) return true;
    if (samples->count >= (size_t)options->most || spent >= options->seconds) return false;
    const bench_summary s = bench_summarise(samples);
    return s.high - s.low > 0.04 * s.p50;
}

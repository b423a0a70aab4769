/* What unclip-bench says of a set of times, with exact binomial probabilities. */
#include <criterion/criterion.h>
#include <math.h>

#include "bench/bench.h"

static bench_samples shuffled(size_t n) {
    bench_samples s = { 0 };
    for (size_t i = 0; i < n; i++) cr_assert(bench_add(&s, (double)(1 + i * 7919 % n)));
    return s;
}

Test(bench_samples, quantiles_of_a_permutation) {
    bench_samples s = shuffled(101); /* 7919 is a prime that does not divide it */
    const bench_summary sum = bench_summarise(&s);
    cr_expect_eq(sum.count, 101);
    cr_expect_float_eq(sum.min, 1, 1e-12);
    cr_expect_float_eq(sum.p50, 51, 1e-12);
    cr_expect_float_eq(sum.p95, 96, 1e-12);
    bench_drop(&s);
    cr_expect_eq(bench_summarise(&s).count, 0);
}

/* P(k of n fair coins are heads). */
static double binomial(size_t n, size_t k) {
    return exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) - (double)n * log(2));
}

/* Values are their ranks, so the interval says which order statistics it took: r-th to s-th. The median lies between
 * them with the probability that at least r and fewer than s of n samples are below it. */
Test(bench_samples, the_interval_holds_the_median) {
    for (size_t n = 6; n <= 400; n += 7) {
        if (n % 7919 == 0) continue;
        bench_samples s = shuffled(n);
        const bench_summary sum = bench_summarise(&s);
        double covered = 0;
        for (size_t k = (size_t)sum.low; k < (size_t)sum.high; k++) covered += binomial(n, k);
        cr_expect(covered >= 0.95, "%zu samples: ranks %g to %g hold it with %g", n, sum.low, sum.high, covered);
        if (n > 100) cr_expect(covered <= 0.98, "%zu samples: ranks %g to %g are too wide", n, sum.low, sum.high);
        bench_drop(&s);
    }
}

Test(bench_samples, how_many_are_wanted) {
    const bench_options o = { .least = 5, .most = 50, .seconds = 10 };
    bench_samples steady = { 0 }, noisy = { 0 };
    for (int i = 0; i < 4; i++) cr_assert(bench_add(&steady, 1));
    cr_expect(bench_wants_more(&steady, &o, 100), "fewer than the least");
    cr_assert(bench_add(&steady, 1));
    cr_expect_not(bench_wants_more(&steady, &o, 0), "all alike");
    for (int i = 0; i < 20; i++) cr_assert(bench_add(&noisy, 1 + 0.1 * (i % 5)));
    cr_expect(bench_wants_more(&noisy, &o, 0), "spread");
    cr_expect_not(bench_wants_more(&noisy, &o, 10), "no time left");
    while (noisy.count < 50) cr_assert(bench_add(&noisy, (double)(noisy.count % 3)));
    cr_expect_not(bench_wants_more(&noisy, &o, 0), "the most");
    bench_drop(&steady);
    bench_drop(&noisy);
}

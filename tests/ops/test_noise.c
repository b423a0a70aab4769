/* test_noise.c - the vectors of numbers under a sampler's step, with every instruction set of this machine, against
 * engine/core/philox.h's words in double precision. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/core/philox.h"
#include "kernels/cpu/noise.h"

/* Element i of a draw by the definition. */
static double expected(uc_noise_key key, uint64_t i) {
    const uint64_t block = i / 4;
    const uc_philox_words counter = { { (uint32_t)block, (uint32_t)(block >> 32), key.draw, key.stage } };
    const uc_philox_words r = uc_philox4x32_10(counter, (uint32_t)key.seed, (uint32_t)(key.seed >> 32));
    const int pair = (int)(i % 4 / 2);
    const float u = ((float)(r.word[2 * pair] >> 8) + 0.5f) * (1.0f / 16777216.0f);
    const float angle = (float)(r.word[2 * pair + 1] >> 8) * (6.28318530717958648f / 16777216.0f);
    const double radius = sqrt(-2 * log((double)u));
    return radius * (i % 2 ? sin((double)angle) : cos((double)angle));
}

Test(noise, normals_are_the_definitions) {
    enum { COUNT = 200003 };
    static float out[COUNT];
    /* the second one crosses the counter's 32nd bit */
    static const struct { uc_noise_key key; uint64_t block; } cases[] = {
        { { 7, 1, 3 }, 0 },
        { { 0xFEDCBA9876543210u, 3, 0xFFFFFFFFu }, 0xFFFFFFFFu - 20000 },
        { { 0, 0, 0 }, 1u << 30 },
    };
    for (int isa = UC_ISA_BASE; isa <= (int)uc_cpu_isa(); isa++)
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            uc_cpu_normal_for((uc_isa)isa, out, COUNT, cases[c].key, cases[c].block);
            double worst = 0;
            for (uint64_t i = 0; i < COUNT; i++) {
                const double want = expected(cases[c].key, 4 * cases[c].block + i), error = fabs((double)out[i] - want);
                worst = isnan(error) ? INFINITY : fmax(worst, error);
            }
            cr_expect_lt(worst, 1e-6, "%s, case %zu: off by %g", uc_cpu_isa_name((uc_isa)isa), c, worst);
        }
}

/* Any length, and the same bytes however a draw is cut; nothing is written beyond. */
Test(noise, any_cut_of_a_draw) {
    enum { COUNT = 512 };
    const uc_noise_key key = { 42, 2, 9 };
    float whole[COUNT], part[COUNT + 1];
    for (int isa = UC_ISA_BASE; isa <= (int)uc_cpu_isa(); isa++) {
        uc_cpu_normal_for((uc_isa)isa, whole, COUNT, key, 100);
        for (int64_t from = 0; from < 80; from += 4)
            for (int64_t count = 0; count < 150; count++) {
                part[count] = 1234;
                uc_cpu_normal_for((uc_isa)isa, part, count, key, 100 + (uint64_t)from / 4);
                cr_assert(!memcmp(part, whole + from, (size_t)count * sizeof *part) && part[count] >= 1234,
                          "%s: elements %lld ... + %lld", uc_cpu_isa_name((uc_isa)isa), (long long)from,
                          (long long)count);
            }
    }
}

Test(noise, exponentials) {
    float x[1001];
    for (int isa = UC_ISA_BASE; isa <= (int)uc_cpu_isa(); isa++) {
        for (int i = 0; i < 1001; i++) x[i] = (float)(i - 900) * 0.05f;
        uc_cpu_exponential_for((uc_isa)isa, x, 1000); /* not a whole number of vectors */
        for (int i = 0; i < 1000; i++) {
            const double want = exp((double)((float)(i - 900) * 0.05f));
            cr_assert_lt(fabs((double)x[i] / want - 1), 3e-7, "%s: element %d", uc_cpu_isa_name((uc_isa)isa), i);
        }
        cr_assert(x[1000] > 4.99f && x[1000] < 5.01f, "%s: written beyond the end", uc_cpu_isa_name((uc_isa)isa));
    }
}

/* philox.c - the engine's noise: known answers of the generator, moments of the normals, and that a number depends on
 * nothing but its key. */
#include "sampling_case.h"

#include "engine/core/philox.h"
#include "engine/sampling/noise.h"

/* kat_vectors of Random123 for philox4x32 with 10 rounds. */
Test(sampling_philox, known_answers) {
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } cases[] = {
        { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_philox_words counter;
        memcpy(counter.word, cases[i].counter, sizeof counter.word);
        const uc_philox_words out = uc_philox4x32_10(counter, cases[i].key[0], cases[i].key[1]);
        for (int k = 0; k < 4; k++)
            cr_assert_eq(out.word[k], cases[i].answer[k], "case %zu word %d: %08x, not %08x", i, k, out.word[k],
                         cases[i].answer[k]);
    }
}

/* With 2^20 samples the mean's own deviation is 0.001, the variance's 0.0014, skewness' 0.0024, kurtosis' 0.005. */
Test(sampling_philox, normal_moments) {
    enum { COUNT = 1 << 20 };
    float *x = malloc(COUNT * sizeof *x);
    cr_assert_not_null(x);
    uc_philox_fill(x, COUNT, 7, 1, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, pairs = 0, beyond = 0;
    for (int i = 0; i < COUNT; i++) {
        const double v = (double)x[i];
        cr_assert(isfinite(v), "element %d is not finite", i);
        m1 += v;
        m2 += v * v;
        m3 += v * v * v;
        m4 += v * v * v * v;
        beyond += fabs(v) > 1.959963985;
        if (i > 0) neighbours += v * (double)x[i - 1];
        if (i > 3) pairs += v * (double)x[i - 4];
    }
    assert_near(m1 / COUNT, 0, 0.005, "mean");
    assert_near(m2 / COUNT, 1, 0.007, "variance");
    assert_near(m3 / COUNT, 0, 0.013, "skewness");
    assert_near(m4 / COUNT, 3, 0.03, "kurtosis");
    assert_near(beyond / COUNT, 0.05, 0.0015, "both tails of 5 percent");
    assert_near(neighbours / COUNT, 0, 0.005, "correlation of neighbours");
    assert_near(pairs / COUNT, 0, 0.005, "correlation of blocks");
    free(x);
}

static double correlation(const float *a, const float *b, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum / count;
}

/* Every part of the key makes a draw of its own, and neighbouring seeds have nothing in common. */
Test(sampling_philox, keys_are_independent) {
    enum { COUNT = 1 << 16 };
    static float base[COUNT], other[COUNT];
    uc_philox_fill(base, COUNT, 7, 1, 2);
    static const struct {
        uint64_t seed;
        uint32_t stage, draw;
    } keys[] = {
        { 8, 1, 2 }, { 7, 2, 2 }, { 7, 1, 3 }, { 7, 2, 1 }, { 7 + (UINT64_C(1) << 32), 1, 2 }, { UINT64_MAX, 1, 2 },
    };
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        uc_philox_fill(other, COUNT, keys[k].seed, keys[k].stage, keys[k].draw);
        assert_near(correlation(base, other, COUNT), 0, 0.02, "key %zu", k);
    }
}

/* A picture's noise begins the same however much of it is drawn, and the tail of a block is not lost. */
Test(sampling_philox, a_prefix_is_a_prefix) {
    float longer[64], part[64];
    uc_philox_fill(longer, 64, 3, 0, 5);
    for (int count = 0; count <= 64; count++) {
        for (int i = 0; i < 64; i++) part[i] = NAN;
        uc_philox_fill(part, count, 3, 0, 5);
        cr_assert_eq(memcmp(part, longer, (size_t)count * sizeof *part), 0, "the first %d elements differ", count);
        for (int i = count; i < 64; i++) cr_assert(isnan(part[i]), "element %d of %d was written", i, count);
    }
}

/* noise_step draws element i of image k from image k's seed alone, whatever the batch. */
Test(sampling_philox, noise_step_is_keyed_by_image) {
    enum { BATCH = 3, CHANNELS = 2, SIDE = 3, IMAGE = CHANNELS * SIDE * SIDE };
    float x[BATCH * IMAGE] = { 0 }, x0[BATCH * IMAGE] = { 0 }, prediction[BATCH * IMAGE] = { 0 };
    int64_t seeds[BATCH] = { 41, -5, INT64_C(0x7fffffff00000001) };
    const uc_step step = { .stage = 2, .noise_index = 9, .add_noise = 1, .sigma = 1, .sqrt_alpha_bar = 1 };
    const uc_shape shape = UC_SHAPE4(BATCH, CHANNELS, SIDE, SIDE);
    uc_launch launch = { .kind = UC_OP_noise_step, .step = &step, .threads = 1 };
    launch.in[UC_NOISE_X] = launch.out[0] = (uc_view){ .shape = shape, .data = x };
    launch.in[UC_NOISE_X0] = launch.out[1] = (uc_view){ .shape = shape, .data = x0 };
    launch.in[UC_NOISE_PREDICTION] = (uc_view){ .shape = shape, .data = prediction };
    launch.in[UC_NOISE_SEEDS] = (uc_view){ .dtype = UC_I64, .shape = UC_SHAPE1(BATCH), .data = seeds };
    uc_ref_noise_step(&launch);
    for (int k = 0; k < BATCH; k++) {
        float alone[IMAGE];
        uc_philox_fill(alone, IMAGE, (uint64_t)seeds[k], 2, 9);
        cr_assert_eq(memcmp(alone, x + k * IMAGE, sizeof alone), 0, "image %d has another's noise", k);
    }
}

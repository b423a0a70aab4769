/* torch_rng.c - the noise of `--rng torch-cpu`, which starts the prior, the decoder and the upsamplers and is added in
 * their steps: what PyTorch's CPU generator draws.
 *
 * Tensors of 16 numbers and more (ATen/native/cpu/DistributionTemplates.h, normal_fill): the whole tensor is filled
 * with uniforms of 24 bits, then each block of 16 becomes 8 Box-Muller pairs; when the size is not a multiple of 16, the
 * last 16 numbers are drawn and transformed once more. Smaller ones: one by one in double, two to a pair, and the second
 * of a pair waits in the generator, also past larger tensors (ATen/core/DistributionsHelper.h, normal_distribution).
 * PyTorch's vectorised logarithm and sine differ from libm's in the last place; so may these numbers. */
#include "torch_rng.h"

#include <math.h>

enum { N = UC_MT19937_WORDS, M = 397, BLOCK = 16 };

void uc_torch_rng_seed(uc_torch_rng *rng, uint64_t seed) {
    rng->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < N; i++) {
        const uint32_t last = rng->state[i - 1];
        rng->state[i] = 1812433253u * (last ^ last >> 30) + i;
    }
    rng->used = N;
    rng->has_next = false;
    rng->next = 0.0;
}

static void refill(uc_torch_rng *rng) {
    uint32_t *s = rng->state;
    for (int i = 0; i < N; i++) {
        const uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % N] & 0x7FFFFFFFu);
        s[i] = s[(i + M) % N] ^ y >> 1 ^ (y & 1u ? 0x9908B0DFu : 0u);
    }
    rng->used = 0;
}

uint32_t uc_torch_rng_bits(uc_torch_rng *rng) {
    if (rng->used == N) refill(rng);
    uint32_t y = rng->state[rng->used++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

/* [0, 1) */
static float uniform_float(uc_torch_rng *rng) {
    return (float)(uc_torch_rng_bits(rng) & 0xFFFFFFu) * (1.0f / 16777216.0f);
}

static double uniform_double(uc_torch_rng *rng) {
    const uint64_t high = uc_torch_rng_bits(rng), low = uc_torch_rng_bits(rng);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

static void fill_block(float block[BLOCK]) {
    for (int i = 0; i < BLOCK / 2; i++) {
        const float u1 = 1.0f - block[i]; /* (0, 1], for the logarithm */
        const float u2 = block[i + BLOCK / 2];
        const float radius = sqrtf(-2.0f * logf(u1));
        const float theta = 6.28318530717958648f * u2;
        block[i] = radius * cosf(theta);
        block[i + BLOCK / 2] = radius * sinf(theta);
    }
}

static double normal_double(uc_torch_rng *rng) {
    if (rng->has_next) {
        rng->has_next = false;
        return rng->next;
    }
    const double u1 = uniform_double(rng), u2 = uniform_double(rng);
    const double radius = sqrt(-2.0 * log1p(-u2));
    const double theta = 2.0 * 3.14159265358979323846 * u1;
    rng->next = radius * sin(theta);
    rng->has_next = true;
    return radius * cos(theta);
}

void uc_torch_rng_normal(uc_torch_rng *rng, float *out, int64_t count) {
    if (count < BLOCK) {
        for (int64_t i = 0; i < count; i++) out[i] = (float)normal_double(rng);
        return;
    }
    for (int64_t i = 0; i < count; i++) out[i] = uniform_float(rng);
    for (int64_t i = 0; i + BLOCK <= count; i += BLOCK) fill_block(out + i);
    if (count % BLOCK == 0) return;
    float *last = out + count - BLOCK;
    for (int i = 0; i < BLOCK; i++) last[i] = uniform_float(rng);
    fill_block(last);
}

/* philox.h - the engine's noise: Philox4x32-10 keyed by (seed, stage, draw, element).
 *
 * A sample depends on nothing but its key, so a picture has the same noise in any batch, on any device and in any order
 * of execution. (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.) Plain C that CUDA compiles. */
#ifndef UC_CORE_PHILOX_H
#define UC_CORE_PHILOX_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define UC_HOST_DEVICE __host__ __device__
#else
#define UC_HOST_DEVICE
#endif

typedef struct uc_philox_words { uint32_t word[4]; } uc_philox_words;

/* One block of four words from a 128-bit counter and a 64-bit key. */
static inline UC_HOST_DEVICE uc_philox_words uc_philox4x32_10(uc_philox_words counter, uint32_t key0, uint32_t key1) {
    uint32_t a = counter.word[0], b = counter.word[1], c = counter.word[2], d = counter.word[3];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * a, p1 = (uint64_t)0xCD9E8D57u * c;
        a = (uint32_t)(p1 >> 32) ^ b ^ key0;
        b = (uint32_t)p1;
        c = (uint32_t)(p0 >> 32) ^ d ^ key1;
        d = (uint32_t)p0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    const uc_philox_words out = { { a, b, c, d } };
    return out;
}

/* Uniform numbers between 0 and 1, both excluded, for elements 4 block ... 4 block + 3: 23 bits and a half step, which
 * a float holds exactly, so that both logarithms of Gumbel noise are finite. */
static inline UC_HOST_DEVICE void uc_philox_uniform4(uint64_t seed, uint32_t stage, uint32_t draw, uint64_t block,
                                                     float out[4]) {
    const uc_philox_words counter = { { (uint32_t)block, (uint32_t)(block >> 32), draw, stage } };
    const uc_philox_words r = uc_philox4x32_10(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    for (int k = 0; k < 4; k++) out[k] = ((float)(r.word[k] >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

/* Standard normals for elements 4 block ... 4 block + 3 of one draw: two Box-Muller pairs. */
static inline UC_HOST_DEVICE void uc_philox_normal4(uint64_t seed, uint32_t stage, uint32_t draw, uint64_t block,
                                                    float out[4]) {
    const uc_philox_words counter = { { (uint32_t)block, (uint32_t)(block >> 32), draw, stage } };
    const uc_philox_words r = uc_philox4x32_10(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    for (int pair = 0; pair < 2; pair++) {
        /* (0, 1]: 24 bits and a half step, so that the logarithm is finite and the two ends are symmetric */
        const float u = ((float)(r.word[2 * pair] >> 8) + 0.5f) * (1.0f / 16777216.0f);
        const float angle = (float)(r.word[2 * pair + 1] >> 8) * (6.28318530717958648f / 16777216.0f);
        const float radius = sqrtf(-2.0f * logf(u));
        out[2 * pair] = radius * cosf(angle);
        out[2 * pair + 1] = radius * sinf(angle);
    }
}

#endif

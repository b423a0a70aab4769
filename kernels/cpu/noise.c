/* noise.c - see noise.h: the noise of every sampler's step. Each lane of a vector computes a block of Philox4x32-10 of
 * its own (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), and from its four words two
 * Box-Muller pairs. The words, and the uniform numbers made of them, are exactly the definition's. */
#include "noise.h"

#define UC_FILE "noise.c"
#include "foreach_isa.h"
#include "simd.h"

#ifndef UC_NOISE_NAMES
#define UC_NOISE_NAMES
#define vu UC_ISA(uc_vu)
#endif

typedef uint32_t vu __attribute__((vector_size(UC_ISA_LANES * 4)));

/* Both halves of the products of 32 bits. */
UC_SIMD void UC_ISA(multiply)(vu a, uint32_t by, vu *high, vu *low) {
#if UC_ISA_LANES == 16
    const __m512i x = (__m512i)a, m = _mm512_set1_epi32((int)by);
    const __m512i even = _mm512_mul_epu32(x, m), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), m);
    *low = (vu)_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
    *high = (vu)_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
#elif UC_ISA_LANES == 8
    const __m256i x = (__m256i)a, m = _mm256_set1_epi32((int)by);
    const __m256i even = _mm256_mul_epu32(x, m), odd = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), m);
    *low = (vu)_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    *high = (vu)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
#else
    for (int i = 0; i < VL; i++) {
        const uint64_t product = (uint64_t)a[i] * by;
        (*high)[i] = (uint32_t)(product >> 32);
        (*low)[i] = (uint32_t)product;
    }
#endif
}

UC_SIMD vu UC_ISA(lanes)(uint32_t x) { return x - (vu){ 0 }; }

/* Blocks `block` and the VL - 1 after it. */
UC_SIMD void UC_ISA(philox)(uc_noise_key key, uint64_t block, vu word[4]) {
    vu count;
    for (int i = 0; i < VL; i++) count[i] = (uint32_t)i;
    uint32_t key0 = (uint32_t)key.seed, key1 = (uint32_t)(key.seed >> 32);
    vu a = UC_ISA(lanes)((uint32_t)block) + count, b = UC_ISA(lanes)((uint32_t)(block >> 32)), c, d;
    b -= (vu)(a < UC_ISA(lanes)((uint32_t)block)); /* the carry: a comparison that holds is all ones */
    c = UC_ISA(lanes)(key.draw);
    d = UC_ISA(lanes)(key.stage);
    for (int round = 0; round < 10; round++) {
        vu high0, low0, high1, low1;
        UC_ISA(multiply)(a, 0xD2511F53u, &high0, &low0);
        UC_ISA(multiply)(c, 0xCD9E8D57u, &high1, &low1);
        a = high1 ^ b ^ UC_ISA(lanes)(key0);
        b = low1;
        c = high0 ^ d ^ UC_ISA(lanes)(key1);
        d = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    word[0] = a, word[1] = b, word[2] = c, word[3] = d;
}

UC_SIMD void UC_ISA(box_muller)(vu first, vu second, vf *x, vf *y) {
    const vf u = (__builtin_convertvector((vi)(first >> 8), vf) + vf_set(0.5f)) * vf_set(1.0f / 16777216.0f);
    const vf angle = __builtin_convertvector((vi)(second >> 8), vf) * vf_set(6.28318530717958648f / 16777216.0f);
    const vf radius = vf_sqrt(vf_set(-2.0f) * vf_log(u));
    vf sine, cosine;
    vf_sincos(angle, &sine, &cosine);
    *x = radius * cosine;
    *y = radius * sine;
}

static void UC_ISA(normal)(float *out, int64_t count, uc_noise_key key, uint64_t block) {
    for (int64_t i = 0; i < count; i += 4 * VL, block += VL) {
        vu word[4];
        vf number[4];
        float column[4][VL], row[VL][4];
        UC_ISA(philox)(key, block, word);
        UC_ISA(box_muller)(word[0], word[1], &number[0], &number[1]);
        UC_ISA(box_muller)(word[2], word[3], &number[2], &number[3]);
        for (int k = 0; k < 4; k++) vf_store(column[k], number[k]);
        for (int j = 0; j < VL; j++)
            for (int k = 0; k < 4; k++) row[j][k] = column[k][j];
        memcpy(out + i, row, (size_t)uc_min64(4 * VL, count - i) * sizeof *out);
    }
}

static void UC_ISA(exponential)(float *x, int64_t count) {
    for (int64_t i = 0; i < count; i += VL) {
        const int64_t left = count - i;
        if (left >= VL) vf_store(x + i, vf_exp(vf_load(x + i)));
        else vf_store_part(x + i, vf_exp(vf_load_part(x + i, left)), left);
    }
}

#ifdef UC_ISA_ONCE
void uc_cpu_normal_for(uc_isa isa, float *out, int64_t count, uc_noise_key key, uint64_t block) {
    typedef void (*runner)(float *, int64_t, uc_noise_key, uint64_t);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(normal);
    variants[isa](out, count, key, block);
}

void uc_cpu_exponential_for(uc_isa isa, float *x, int64_t count) {
    typedef void (*runner)(float *, int64_t);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(exponential);
    variants[isa](x, count);
}

void uc_cpu_normal(float *out, int64_t count, uc_noise_key key, uint64_t block) {
    uc_cpu_normal_for(uc_cpu_isa(), out, count, key, block);
}

void uc_cpu_exponential(float *x, int64_t count) { uc_cpu_exponential_for(uc_cpu_isa(), x, count); }
#endif

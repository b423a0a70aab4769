/* simd.h - vectors of floats of the instruction set being compiled (see foreach_isa.h), and exp, log, sine, cosine, erf
 * and the activations on them, for every network of the flow.
 *
 * `vf` has VL lanes. Arithmetic is the compilers' vector extension (+ - * / on vf); what that lacks is here. No
 * function depends on -ffast-math. A NaN stays a NaN. This header is included once per instruction set, hence has no
 * guard. */

#ifndef UC_SIMD_NAMES
#define UC_SIMD_NAMES
#define VL UC_ISA_LANES
#define vf UC_ISA(uc_vf)
#define vi UC_ISA(uc_vi)
#define vf_load UC_ISA(uc_vf_load)
#define vf_load_as UC_ISA(uc_vf_load_as)
#define vf_load_part UC_ISA(uc_vf_load_part)
#define vf_load_part_as UC_ISA(uc_vf_load_part_as)
#define vf_store UC_ISA(uc_vf_store)
#define vf_store_part UC_ISA(uc_vf_store_part)
#define vf_store_part_as UC_ISA(uc_vf_store_part_as)
#define float_bytes UC_ISA(uc_float_bytes)
#define vf_to_bf16 UC_ISA(uc_vf_to_bf16)
#define vf_set UC_ISA(uc_vf_set)
#define vf_fma UC_ISA(uc_vf_fma)
#define vf_max UC_ISA(uc_vf_max)
#define vf_min UC_ISA(uc_vf_min)
#define vf_sum UC_ISA(uc_vf_sum)
#define vf_peak UC_ISA(uc_vf_peak)
#define vf_pair UC_ISA(uc_vf_pair)
#define vf_fold UC_ISA(uc_vf_fold)
#define vf_sqrt UC_ISA(uc_vf_sqrt)
#define vf_exp UC_ISA(uc_vf_exp)
#define vf_log UC_ISA(uc_vf_log)
#define vf_sincos UC_ISA(uc_vf_sincos)
#define vf_sigmoid UC_ISA(uc_vf_sigmoid)
#define vf_erf UC_ISA(uc_vf_erf)
#define vf_act UC_ISA(uc_vf_act)
#define row_in UC_ISA(uc_row_in)
#define row_read UC_ISA(uc_row_read)
#define row_out UC_ISA(uc_row_out)
#define UC_SIMD static inline __attribute__((always_inline, unused))
#if defined(__GNUC__) && !defined(__clang__)
/* Vector arguments of functions that are always inlined have no calling convention to change. */
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#endif

typedef float vf __attribute__((vector_size(UC_ISA_LANES * 4)));
typedef int32_t vi __attribute__((vector_size(UC_ISA_LANES * 4)));

/* uc_dtype_size of a floating type, as a constant where the type is one. */
UC_SIMD int64_t float_bytes(const uc_dtype type) { return type == UC_F32 ? 4 : 2; }

#if UC_ISA_LANES == 16
UC_SIMD vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
UC_SIMD void vf_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
UC_SIMD vf vf_set(float x) { return _mm512_set1_ps(x); }
UC_SIMD vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
UC_SIMD vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
UC_SIMD vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
UC_SIMD vf vf_sqrt(vf v) { return _mm512_sqrt_ps(v); }
UC_SIMD float vf_sum(vf v) { return _mm512_reduce_add_ps(v); }
UC_SIMD float vf_peak(vf v) { return _mm512_reduce_max_ps(v); }
UC_SIMD vf vf_load_part(const float *p, int64_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p); }
UC_SIMD void vf_store_part(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), v); }
#else
UC_SIMD vf vf_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
UC_SIMD void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }
UC_SIMD vf vf_set(float x) { return x - (vf){ 0 }; }
UC_SIMD vf vf_load_part(const float *p, int64_t n) {
    float t[UC_ISA_LANES] = { 0 };
    for (int64_t i = 0; i < n; i++) t[i] = p[i];
    return vf_load(t);
}
UC_SIMD void vf_store_part(float *p, vf v, int64_t n) {
    float t[UC_ISA_LANES];
    vf_store(t, v);
    for (int64_t i = 0; i < n; i++) p[i] = t[i];
}
UC_SIMD float vf_sum(vf v) {
    float t[UC_ISA_LANES];
    vf_store(t, v);
    for (int half = UC_ISA_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) t[i] += t[i + half];
    return t[0];
}
UC_SIMD float vf_peak(vf v) {
    float t[UC_ISA_LANES], peak;
    vf_store(t, v);
    peak = t[0];
    for (int i = 1; i < UC_ISA_LANES; i++) peak = t[i] > peak ? t[i] : peak;
    return peak;
}
#if UC_ISA_LANES == 8
UC_SIMD vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
UC_SIMD vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
UC_SIMD vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
UC_SIMD vf vf_sqrt(vf v) { return _mm256_sqrt_ps(v); }
#else
/* a > b ? a : b and a < b ? a : b, hence b when either is a NaN, as the instructions of x86 do. */
UC_SIMD vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
UC_SIMD vf vf_max(vf a, vf b) {
    const vi m = (vi)(a > b);
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
UC_SIMD vf vf_min(vf a, vf b) {
    const vi m = (vi)(a < b);
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
UC_SIMD vf vf_sqrt(vf v) {
    for (int i = 0; i < UC_ISA_LANES; i++) v[i] = sqrtf(v[i]);
    return v;
}
#endif
#endif

/* p[0], p[1], p[0], p[1], ... */
UC_SIMD vf vf_pair(const float *p) {
    double both;
    memcpy(&both, p, sizeof both);
#if UC_ISA_LANES == 16
    return _mm512_castpd_ps(_mm512_set1_pd(both));
#elif UC_ISA_LANES == 8
    return _mm256_castpd_ps(_mm256_set1_pd(both));
#else
    return (vf){ p[0], p[1], p[0], p[1] };
#endif
}

/* Sums of neighbours, v[0] + v[1], v[2] + v[3], ..., in the lower half; zeros above. */
UC_SIMD vf vf_fold(vf v) {
#if UC_ISA_LANES == 16
    const vf sums = v + _mm512_permute_ps(v, 0xB1);
    const __m512i even = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 14, 12, 10, 8, 6, 4, 2, 0);
    return _mm512_maskz_permutexvar_ps(0x00FF, even, sums);
#elif UC_ISA_LANES == 8
    const vf sums = _mm256_hadd_ps(v, _mm256_setzero_ps()); /* 0 1 - - 2 3 - - in pairs */
    return _mm256_permutevar8x32_ps(sums, _mm256_set_epi32(2, 2, 2, 2, 5, 4, 1, 0));
#else
    return (vf){ v[0] + v[1], v[2] + v[3], 0, 0 };
#endif
}

/* exp(x) within 2 ulp; 0 below -87.3 (where results would be denormal), the largest finite power above 88.3.
 * x = n ln 2 + r with |r| <= ln 2 / 2; a Taylor polynomial of degree 7 in r; n goes into the exponent. */
UC_SIMD vf vf_exp(vf x) {
    const vf low = vf_set(-87.3f), high = vf_set(88.3f), magic = vf_set(12582912.0f); /* 1.5 * 2^23 */
    const vf y = vf_min(high, vf_max(low, x));
    const vf t = vf_fma(y, vf_set(1.44269504f), magic);
    const vf n = t - magic;
    const vf r = vf_fma(n, vf_set(-1.42860677e-6f), vf_fma(n, vf_set(-0.693145752f), y));
    vf p = vf_set(1.0f / 5040);
    p = vf_fma(p, r, vf_set(1.0f / 720));
    p = vf_fma(p, r, vf_set(1.0f / 120));
    p = vf_fma(p, r, vf_set(1.0f / 24));
    p = vf_fma(p, r, vf_set(1.0f / 6));
    p = vf_fma(p, r, vf_set(0.5f));
    p = vf_fma(p, r, vf_set(1.0f));
    p = vf_fma(p, r, vf_set(1.0f));
    const vi zero = (vi)(x < low);
    return (vf)(~zero & ((vi)p + ((vi)t << 23)));
}

/* ln(x) within 2 ulp for positive normal x: x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), a polynomial in
 * f, and e ln 2 in two parts (Cephes, logf). */
UC_SIMD vf vf_log(vf x) {
    const vi bits = (vi)x;
    vf f = (vf)((bits & 0x007FFFFF) | 0x3F000000); /* 1/2 ... 1 */
    const vi low = (vi)(f < vf_set(0.707106781f));
    const vf e = __builtin_convertvector((bits >> 23) - 126 + low, vf);
    f = f + (vf)((vi)f & low) - vf_set(1.0f);
    const vf z = f * f;
    vf p = vf_set(7.0376836292e-2f);
    p = vf_fma(p, f, vf_set(-1.1514610310e-1f));
    p = vf_fma(p, f, vf_set(1.1676998740e-1f));
    p = vf_fma(p, f, vf_set(-1.2420140846e-1f));
    p = vf_fma(p, f, vf_set(1.4249322787e-1f));
    p = vf_fma(p, f, vf_set(-1.6668057665e-1f));
    p = vf_fma(p, f, vf_set(2.0000714765e-1f));
    p = vf_fma(p, f, vf_set(-2.4999993993e-1f));
    p = vf_fma(p, f, vf_set(3.3333331174e-1f));
    const vf y = vf_fma(e, vf_set(-2.12194440e-4f), p * f * z) - vf_set(0.5f) * z;
    return vf_fma(e, vf_set(0.693359375f), f + y);
}

/* Sine and cosine of 0 <= x <= 2 pi, within 1.5e-7: x = n pi / 2 + r with |r| <= pi / 4, pi / 2 in three parts of which
 * n times the first two are exact, and polynomials in r (Cephes, sinf and cosf). */
UC_SIMD void vf_sincos(vf x, vf *sine, vf *cosine) {
    const vf magic = vf_set(12582912.0f), t = vf_fma(x, vf_set(0.636619772f), magic), n = t - magic;
    const vi quadrant = (vi)t; /* in its last bits */
    vf r = vf_fma(n, vf_set(-1.5703125f), x);
    r = vf_fma(n, vf_set(-4.837512969970703125e-4f), r);
    r = vf_fma(n, vf_set(-7.54978995489188216e-8f), r);
    const vf z = r * r;
    vf s = vf_fma(vf_set(-1.9515295891e-4f), z, vf_set(8.3321608736e-3f));
    s = vf_fma(vf_fma(s, z, vf_set(-1.6666654611e-1f)) * z, r, r);
    vf c = vf_fma(vf_set(2.443315711809948e-5f), z, vf_set(-1.388731625493765e-3f));
    c = vf_fma(vf_fma(c, z, vf_set(4.166664568298827e-2f)), z * z, vf_set(1.0f) - vf_set(0.5f) * z);
    const vi odd = -(quadrant & 1);
    *sine = (vf)(((odd & (vi)c) | (~odd & (vi)s)) ^ ((quadrant & 2) << 30));
    *cosine = (vf)(((odd & (vi)s) | (~odd & (vi)c)) ^ (((quadrant + 1) & 2) << 30));
}

UC_SIMD vf vf_sigmoid(vf x) { return vf_set(1.0f) / (vf_set(1.0f) + vf_exp(-x)); }

/* erf(x) within 4e-7: x P(x^2) / Q(x^2) on [-4, 4], beyond which erf is 1 in f32 (the coefficients of Eigen). */
UC_SIMD vf vf_erf(vf x) {
    const vf y = vf_min(vf_set(4.0f), vf_max(vf_set(-4.0f), x)), z = y * y;
    vf p = vf_set(-2.72614225801306e-10f);
    p = vf_fma(p, z, vf_set(2.77068142495902e-08f));
    p = vf_fma(p, z, vf_set(-2.10102402082508e-06f));
    p = vf_fma(p, z, vf_set(-5.69250639462346e-05f));
    p = vf_fma(p, z, vf_set(-7.34990630326855e-04f));
    p = vf_fma(p, z, vf_set(-2.95459980854025e-03f));
    p = vf_fma(p, z, vf_set(-1.60960333262415e-02f));
    vf q = vf_set(-1.45660718464996e-05f);
    q = vf_fma(q, z, vf_set(-2.13374055278905e-04f));
    q = vf_fma(q, z, vf_set(-1.68282697438203e-03f));
    q = vf_fma(q, z, vf_set(-7.37332916720468e-03f));
    q = vf_fma(q, z, vf_set(-1.42647390514189e-02f));
    return y * p / q;
}

UC_SIMD vf vf_act(vf x, uc_act act) {
    switch (act) {
    case UC_SILU: return x * vf_sigmoid(x);
    case UC_GELU: return vf_set(0.5f) * x * (vf_set(1.0f) + vf_erf(x * vf_set(0.70710678f)));
    case UC_QUICK_GELU: return x * vf_sigmoid(x * vf_set(1.702f));
    case UC_ACT_NONE: break;
    }
    return x;
}

/* A vector of numbers of any floating type. */
UC_SIMD vf vf_load_as(const void *p, const uc_dtype type) {
    if (type == UC_F32) return vf_load(p);
#if UC_ISA_LANES == 16
    const __m256i half = _mm256_loadu_si256(p);
    if (type == UC_F16) return _mm512_cvtph_ps(half);
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#elif UC_ISA_LANES == 8
    const __m128i half = _mm_loadu_si128(p);
    if (type == UC_F16) return _mm256_cvtph_ps(half);
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
#else
    const uint16_t *half = p;
    vf v;
    for (int i = 0; i < VL; i++) v[i] = type == UC_F16 ? uc_f16_to_f32(half[i]) : uc_bf16_to_f32(half[i]);
    return v;
#endif
}

/* The first n lanes, zeros behind them; from n = VL on all of them. */
UC_SIMD vf vf_load_part_as(const void *p, const uc_dtype type, int64_t n) {
    if (n >= VL) return vf_load_as(p, type);
    if (type == UC_F32) return vf_load_part(p, n);
    uint16_t half[UC_ISA_LANES] = { 0 };
    memcpy(half, p, (size_t)n * sizeof *half);
    return vf_load_as(half, type);
}

#if UC_ISA_LANES == 16
/* To nearest even; a NaN stays one. */
UC_SIMD __m256i vf_to_bf16(vf v) {
    const __m512i u = _mm512_castps_si512(v), high = _mm512_srli_epi32(u, 16);
    const __m512i half = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_epi32(high, _mm512_set1_epi32(1)));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(u, half), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
}
#endif

/* count elements of any floating type to f32, and back. */
UC_SIMD void row_read(float *restrict dst, const void *restrict src, uc_dtype type, int64_t count) {
    const uint16_t *h = src;
    int64_t i = 0;
    if (type == UC_F32) {
        memcpy(dst, src, (size_t)count * sizeof *dst);
    } else if (type == UC_BF16) {
        for (; i < count; i++) dst[i] = uc_bf16_to_f32(h[i]);
    } else {
#if UC_ISA_LANES == 16
        for (; i + 16 <= count; i += 16)
            _mm512_storeu_ps(dst + i, _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(h + i))));
#elif UC_ISA_LANES == 8
        for (; i + 8 <= count; i += 8)
            _mm256_storeu_ps(dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(h + i))));
#endif
        for (; i < count; i++) dst[i] = uc_f16_to_f32(h[i]);
    }
}

UC_SIMD void row_out(void *restrict dst, uc_dtype type, const float *restrict src, int64_t count) {
    uint16_t *h = dst;
    int64_t i = 0;
    if (type == UC_F32) {
        memcpy(dst, src, (size_t)count * sizeof *src);
    } else if (type == UC_BF16) {
#if UC_ISA_LANES == 16
        for (; i + 16 <= count; i += 16)
            _mm256_storeu_si256((__m256i *)(void *)(h + i), vf_to_bf16(_mm512_loadu_ps(src + i)));
#endif
        for (; i < count; i++) { /* to nearest even; a NaN stays one */
            uint32_t u;
            memcpy(&u, src + i, 4);
            const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 0x40u;
            h[i] = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
        }
    } else {
#if UC_ISA_LANES == 16
        for (; i + 16 <= count; i += 16)
            _mm256_storeu_si256((__m256i *)(void *)(h + i), _mm512_cvtps_ph(_mm512_loadu_ps(src + i), 0));
#elif UC_ISA_LANES == 8
        for (; i + 8 <= count; i += 8)
            _mm_storeu_si128((__m128i *)(void *)(h + i), _mm256_cvtps_ph(_mm256_loadu_ps(src + i), 0));
#endif
        for (; i < count; i++) h[i] = uc_f32_to_f16(src[i]);
    }
}

/* The first n lanes; from n = VL on all of them. */
UC_SIMD void vf_store_part_as(void *p, const uc_dtype type, vf v, int64_t n) {
    float number[VL];
    vf_store(number, v);
    if (type == UC_F32 && n < VL) vf_store_part(p, v, n);
    else if (n < VL) row_out(p, type, number, n);
    else row_out(p, type, number, VL);
}

/* The row at element `at` as f32: in place when it is, else converted into tmp. */
UC_SIMD const float *row_in(const void *data, uc_dtype type, int64_t at, int64_t count, float *tmp) {
    if (type == UC_F32) return (const float *)data + at;
    row_read(tmp, (const uint16_t *)data + at, type, count);
    return tmp;
}

/* layer_norm.c - normalisation of each token: CLIP's encoders, the prior and the decoder's context.
 *
 * One row at a time in a f32 copy: the sum gives a first mean, the second pass sums the deviations and their squares,
 * and the small sum of deviations corrects both mean and variance, so that a mean far from zero loses nothing. */
#define UC_FILE "layer_norm.c"
#include "foreach_isa.h"
#include "simd.h"

/* d = x - mean; returns 1 / sqrt(var + eps). d may be x. */
static float UC_ISA(centre_row)(float *d, const float *x, int64_t c, float eps) {
    vf sum = vf_set(0);
    int64_t i = 0;
    for (; i + VL <= c; i += VL) sum += vf_load(x + i);
    if (i < c) sum += vf_load_part(x + i, c - i);
    const float guess = vf_sum(sum) / (float)c;
    vf first = vf_set(0), second = vf_set(0);
    for (i = 0; i + VL <= c; i += VL) {
        const vf v = vf_load(x + i) - guess;
        first += v;
        second = vf_fma(v, v, second);
        vf_store(d + i, v);
    }
    float s1 = vf_sum(first), s2 = vf_sum(second);
    for (; i < c; i++) {
        const float v = x[i] - guess;
        s1 += v;
        s2 += v * v;
        d[i] = v;
    }
    const float rest = s1 / (float)c, var = s2 / (float)c - rest * rest;
    for (i = 0; i + VL <= c; i += VL) vf_store(d + i, vf_load(d + i) - rest);
    for (; i < c; i++) d[i] -= rest;
    return 1.0f / sqrtf((var > 0 ? var : var < 0 ? 0 : var) + eps);
}

static void UC_ISA(layer_norm)(const uc_launch *l) {
    const uc_view *x = &l->in[UC_LN_X], *weight = &l->in[UC_LN_WEIGHT], *bias = &l->in[UC_LN_BIAS], *y = &l->out[0];
    const int64_t c = x->shape.dim[x->shape.rank - 1], count = uc_shape_count(x->shape), rows = c ? count / c : 0;
    const float eps = l->attrs.layer_norm.eps;
    float *scratch = l->scratch, *w = scratch, *b = scratch + c;
    if (weight->data) row_read(w, weight->data, weight->dtype, c);
    else
        for (int64_t i = 0; i < c; i++) w[i] = 1;
    if (bias->data) row_read(b, bias->data, bias->dtype, c);
    else memset(b, 0, (size_t)c * sizeof *b);
    UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
    for (int64_t row = 0; row < rows; row++) {
        float *d = scratch + (2 + uc_thread()) * c;
        const float factor = UC_ISA(centre_row)(d, row_in(x->data, x->dtype, row * c, c, d), c, eps);
        float *out = y->dtype == UC_F32 ? (float *)y->data + row * c : d;
        int64_t i = 0;
        for (; i + VL <= c; i += VL) vf_store(out + i, vf_fma(vf_load(d + i) * factor, vf_load(w + i), vf_load(b + i)));
        for (; i < c; i++) out[i] = d[i] * factor * w[i] + b[i];
        if (out == d) row_out((uint16_t *)y->data + row * c, y->dtype, d, c);
    }
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(layer_norm, layer_norm)

size_t uc_cpu_layer_norm_scratch(const uc_launch *l) {
    return (size_t)((2 + l->threads) * l->in[0].shape.dim[l->in[0].shape.rank - 1]) * sizeof(float);
}
#endif

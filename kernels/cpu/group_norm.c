/* group_norm.c - group normalisation with the time embedding's sum or scale and shift, and SiLU: before every
 * convolution of the decoder and the upsamplers; after convolution their largest cost, and all of it memory traffic.
 *
 * Rows are pixels or tokens, channels innermost. The picture is cut into chunks whose size depends on the channels
 * alone:
 *   1. each chunk's mean and sum of squared deviations per group. The sums are taken of deviations, first from the
 *      chunk's first row, then from the group's mean, while the chunk is in the L1 cache: a mean far from zero does
 *      not swallow the variance, and memory is read once;
 *   2. the chunks are merged in order, in double (Chan, Golub, LeVeque), into three numbers a channel;
 *   3. y = act((x - middle) * factor + offset), one read and one write.
 * A row of channels is rarely a multiple of a vector, so per-channel numbers are repeated up to a common period, and
 * the loops run over the flat memory. */
#include "cpu.h"

#ifndef UC_ISA_NAME /* shared by the instruction sets, hence compiled for the baseline */
enum { CHUNK_FLOATS = 8192, LEAST_PERIOD = 256, LANES_MOST = 16 };

/* One chunk's moments of a group. */
typedef struct moments {
    double mean, squares;
} moments;

typedef struct norm {
    const uc_launch *l;
    int64_t batch, rows, channels, groups, per_group;
    int64_t period; /* floats after which channels and vectors are in step again */
    int64_t chunk_rows, chunks, chunk_floats;
    /* in scratch */
    moments *parts;     /* [batch][chunks][groups] */
    float *coefficient; /* [batch][3][period]: middle, factor, offset */
    float *per_thread;  /* 3 periods, one chunk */
    int64_t per_thread_floats;
} norm;

static int64_t common_period(int64_t channels) {
    int64_t a = channels, b = LANES_MOST;
    while (b) {
        const int64_t r = a % b;
        a = b, b = r;
    }
    const int64_t period = channels / a * LANES_MOST;
    return period * uc_ceil_div(LEAST_PERIOD, period);
}

static norm norm_of(const uc_launch *l) {
    const uc_shape s = l->in[UC_GN_X].shape;
    norm p = { .l = l, .batch = s.dim[0], .groups = l->attrs.group_norm.groups };
    p.channels = s.rank == 4 ? s.dim[1] : s.dim[s.rank - 1];
    p.rows = s.rank == 4 ? s.dim[2] * s.dim[3] : s.rank == 3 ? s.dim[1] : 1;
    p.per_group = p.channels / p.groups;
    p.period = common_period(p.channels);
    p.chunk_rows = uc_max64(CHUNK_FLOATS / p.channels, 1);
    p.chunks = uc_ceil_div(p.rows, p.chunk_rows);
    p.chunk_floats = p.chunk_rows * p.channels;
    p.per_thread_floats = uc_round_up(3 * p.period + p.chunk_floats, LANES_MOST);
    p.parts = l->scratch;
    p.coefficient = (float *)(p.parts + p.batch * p.chunks * p.groups);
    p.per_thread = p.coefficient + p.batch * 3 * p.period;
    return p;
}

static size_t norm_scratch(const uc_launch *l) {
    const norm p = norm_of(l);
    return (size_t)(p.batch * p.chunks * p.groups) * sizeof(moments) +
           (size_t)(p.batch * 3 * p.period + l->threads * p.per_thread_floats) * sizeof(float);
}

static float number_at(const uc_view *v, int64_t i) { return (float)uc_get(v->data, v->dtype, i); }

static float addend(const norm *p, int64_t n, int64_t channel) {
    return p->l->in[UC_GN_ADD].data ? number_at(&p->l->in[UC_GN_ADD], n * p->channels + channel) : 0.0f;
}

static double channel_sum(const norm *p, const float *sums, int64_t c) {
    double sum = 0;
    for (int64_t j = c; j < p->period; j += p->channels) sum += (double)sums[j];
    return sum;
}

/* Sums of deviations from first[channel] become group means; `middle` gets what pass two subtracts from x, and first
 * the mean of what is left of each channel then. */
static void means_of(const norm *p, int64_t n, int64_t rows, const float *sums, float *first, float *middle,
                     moments *out) {
    for (int64_t g = 0; g < p->groups; g++) {
        const int64_t begin = g * p->per_group, end = begin + p->per_group;
        double total = 0;
        for (int64_t c = begin; c < end; c++)
            total += channel_sum(p, sums, c) / (double)rows + (double)first[c] + (double)addend(p, n, c);
        out[g].mean = total / (double)p->per_group;
        for (int64_t c = begin; c < end; c++) {
            middle[c] = (float)(out[g].mean - (double)addend(p, n, c));
            first[c] = (float)(channel_sum(p, sums, c) / (double)rows + ((double)first[c] - (double)middle[c]));
        }
    }
    for (int64_t j = p->channels; j < p->period; j++) middle[j] = middle[j - p->channels];
}

/* Sums of squares about `middle`, which is rounded, become sums of squares about the means. */
static void squares_of(const norm *p, int64_t n, int64_t rows, const float *sums, const float *left,
                       const float *middle, moments *out) {
    for (int64_t g = 0; g < p->groups; g++) {
        double total = 0;
        for (int64_t c = g * p->per_group; c < (g + 1) * p->per_group; c++) {
            const double off = out[g].mean - (double)addend(p, n, c) - (double)middle[c];
            total += channel_sum(p, sums, c) - (double)rows * off * (2 * (double)left[c] - off);
        }
        out[g].squares = total;
    }
}

static moments merged(const norm *p, int64_t n, int64_t g) {
    moments all = { 0, 0 };
    double count = 0;
    for (int64_t k = 0; k < p->chunks; k++) {
        const moments *part = &p->parts[(n * p->chunks + k) * p->groups + g];
        const double own = (double)(uc_min64(p->chunk_rows, p->rows - k * p->chunk_rows) * p->per_group);
        const double gap = part->mean - all.mean, sum = count + own;
        all.mean += gap * own / sum;
        all.squares += part->squares + gap * gap * count * own / sum;
        count = sum;
    }
    all.squares /= count; /* now the variance */
    return all;
}

static void fill_coefficients(const norm *p, int64_t n) {
    const uc_view *weight = &p->l->in[UC_GN_WEIGHT], *bias = &p->l->in[UC_GN_BIAS];
    const uc_view *scale_shift = &p->l->in[UC_GN_SCALE_SHIFT];
    float *middle = p->coefficient + n * 3 * p->period, *factor = middle + p->period, *offset = factor + p->period;
    for (int64_t g = 0; g < p->groups; g++) {
        const moments m = merged(p, n, g);
        const double inverse = 1 / sqrt((m.squares < 0 ? 0 : m.squares) + (double)p->l->attrs.group_norm.eps);
        for (int64_t c = g * p->per_group; c < (g + 1) * p->per_group; c++) {
            double a = inverse * (double)number_at(weight, c), b = (double)number_at(bias, c);
            if (scale_shift->data) {
                const double scale = 1 + (double)number_at(scale_shift, n * 2 * p->channels + c);
                a *= scale;
                b = b * scale + (double)number_at(scale_shift, (n * 2 + 1) * p->channels + c);
            }
            const double exact = m.mean - (double)addend(p, n, c);
            middle[c] = (float)exact;
            factor[c] = (float)a;
            offset[c] = (float)(b - (exact - (double)middle[c]) * a);
        }
    }
    for (int64_t j = p->channels; j < p->period; j++) {
        middle[j] = middle[j - p->channels];
        factor[j] = factor[j - p->channels];
        offset[j] = offset[j - p->channels];
    }
}
#endif

#define UC_FILE "group_norm.c"
#include "foreach_isa.h"
#include "simd.h"

/* sums[j] += x - middle, or its square, over a chunk; j counts through the period. */
UC_SIMD void UC_ISA(accumulate)(const norm *p, const float *x, int64_t count, const float *middle, float *sums,
                                const bool square) {
    memset(sums, 0, (size_t)p->period * sizeof *sums);
    for (int64_t at = 0; at < count; at += p->period) {
        const int64_t run = uc_min64(p->period, count - at);
        int64_t j = 0;
        for (; j + VL <= run; j += VL) {
            const vf d = vf_load(x + at + j) - vf_load(middle + j), s = vf_load(sums + j);
            vf_store(sums + j, square ? vf_fma(d, d, s) : s + d);
        }
        for (; j < run; j++) {
            const float d = x[at + j] - middle[j];
            sums[j] += square ? d * d : d;
        }
    }
}

static void UC_ISA(measure_chunk)(const norm *p, int64_t n, int64_t chunk) {
    const uc_view *x = &p->l->in[UC_GN_X];
    float *first = p->per_thread + uc_thread() * p->per_thread_floats, *middle = first + p->period;
    float *sums = middle + p->period, *tmp = sums + p->period;
    const int64_t row = chunk * p->chunk_rows, rows = uc_min64(p->chunk_rows, p->rows - row);
    const float *in = row_in(x->data, x->dtype, (n * p->rows + row) * p->channels, rows * p->channels, tmp);
    moments *out = &p->parts[(n * p->chunks + chunk) * p->groups];
    for (int64_t j = 0; j < p->period; j += p->channels) memcpy(first + j, in, (size_t)p->channels * sizeof *first);
    UC_ISA(accumulate)(p, in, rows * p->channels, first, sums, false);
    means_of(p, n, rows, sums, first, middle, out);
    UC_ISA(accumulate)(p, in, rows * p->channels, middle, sums, true);
    squares_of(p, n, rows, sums, first, middle, out);
}

UC_SIMD void UC_ISA(apply_flat)(const norm *p, const float *coefficient, const float *x, float *y, int64_t count,
                                const uc_act act) {
    const float *middle = coefficient, *factor = middle + p->period, *offset = factor + p->period;
    for (int64_t at = 0; at < count; at += p->period) {
        const int64_t run = uc_min64(p->period, count - at);
        int64_t j = 0;
        for (; j + VL <= run; j += VL) {
            const vf d = vf_load(x + at + j) - vf_load(middle + j);
            vf_store(y + at + j, vf_act(vf_fma(d, vf_load(factor + j), vf_load(offset + j)), act));
        }
        if (j < run) {
            const vf d = vf_load_part(x + at + j, run - j) - vf_load_part(middle + j, run - j);
            const vf v = vf_fma(d, vf_load_part(factor + j, run - j), vf_load_part(offset + j, run - j));
            vf_store_part(y + at + j, vf_act(v, act), run - j);
        }
    }
}

static void UC_ISA(apply_chunk)(const norm *p, int64_t n, int64_t chunk) {
    const uc_view *x = &p->l->in[UC_GN_X], *y = &p->l->out[0];
    float *tmp = p->per_thread + uc_thread() * p->per_thread_floats;
    const int64_t row = chunk * p->chunk_rows, rows = uc_min64(p->chunk_rows, p->rows - row);
    const int64_t at = (n * p->rows + row) * p->channels, count = rows * p->channels;
    const float *in = row_in(x->data, x->dtype, at, count, tmp), *coefficient = p->coefficient + n * 3 * p->period;
    float *out = y->dtype == UC_F32 ? (float *)y->data + at : tmp;
    switch (p->l->attrs.group_norm.act) {
    case UC_SILU: UC_ISA(apply_flat)(p, coefficient, in, out, count, UC_SILU); break;
    case UC_GELU: UC_ISA(apply_flat)(p, coefficient, in, out, count, UC_GELU); break;
    case UC_QUICK_GELU: UC_ISA(apply_flat)(p, coefficient, in, out, count, UC_QUICK_GELU); break;
    case UC_ACT_NONE: UC_ISA(apply_flat)(p, coefficient, in, out, count, UC_ACT_NONE); break;
    }
    if (out == tmp) row_out((uint16_t *)y->data + at, y->dtype, tmp, count);
}

static void UC_ISA(group_norm)(const uc_launch *l) {
    const norm p = norm_of(l);
    const int threads = uc_threads_for(l, p.batch * p.rows * p.channels);
    (void)threads; /* without OpenMP */
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t i = 0; i < p.batch * p.chunks; i++) UC_ISA(measure_chunk)(&p, i / p.chunks, i % p.chunks);
    for (int64_t n = 0; n < p.batch; n++) fill_coefficients(&p, n);
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t i = 0; i < p.batch * p.chunks; i++) UC_ISA(apply_chunk)(&p, i / p.chunks, i % p.chunks);
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(group_norm, group_norm)

size_t uc_cpu_group_norm_scratch(const uc_launch *l) { return norm_scratch(l); }
#endif

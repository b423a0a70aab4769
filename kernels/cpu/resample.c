/* resample.c - a picture in another size: nearest up and mean down inside the UNets, antialiased bicubic and area
 * between the stages of the cascade.
 *
 * A picture is [outer, height, width, inner]: inner is the channels when they are innermost, else 1 and every plane
 * counts as a picture. Nearest and mean go directly; the filters go in two passes, along the width into scratch, then
 * along the height, with windows and weights in tables (computed in double). */
#include "cpu.h"

#ifndef UC_ISA_NAME /* shared by the instruction sets, hence compiled for the baseline */
typedef struct box {
    int64_t outer, inner, from[2], to[2]; /* height, width */
} box;

static box box_of(const uc_launch *l) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const bool nhwc = x->layout == UC_NHWC;
    return (box){ .outer = nhwc ? x->shape.dim[0] : x->shape.dim[0] * x->shape.dim[1],
                  .inner = nhwc ? x->shape.dim[1] : 1,
                  .from = { x->shape.dim[2], x->shape.dim[3] },
                  .to = { y->shape.dim[2], y->shape.dim[3] } };
}

/* Windows of one dimension: position i of the result is the sum over k < count[i] of weight[i * taps + k] times
 * position first[i] + k of the source. */
typedef struct windows {
    int64_t taps;
    int32_t *first, *count;
    float *weight;
} windows;

static int64_t taps_of(uc_resample_mode mode, int64_t from, int64_t to) {
    const double scale = (double)from / (double)to;
    return mode == UC_BICUBIC ? (int64_t)(4 * (scale > 1 ? scale : 1)) + 3 : (int64_t)scale + 3;
}

static size_t windows_bytes(uc_resample_mode mode, int64_t from, int64_t to) {
    return (size_t)uc_round_up(to * (2 + taps_of(mode, from, to)), 16) * 4;
}

static windows windows_at(char *memory, uc_resample_mode mode, int64_t from, int64_t to) {
    windows w = { .taps = taps_of(mode, from, to), .first = (int32_t *)(void *)memory };
    w.count = w.first + to;
    w.weight = (float *)(void *)(w.count + to);
    return w;
}

/* Keys' cubic, a = -0.5. */
static double cubic(double x) {
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static void bicubic_window(const windows *w, int64_t i, int64_t from, int64_t to) {
    const double scale = (double)from / (double)to, support = 2 * (scale > 1 ? scale : 1);
    const double shrink = scale > 1 ? 1 / scale : 1, centre = scale * ((double)i + 0.5);
    const int64_t begin = uc_max64((int64_t)(centre - support + 0.5), 0);
    const int64_t end = uc_min64((int64_t)(centre + support + 0.5), from);
    double total = 0;
    for (int64_t k = begin; k < end; k++) total += cubic(((double)k - centre + 0.5) * shrink);
    for (int64_t k = begin; k < end; k++)
        w->weight[i * w->taps + k - begin] = (float)(cubic(((double)k - centre + 0.5) * shrink) / total);
    w->first[i] = (int32_t)begin;
    w->count[i] = (int32_t)(end - begin);
}

static void fill_windows(const windows *w, uc_resample_mode mode, int64_t from, int64_t to) {
    for (int64_t i = 0; i < to; i++) {
        if (mode == UC_BICUBIC) {
            bicubic_window(w, i, from, to);
            continue;
        }
        const int64_t begin = i * from / to, end = ((i + 1) * from + to - 1) / to;
        w->first[i] = (int32_t)begin;
        w->count[i] = (int32_t)(end - begin);
        for (int64_t k = 0; k < end - begin; k++) w->weight[i * w->taps + k] = (float)(1 / (double)(end - begin));
    }
}
#endif

#define UC_FILE "resample.c"
#include "foreach_isa.h"
#include "simd.h"

/* Every pixel twice, every row twice. */
static void UC_ISA(double_size)(const uc_launch *l, const box *b) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const size_t size = uc_dtype_size(x->dtype), pixel = (size_t)b->inner * size;
    const size_t row = (size_t)b->from[1] * pixel;
    UC_OMP(parallel for num_threads(uc_threads_for(l, 4 * uc_shape_count(x->shape))) schedule(static))
    for (int64_t r = 0; r < b->outer * b->from[0]; r++) {
        const char *restrict from = (const char *)x->data + (size_t)r * row;
        char *restrict to = (char *)y->data + (size_t)r * 4 * row;
        if (b->inner == 1 && size == 4) {
            const uint32_t *in = (const uint32_t *)(const void *)from;
            uint32_t *out = (uint32_t *)(void *)to;
            for (int64_t i = 0; i < b->from[1]; i++) out[2 * i] = out[2 * i + 1] = in[i];
        } else if (pixel % 16 == 0) {
            for (size_t i = 0; i < row; i += pixel)
                for (size_t k = 0; k < pixel; k += 16) {
                    memcpy(to + 2 * i + k, from + i + k, 16);
                    memcpy(to + 2 * i + pixel + k, from + i + k, 16);
                }
        } else {
            for (size_t i = 0; i < row; i += pixel) {
                memcpy(to + 2 * i, from + i, pixel);
                memcpy(to + 2 * i + pixel, from + i, pixel);
            }
        }
        memcpy(to + 2 * row, to, 2 * row);
    }
}

/* The mean of 2 x 2 pixels. tmp: two rows of the source and one of the result, when they are not f32. */
static void UC_ISA(mean_row)(const uc_launch *l, const box *b, int64_t r, float *tmp) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const int64_t row = b->from[1] * b->inner, out_row = b->to[1] * b->inner, c = b->inner;
    const float *top = row_in(x->data, x->dtype, 2 * r * row, row, tmp);
    const float *bottom = row_in(x->data, x->dtype, (2 * r + 1) * row, row, tmp + row);
    float *out = y->dtype == UC_F32 ? (float *)y->data + r * out_row : tmp + 2 * row;
    for (int64_t i = 0; i < b->to[1]; i++) {
        const float *p = top + 2 * i * c, *q = bottom + 2 * i * c;
        int64_t k = 0;
        for (; k + VL <= c; k += VL)
            vf_store(out + i * c + k,
                     ((vf_load(p + k) + vf_load(p + c + k)) + (vf_load(q + k) + vf_load(q + c + k))) * 0.25f);
        for (; k < c; k++) out[i * c + k] = ((p[k] + p[c + k]) + (q[k] + q[c + k])) * 0.25f;
    }
    if (y->dtype != UC_F32) row_out((uint16_t *)y->data + r * out_row, y->dtype, out, out_row);
}

/* One source row along the width: [from_w, inner] -> [to_w, inner]. */
static void UC_ISA(filter_width)(const box *b, const windows *w, const float *x, float *y) {
    const int64_t c = b->inner;
    for (int64_t i = 0; i < b->to[1]; i++) {
        const float *weight = w->weight + i * w->taps, *from = x + w->first[i] * c;
        float *to = y + i * c;
        for (int64_t k = 0; k < c; k++) to[k] = weight[0] * from[k];
        for (int64_t t = 1; t < w->count[i]; t++)
            for (int64_t k = 0; k < c; k++) to[k] += weight[t] * from[t * c + k];
    }
}

/* One row of the result along the height from rows of the first pass; tmp for a result that is not f32. */
static void UC_ISA(filter_height)(const uc_launch *l, const box *b, const windows *w, const float *rows, int64_t outer,
                                  int64_t i, float *tmp) {
    const uc_view *y = &l->out[0];
    const int64_t row = b->to[1] * b->inner, at = (outer * b->to[0] + i) * row;
    const float *weight = w->weight + i * w->taps, *from = rows + (outer * b->from[0] + w->first[i]) * row;
    float *to = y->dtype == UC_F32 ? (float *)y->data + at : tmp;
    for (int64_t k = 0; k < row; k += VL) {
        const int64_t n = uc_min64(VL, row - k);
        vf sum = vf_set(0);
        for (int64_t t = 0; t < w->count[i]; t++) {
            const float *p = from + t * row + k;
            sum = vf_fma(vf_set(weight[t]), n == VL ? vf_load(p) : vf_load_part(p, n), sum);
        }
        if (n == VL) vf_store(to + k, sum);
        else vf_store_part(to + k, sum, n);
    }
    if (to == tmp) row_out((uint16_t *)y->data + at, y->dtype, tmp, row);
}

static void UC_ISA(filter)(const uc_launch *l, const box *b) {
    const uc_resample_mode mode = l->attrs.resample.mode;
    const uc_view *x = &l->in[0];
    const size_t bytes[2] = { windows_bytes(mode, b->from[0], b->to[0]), windows_bytes(mode, b->from[1], b->to[1]) };
    const windows down = windows_at(l->scratch, mode, b->from[0], b->to[0]);
    const windows across = windows_at((char *)l->scratch + bytes[0], mode, b->from[1], b->to[1]);
    float *rows = (float *)(void *)((char *)l->scratch + bytes[0] + bytes[1]);
    const int64_t row = b->from[1] * b->inner, wide = b->to[1] * b->inner, per_thread = uc_max64(row, wide);
    float *tmp = rows + b->outer * b->from[0] * wide;
    const int threads = uc_threads_for(l, uc_shape_count(l->out[0].shape));
    (void)threads; /* without OpenMP */
    fill_windows(&down, mode, b->from[0], b->to[0]);
    fill_windows(&across, mode, b->from[1], b->to[1]);
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t r = 0; r < b->outer * b->from[0]; r++) {
        const float *in = row_in(x->data, x->dtype, r * row, row, tmp + uc_thread() * per_thread);
        UC_ISA(filter_width)(b, &across, in, rows + r * wide);
    }
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t r = 0; r < b->outer * b->to[0]; r++)
        UC_ISA(filter_height)(l, b, &down, rows, r / b->to[0], r % b->to[0], tmp + uc_thread() * per_thread);
}

static void UC_ISA(resample)(const uc_launch *l) {
    const box b = box_of(l);
    if (l->attrs.resample.mode == UC_NEAREST) {
        UC_ISA(double_size)(l, &b);
    } else if (l->attrs.resample.mode == UC_AVERAGE) {
        const int64_t per_thread = (2 * b.from[1] + b.to[1]) * b.inner;
        UC_OMP(parallel for num_threads(uc_threads_for(l, uc_shape_count(l->in[0].shape))) schedule(static))
        for (int64_t r = 0; r < b.outer * b.to[0]; r++)
            UC_ISA(mean_row)(l, &b, r, (float *)l->scratch + uc_thread() * per_thread);
    } else {
        UC_ISA(filter)(l, &b);
    }
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(resample, resample)

size_t uc_cpu_resample_scratch(const uc_launch *l) {
    const box b = box_of(l);
    const uc_resample_mode mode = l->attrs.resample.mode;
    if (mode == UC_NEAREST) return 0;
    if (mode == UC_AVERAGE) {
        const bool f32 = l->in[0].dtype == UC_F32 && l->out[0].dtype == UC_F32;
        return f32 ? 0 : (size_t)(l->threads * (2 * b.from[1] + b.to[1]) * b.inner) * sizeof(float);
    }
    const int64_t per_thread = uc_max64(b.from[1], b.to[1]) * b.inner;
    return windows_bytes(mode, b.from[0], b.to[0]) + windows_bytes(mode, b.from[1], b.to[1]) +
           (size_t)(b.outer * b.from[0] * b.to[1] * b.inner + l->threads * per_thread) * sizeof(float);
}
#endif

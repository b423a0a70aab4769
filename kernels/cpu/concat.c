/* concat.c - values side by side: the decoder's and upsamplers' skip connections, the upsamplers' input (noise and
 * small picture), the prior's token sequence. */
#include "cpu.h"

enum { PARTS = 4 };

/* count bytes; the sizes here are a few channels, for which a call costs more than the copy. */
static inline void copy_bytes(char *restrict to, const char *restrict from, size_t count) {
    size_t i = 0;
    for (; i + 16 <= count; i += 16) memcpy(to + i, from + i, 16);
    for (; i + 4 <= count; i += 4) memcpy(to + i, from + i, 4);
    for (; i < count; i++) to[i] = from[i];
}

/* Channels innermost: each pixel takes a run of every part. */
static void concat_pixels(const uc_launch *l) {
    const uc_view *y = &l->out[0];
    const int64_t pixels = y->shape.dim[0] * y->shape.dim[2] * y->shape.dim[3], block = 256;
    const size_t size = uc_dtype_size(y->dtype), pixel = (size_t)y->shape.dim[1] * size;
    UC_OMP(parallel for num_threads(uc_threads_for(l, pixels * y->shape.dim[1])) schedule(static))
    for (int64_t first = 0; first < pixels; first += block) {
        const int64_t last = uc_min64(first + block, pixels);
        size_t at = 0;
        for (int i = 0; i < PARTS && l->in[i].data; i++) {
            const uc_view *x = &l->in[i];
            const int64_t c = x->shape.dim[1];
            const size_t run = (size_t)c * size;
            char *to = (char *)y->data + at;
            for (int64_t p = first; p < last; p++) {
                if (x->dtype == y->dtype)
                    copy_bytes(to + (size_t)p * pixel, (const char *)x->data + (size_t)p * run, run);
                else uc_convert(to + (size_t)p * pixel, y->dtype, uc_at(x->data, x->dtype, p * c), x->dtype, c);
            }
            at += run;
        }
    }
}

/* Row-major along dimension dim: every index before it takes a run of every part. */
static void concat_runs(const uc_launch *l) {
    const uc_view *y = &l->out[0];
    const int dim = l->attrs.concat.dim;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < dim; i++) outer *= y->shape.dim[i];
    for (int i = dim + 1; i < y->shape.rank; i++) inner *= y->shape.dim[i];
    UC_OMP(parallel for num_threads(outer > 1 ? uc_threads_for(l, uc_shape_count(y->shape)) : 1) schedule(static))
    for (int64_t o = 0; o < outer; o++) {
        int64_t at = o * y->shape.dim[dim] * inner;
        for (int i = 0; i < PARTS && l->in[i].data; i++) {
            const int64_t run = l->in[i].shape.dim[dim] * inner;
            uc_move(y, at, &l->in[i], o * run, run);
            at += run;
        }
    }
}

static void concat(const uc_launch *l) {
    if (l->out[0].layout == UC_NHWC && l->out[0].shape.rank == 4 && l->attrs.concat.dim == 1) concat_pixels(l);
    else concat_runs(l);
}

UC_CPU_SINGLE(concat, concat)
UC_CPU_NO_SCRATCH(concat)

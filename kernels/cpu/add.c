/* add.c - the sum of two values: positions onto tokens (CLIP, prior), embeddings onto time embeddings (decoder). */
#include "cpu.h"

enum { BLOCK = 1024 };

/* b has a's last dimensions, so its elements repeat every `period` elements of a. */
static void add_block(const uc_launch *l, int64_t at, int64_t count, int64_t period) {
    const uc_view *a = &l->in[0], *b = &l->in[1], *y = &l->out[0];
    float left[BLOCK], right[BLOCK];
    uc_convert(left, UC_F32, uc_at(a->data, a->dtype, at), a->dtype, count);
    for (int64_t i = 0, run; i < count; i += run) {
        const int64_t from = (at + i) % period;
        run = uc_min64(period - from, count - i);
        uc_convert(right + i, UC_F32, uc_at(b->data, b->dtype, from), b->dtype, run);
    }
    for (int64_t i = 0; i < count; i++) left[i] += right[i];
    uc_convert(uc_at_mut(y->data, y->dtype, at), y->dtype, left, UC_F32, count);
}

static int64_t offset_of(const uc_view *v, const int64_t p[UC_MAX_RANK]) {
    if (v->shape.rank == 4) return uc_at4(v, p[0], p[1], p[2], p[3]);
    int64_t at = 0;
    for (int i = 0; i < v->shape.rank; i++) at = at * v->shape.dim[i] + p[UC_MAX_RANK - v->shape.rank + i];
    return at;
}

/* Sizes of 1 that repeat in the middle, or different layouts: element by element. */
static void add_general(const uc_launch *l) {
    const uc_view *a = &l->in[0], *b = &l->in[1], *y = &l->out[0];
    const int64_t count = uc_shape_count(a->shape);
    UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
    for (int64_t i = 0; i < count; i++) {
        int64_t at[UC_MAX_RANK] = { 0 }, other[UC_MAX_RANK] = { 0 }, rest = i;
        for (int d = 1; d <= a->shape.rank; d++) {
            at[UC_MAX_RANK - d] = rest % a->shape.dim[a->shape.rank - d];
            rest /= a->shape.dim[a->shape.rank - d];
            if (d <= b->shape.rank && b->shape.dim[b->shape.rank - d] != 1)
                other[UC_MAX_RANK - d] = at[UC_MAX_RANK - d];
        }
        const float sum =
            (float)uc_get(a->data, a->dtype, offset_of(a, at)) + (float)uc_get(b->data, b->dtype, offset_of(b, other));
        uc_set(y->data, y->dtype, offset_of(y, at), (double)sum);
    }
}

static void add(const uc_launch *l) {
    const uc_view *a = &l->in[0], *b = &l->in[1], *y = &l->out[0];
    bool periodic = a->layout == y->layout;
    for (int i = 1; i <= b->shape.rank; i++)
        periodic = periodic && b->shape.dim[b->shape.rank - i] == a->shape.dim[a->shape.rank - i];
    if (a->shape.rank == 4)
        periodic = periodic && b->layout == a->layout && (a->layout == UC_PLAIN || b->shape.rank == 4);
    if (!periodic) {
        add_general(l);
        return;
    }
    const int64_t count = uc_shape_count(a->shape), period = uc_shape_count(b->shape);
    const int64_t blocks = uc_ceil_div(count, BLOCK);
    UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
    for (int64_t k = 0; k < blocks; k++) add_block(l, k * BLOCK, uc_min64(BLOCK, count - k * BLOCK), period);
}

UC_CPU_SINGLE(add, add)
UC_CPU_NO_SCRATCH(add)

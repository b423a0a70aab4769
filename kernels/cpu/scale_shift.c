/* scale_shift.c - x * scale + shift per channel: the prior's normalisation of CLIP image embeddings and back. */
#include "cpu.h"

enum { BLOCK = 1024 };

static void scale_block(const uc_launch *l, int64_t row, int64_t from, int64_t count) {
    const uc_view *x = &l->in[0], *scale = &l->in[1], *shift = &l->in[2], *y = &l->out[0];
    const int64_t at = row * x->shape.dim[x->shape.rank - 1] + from;
    float value[BLOCK], factor[BLOCK], offset[BLOCK];
    uc_convert(value, UC_F32, uc_at(x->data, x->dtype, at), x->dtype, count);
    uc_convert(factor, UC_F32, uc_at(scale->data, scale->dtype, from), scale->dtype, count);
    uc_convert(offset, UC_F32, uc_at(shift->data, shift->dtype, from), shift->dtype, count);
    for (int64_t i = 0; i < count; i++) value[i] = value[i] * factor[i] + offset[i];
    uc_convert(uc_at_mut(y->data, y->dtype, at), y->dtype, value, UC_F32, count);
}

static void scale_shift(const uc_launch *l) {
    const uc_shape s = l->in[0].shape;
    const int64_t channels = s.dim[s.rank - 1], count = uc_shape_count(s), rows = channels ? count / channels : 0;
    UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
    for (int64_t row = 0; row < rows; row++)
        for (int64_t from = 0; from < channels; from += BLOCK)
            scale_block(l, row, from, uc_min64(BLOCK, channels - from));
}

UC_CPU_SINGLE(scale_shift, scale_shift)
UC_CPU_NO_SCRATCH(scale_shift)

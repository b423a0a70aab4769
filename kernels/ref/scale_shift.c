/* scale_shift.c - the meaning of x * scale + shift over the last dimension: the prior's output leaves its normalised
 * space (clip_std, clip_mean) on the way to the image embedding. */
#include "ref.h"

void uc_ref_scale_shift(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *scale = &launch->in[1], *shift = &launch->in[2], *out = &launch->out[0];
    const int64_t count = uc_shape_count(out->shape), channels = out->shape.dim[out->shape.rank - 1];
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i % channels;
        uc_ref_write(out, i, uc_ref_read(x, i) * uc_ref_load(scale, c) + uc_ref_load(shift, c));
    }
}

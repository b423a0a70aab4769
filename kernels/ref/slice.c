/* slice.c - the meaning of a range of one dimension: the prior's positions of its last three tokens. */
#include "ref.h"

void uc_ref_slice(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int dim = launch->attrs.slice.dim;
    int64_t inner = 1;
    for (int k = dim + 1; k < out->shape.rank; k++) inner *= out->shape.dim[k];
    const int64_t from = x->shape.dim[dim] * inner, to = out->shape.dim[dim] * inner;
    const int64_t begin = launch->attrs.slice.begin * inner, count = uc_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) uc_ref_write(out, i, uc_ref_read(x, i / to * from + begin + i % to));
}

/* slice.c - a range of one dimension: the prior's positions of its last three tokens. */
#include "../ops.h"

size_t uc_cpu_slice_scratch(const uc_launch *l) {
    (void)l;
    return 0;
}

void uc_cpu_slice(const uc_launch *l) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const int dim = l->attrs.slice.dim;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < dim; i++) outer *= x->shape.dim[i];
    for (int i = dim + 1; i < x->shape.rank; i++) inner *= x->shape.dim[i];
    const int64_t from = x->shape.dim[dim], size = y->shape.dim[dim];
    const size_t xs = uc_dtype_size(x->dtype), ys = uc_dtype_size(y->dtype);
    for (int64_t o = 0; o < outer; o++)
        uc_convert((char *)y->data + (size_t)(o * size * inner) * ys, y->dtype,
                   (const char *)x->data + (size_t)((o * from + l->attrs.slice.begin) * inner) * xs, x->dtype,
                   size * inner);
}

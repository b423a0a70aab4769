/* slice.c - a range of one dimension: the prior's positions of its last three tokens. */
#include "../ops.h"


void uc_ref_slice(const uc_launch *l) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const int dim = l->attrs.slice.dim;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < dim; i++) outer *= x->shape.dim[i];
    for (int i = dim + 1; i < x->shape.rank; i++) inner *= x->shape.dim[i];
    const int64_t from = x->shape.dim[dim], size = y->shape.dim[dim];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < size * inner; i++)
            uc_set(y->data, y->dtype, o * size * inner + i,
                   uc_get(x->data, x->dtype, (o * from + l->attrs.slice.begin) * inner + i));
}

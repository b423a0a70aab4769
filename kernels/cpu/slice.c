/* slice.c - a range of one dimension: the prior's positions of its last three tokens. */
#include "cpu.h"

static void slice(const uc_launch *l) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const int dim = l->attrs.slice.dim;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < dim; i++) outer *= x->shape.dim[i];
    for (int i = dim + 1; i < x->shape.rank; i++) inner *= x->shape.dim[i];
    const int64_t run = y->shape.dim[dim] * inner;
    for (int64_t o = 0; o < outer; o++)
        uc_move(y, o * run, x, (o * x->shape.dim[dim] + l->attrs.slice.begin) * inner, run);
}

UC_CPU_SINGLE(slice, slice)
UC_CPU_NO_SCRATCH(slice)

/* slice.cu - a range of dimension 0 or 1: the prior's positions of its last three tokens.
 * A copy (move.cuh, where layout, cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape in = l.in[0].shape, out = l.out[0].shape;
    const int dim = l.attrs.slice.dim;
    long long inner = 1;
    for (int k = dim + 1; k < out.rank; k++) inner *= out.dim[k];
    *p = uc::copy_of(l, dim ? in.dim[0] : 1, out.dim[dim] * inner);
    p->part[0].from_stride = in.dim[dim] * inner;
    p->part[0].begin = l.attrs.slice.begin * inner;
    return uc::movable(l, *p) && (in.rank < 4 || dim == 0) && l.in[0].layout == l.out[0].layout;
}

} // namespace

UC_CUDA_OP(slice, problem_of, uc::no_scratch, rows)

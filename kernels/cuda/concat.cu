/* concat.cu - two to four values along dimension 0 or 1: the prior's tokens, a UNet's skip connections (channels, innermost
 * in NHWC), the noisy picture beside the smaller one. All parts in one launch.
 * A copy (move.cuh, where layout, cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape out = l.out[0].shape;
    const int dim = l.attrs.concat.dim;
    const bool channels = out.rank == 4 && dim == 1 && l.out[0].layout == UC_NHWC;
    long long inner = 1, outer = dim ? out.dim[0] : 1, begin = 0;
    for (int k = dim + 1; k < out.rank; k++) *(channels ? &outer : &inner) *= out.dim[k];
    *p = uc::copy_of(l, outer, 0);
    p->to_stride = out.dim[dim] * inner;
    for (p->parts = 0; p->parts < uc::MOST_PARTS && l.in[p->parts].shape.rank > 0; p->parts++) {
        const uc_view &part = l.in[p->parts];
        const long long width = part.shape.dim[dim] * inner;
        p->part[p->parts] = { uc::any_of(part), width, width, 0, begin };
        begin += width;
        if (part.layout != l.out[0].layout && out.rank == 4) return false;
    }
    return uc::movable(l, *p) && begin == p->to_stride;
}

} // namespace

UC_CUDA_OP(concat, problem_of, uc::no_scratch, rows)

/* repeat.cu - the whole batch, several times over: guidance runs both of its halves on the same noisy picture.
 * A copy with source stride 0 (move.cuh, where layout, cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    *p = uc::copy_of(l, l.attrs.repeat.times, uc_shape_count(l.in[0].shape));
    p->part[0].from_stride = 0;
    return uc::movable(l, *p) && l.in[0].layout == l.out[0].layout;
}

} // namespace

UC_CUDA_OP(repeat, problem_of, uc::no_scratch, rows)

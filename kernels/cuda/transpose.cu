/* transpose.cu - the last two dimensions exchanged: the text projection's extra context tokens.
 * A turn (move.cuh, where layout, cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_TURN_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    *p = uc::turn_of(l, s.rank == 3 ? s.dim[0] : 1, s.dim[s.rank - 2], s.dim[s.rank - 1]);
    return uc::movable(l, *p) && s.rank < 4;
}

} // namespace

UC_CUDA_OP(transpose, problem_of, uc::no_scratch, rows)

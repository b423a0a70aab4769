/* select_row.cu - the current step's row of a table, whose number is read from device memory, so that one captured graph
 * serves every step: the time embeddings of the prior, the decoder and the upsamplers.
 * A copy (move.cuh, where layout, cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    *p = uc::copy_of(l, 1, l.in[0].shape.dim[l.in[0].shape.rank - 1]);
    p->step = l.step;
    p->chosen_stride = p->part[0].width;
    return uc::movable(l, *p);
}

} // namespace

UC_CUDA_OP(select_row, problem_of, uc::no_scratch, rows)

/* gather_token.cu - one token of each sequence: CLIP text's end token, CLIP's picture token, the prior's last token.
 * A copy (move.cuh, where layout, cost and variants stand) whose rows are chosen by indices in device memory or by a
 * constant. */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    const bool indexed = l.in[1].shape.rank > 0;
    *p = uc::copy_of(l, s.dim[0], s.dim[2]);
    p->part[0].from_stride = s.dim[1] * s.dim[2];
    if (indexed) p->index = static_cast<const int *>(l.in[1].data), p->chosen_stride = s.dim[2];
    else p->part[0].begin = l.attrs.gather_token.token * s.dim[2];
    return uc::movable(l, *p) && (!indexed || l.in[1].dtype == UC_I32);
}

} // namespace

UC_CUDA_OP(gather_token, problem_of, uc::no_scratch, rows)

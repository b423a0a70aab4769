/* reorder.cu - another layout or type of the same value, between operations of any network that want it so; the sampler's
 * F32 NCHW picture becomes the UNet's 16-bit NHWC one here, and back.
 * A copy when the layout stays or does not matter, else a turn (move.cuh, where cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS, UC_TURN_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    const long long pixels = s.rank == 4 ? s.dim[2] * s.dim[3] : 1;
    const bool turns = s.rank == 4 && l.in[0].layout != l.out[0].layout && pixels > 1 && s.dim[1] > 1;
    if (!turns) *p = uc::copy_of(l, 1, uc_shape_count(s));
    else if (l.in[0].layout == UC_PLAIN) *p = uc::turn_of(l, s.dim[0], s.dim[1], pixels);
    else *p = uc::turn_of(l, s.dim[0], pixels, s.dim[1]);
    return uc::movable(l, *p);
}

} // namespace

UC_CUDA_OP(reorder, problem_of, uc::no_scratch, rows)

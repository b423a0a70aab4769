/* tokens_to_image.cu - one token a pixel as a picture: out of a UNet's attention. Copied into NHWC, turned into NCHW
 * (move.cuh, where cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS, UC_TURN_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    *p = l.out[0].layout == UC_NHWC ? uc::copy_of(l, 1, uc_shape_count(s))
                                    : uc::turn_of(l, s.dim[0], s.dim[1], s.dim[2]);
    return uc::movable(l, *p);
}

} // namespace

UC_CUDA_OP(tokens_to_image, problem_of, uc::no_scratch, rows)

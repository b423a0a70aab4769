/* image_to_tokens.cu - a picture as one token a pixel: into a UNet's attention, and CLIP's patches. A picture in NHWC is its
 * own token sequence and is copied; one in NCHW is turned (move.cuh, where cost and variants stand). */
#include "move.cuh"

namespace {

typedef uc::move_problem problem;
const uc::row<problem> rows[] = { UC_COPY_ROWS, UC_TURN_ROWS };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    *p = l.in[0].layout == UC_NHWC ? uc::copy_of(l, 1, uc_shape_count(s))
                                   : uc::turn_of(l, s.dim[0], s.dim[1], s.dim[2] * s.dim[3]);
    return uc::movable(l, *p);
}

} // namespace

UC_CUDA_OP(image_to_tokens, problem_of, uc::no_scratch, rows)

/* tokens_to_image.c - a sequence of pixels as a picture, after the decoder's attention. With the channels innermost the
 * bytes are the same, and the planner then needs no operation. */
#include "move.h"

static void tokens_to_image(const uc_launch *l) {
    const uc_view *y = &l->out[0];
    const int64_t *d = y->shape.dim;
    if (y->layout == UC_NHWC) uc_move(y, 0, &l->in[0], 0, uc_shape_count(y->shape));
    else uc_cpu_turn_over(l, y, &l->in[0], d[0], d[2] * d[3], d[1]);
}

UC_CPU_SINGLE(tokens_to_image, tokens_to_image)
UC_CPU_NO_SCRATCH(tokens_to_image)

/* image_to_tokens.c - a picture as a sequence of pixels, before the decoder's attention and in CLIP's image encoder.
 * With the channels innermost the bytes are the same, and the planner then needs no operation. */
#include "move.h"

static void image_to_tokens(const uc_launch *l) {
    const uc_view *x = &l->in[0];
    const int64_t *d = x->shape.dim;
    if (x->layout == UC_NHWC) uc_move(&l->out[0], 0, x, 0, uc_shape_count(x->shape));
    else uc_cpu_turn_over(l, &l->out[0], x, d[0], d[1], d[2] * d[3]);
}

UC_CPU_SINGLE(image_to_tokens, image_to_tokens)
UC_CPU_NO_SCRATCH(image_to_tokens)

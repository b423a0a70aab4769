/* reorder.c - the same value in another layout or type: where a picture enters or leaves a UNet (the sampler's pictures
 * are planar, the networks keep channels innermost), and where a result is stored into a state. */
#include "move.h"

static void reorder(const uc_launch *l) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const int64_t *d = x->shape.dim, count = uc_shape_count(x->shape);
    if (x->shape.rank != 4 || x->layout == y->layout) {
        const int64_t block = 65536, blocks = uc_ceil_div(count, block);
        UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
        for (int64_t b = 0; b < blocks; b++) uc_move(y, b * block, x, b * block, uc_min64(block, count - b * block));
    } else if (x->layout == UC_PLAIN) {
        uc_cpu_turn_over(l, y, x, d[0], d[1], d[2] * d[3]);
    } else {
        uc_cpu_turn_over(l, y, x, d[0], d[2] * d[3], d[1]);
    }
}

UC_CPU_SINGLE(reorder, reorder)
UC_CPU_NO_SCRATCH(reorder)

/* transpose.c - exchange of the last two dimensions: the decoder's extra context tokens, which lie strided. */
#include "move.h"

static void transpose(const uc_launch *l) {
    const int64_t *d = l->in[0].shape.dim;
    uc_cpu_turn_over(l, &l->out[0], &l->in[0], d[0], d[1], d[2]);
}

UC_CPU_SINGLE(transpose, transpose)
UC_CPU_NO_SCRATCH(transpose)

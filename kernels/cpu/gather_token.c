/* gather_token.c - one token of each sequence: CLIP's end-of-text token, the prior's prediction. */
#include "cpu.h"

static void gather_token(const uc_launch *l) {
    const uc_view *x = &l->in[0], *index = &l->in[1];
    const int64_t length = x->shape.dim[1], c = x->shape.dim[2];
    for (int64_t n = 0; n < x->shape.dim[0]; n++) {
        const int64_t token = index->data ? ((const int32_t *)index->data)[n] : l->attrs.gather_token.token;
        uc_move(&l->out[0], n * c, x, (n * length + token) * c, c);
    }
}

UC_CPU_SINGLE(gather_token, gather_token)
UC_CPU_NO_SCRATCH(gather_token)

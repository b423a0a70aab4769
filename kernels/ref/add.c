/* add.c - the meaning of the sum: positions onto tokens, CLIP embeddings onto time embeddings. b's shape is a tail of
 * a's, repeated over the leading dimensions; its sizes of 1 are repeated too. */
#include "ref.h"

/* The element of b that belongs to element i of a, both in logical order. */
static int64_t partner(uc_shape a, uc_shape b, int64_t i) {
    int64_t j = 0, stride = 1;
    for (int k = 1; k <= b.rank; k++) {
        const int64_t size = a.dim[a.rank - k], own = b.dim[b.rank - k];
        j += own == 1 ? 0 : i % size * stride;
        stride *= own;
        i /= size;
    }
    return j;
}

void uc_ref_add(const uc_launch *launch) {
    const uc_view *a = &launch->in[0], *b = &launch->in[1], *out = &launch->out[0];
    const int64_t count = uc_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++)
        uc_ref_write(out, i, uc_ref_read(a, i) + uc_ref_read(b, partner(a->shape, b->shape, i)));
}

/* transpose.c - the meaning of the exchange of the last two dimensions: the text projection's extra context tokens,
 * which the reference stores strided. */
#include "ref.h"

void uc_ref_transpose(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t rows = x->shape.dim[x->shape.rank - 2], columns = x->shape.dim[x->shape.rank - 1];
    const int64_t count = uc_shape_count(x->shape);
    for (int64_t i = 0; i < count; i++) {
        const int64_t block = i / (rows * columns), r = i / columns % rows, c = i % columns;
        uc_ref_write(out, (block * columns + c) * rows + r, uc_ref_read(x, i));
    }
}

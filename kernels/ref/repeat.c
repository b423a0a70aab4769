/* repeat.c - the meaning of copies along the batch: guidance runs the conditional and the unconditional half at once,
 * on the same noisy picture or embedding. The whole batch, `times` over. */
#include "ref.h"

void uc_ref_repeat(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t count = uc_shape_count(x->shape);
    for (int k = 0; k < launch->attrs.repeat.times; k++)
        for (int64_t i = 0; i < count; i++) uc_ref_write(out, k * count + i, uc_ref_read(x, i));
}

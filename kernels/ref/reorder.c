/* reorder.c - the meaning of a change of layout or type: the same numbers in the same logical places. The planner puts
 * it between operations of any network that want their pictures laid out differently. */
#include "ref.h"

void uc_ref_reorder(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t count = uc_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++) uc_ref_write(out, i, uc_ref_read(x, i));
}

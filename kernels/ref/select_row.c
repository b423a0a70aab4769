/* select_row.c - the meaning of the current step's row of a table [steps, c]: the time embeddings of all steps are
 * computed before the first one, in the prior, the decoder and the upsamplers alike. */
#include "ref.h"

void uc_ref_select_row(const uc_launch *launch) {
    const uc_view *table = &launch->in[0], *out = &launch->out[0];
    const int64_t channels = table->shape.dim[table->shape.rank - 1];
    for (int64_t c = 0; c < channels; c++) uc_ref_store(out, c, uc_ref_load(table, launch->step->index * channels + c));
}

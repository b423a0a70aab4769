/* embedding.c - the meaning of the token embedding (torch.nn.Embedding): tokens -> CLIP text. The rows of the table
 * that the ids name, plus the learned embedding of their positions. */
#include "ref.h"

void uc_ref_embedding(const uc_launch *launch) {
    const uc_view *ids = &launch->in[UC_EMB_IDS], *table = &launch->in[UC_EMB_TABLE];
    const uc_view *positions = &launch->in[UC_EMB_POSITIONS], *out = &launch->out[0];
    const int64_t batch = out->shape.dim[0], tokens = out->shape.dim[1], channels = out->shape.dim[2];
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++) {
            const int64_t id = ((const int32_t *)ids->data)[b * tokens + t];
            for (int64_t c = 0; c < channels; c++) {
                double value = uc_ref_load(table, id * channels + c);
                if (uc_ref_given(positions)) value += uc_ref_load(positions, t * channels + c);
                uc_ref_store(out, (b * tokens + t) * channels + c, value);
            }
        }
}

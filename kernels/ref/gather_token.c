/* gather_token.c - the meaning of one token of each sequence: CLIP text's end token is the sentence, CLIP's first image
 * token the picture, and the prior's last token its prediction. */
#include "ref.h"

void uc_ref_gather_token(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *index = &launch->in[1], *out = &launch->out[0];
    const int64_t batch = x->shape.dim[0], tokens = x->shape.dim[1], channels = x->shape.dim[2];
    for (int64_t b = 0; b < batch; b++) {
        const int64_t token =
            uc_ref_given(index) ? ((const int32_t *)index->data)[b] : launch->attrs.gather_token.token;
        for (int64_t c = 0; c < channels; c++)
            uc_ref_store(out, b * channels + c, uc_ref_load(x, (b * tokens + token) * channels + c));
    }
}

/* image_to_tokens.c - the meaning of picture [n,c,h,w] to one token a pixel [n, h w, c]: a UNet's way into attention,
 * and CLIP's patches into its transformer. */
#include "ref.h"

void uc_ref_image_to_tokens(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t *d = x->shape.dim;
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < d[2] * d[3]; p++)
            for (int64_t c = 0; c < d[1]; c++)
                uc_ref_store(out, (n * d[2] * d[3] + p) * d[1] + c,
                             uc_ref_load(x, uc_at4(x, n, c, p / d[3], p % d[3])));
}

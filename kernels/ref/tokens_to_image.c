/* tokens_to_image.c - the meaning of one token a pixel [n, h w, c] to picture [n,c,h,w]: a UNet's way out of
 * attention. */
#include "ref.h"

void uc_ref_tokens_to_image(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t *d = out->shape.dim;
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < d[2] * d[3]; p++)
            for (int64_t c = 0; c < d[1]; c++)
                uc_ref_store(out, uc_at4(out, n, c, p / d[3], p % d[3]),
                             uc_ref_load(x, (n * d[2] * d[3] + p) * d[1] + c));
}

/* to_bytes.c - the meaning of a picture's way into bytes: out of the last stage, into files and windows. */
#include "ref.h"

#include <math.h>

void uc_ref_to_bytes(const uc_launch *launch) {
    const uc_view *x = &launch->in[0];
    const int64_t *d = x->shape.dim, pixels = d[2] * d[3];
    uint8_t *out = launch->out[0].data;
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t p = 0; p < pixels; p++) {
            bool finite = true;
            for (int64_t c = 0; c < 3; c++) {
                const float value = (float)uc_ref_load(x, uc_at4(x, n, c, p / d[3], p % d[3]));
                const float half = value * 0.5f, unit = half + 0.5f, inside = unit > 1 ? 1 : unit > 0 ? unit : 0;
                finite = finite && isfinite(value);
                out[(n * pixels + p) * 4 + c] = (uint8_t)nearbyintf(inside * 255.0f);
            }
            out[(n * pixels + p) * 4 + 3] = finite ? 255 : 0;
        }
}

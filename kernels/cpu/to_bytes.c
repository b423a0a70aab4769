/* to_bytes.c - a picture in [-1, 1] as bytes of red, green, blue and whether they mean something: out of the last stage. */
#include "cpu.h"

static uint8_t byte_of(float x) { return (uint8_t)nearbyintf(fminf(fmaxf(x * 0.5f + 0.5f, 0.0f), 1.0f) * 255.0f); }

static void to_bytes(const uc_launch *l) {
    const int64_t *d = l->in[0].shape.dim, pixels = d[2] * d[3];
    for (int64_t n = 0; n < d[0]; n++) {
        const float *red = (const float *)l->in[0].data + 3 * n * pixels, *green = red + pixels, *blue = green + pixels;
        uint8_t *out = (uint8_t *)l->out[0].data + 4 * n * pixels;
        UC_OMP(parallel for num_threads(uc_threads_for(l, pixels)) schedule(static))
        for (int64_t i = 0; i < pixels; i++) {
            out[4 * i] = byte_of(red[i]);
            out[4 * i + 1] = byte_of(green[i]);
            out[4 * i + 2] = byte_of(blue[i]);
            out[4 * i + 3] = isfinite(red[i]) && isfinite(green[i]) && isfinite(blue[i]) ? 255 : 0;
        }
    }
}

UC_CPU_SINGLE(to_bytes, to_bytes)
UC_CPU_NO_SCRATCH(to_bytes)

/* timestep.c - the meaning of the sinusoidal embedding of a diffusion timestep: the clock of the prior, the decoder and
 * the upsamplers.
 *
 * Up to the argument of sine and cosine this is float arithmetic with a rounding after each operation, because the
 * networks were trained with it: near t = 1000 the rounding of a frequency moves the result by 1e-4, more than all else
 * that an engine does to it. */
#include "ref.h"

#include <math.h>

void uc_ref_timestep(const uc_launch *launch) {
    const uc_view *t = &launch->in[0], *out = &launch->out[0];
    const uc_timestep_attrs attrs = launch->attrs.timestep;
    const int64_t dim = out->shape.dim[1], half = dim / 2;
    const int64_t cosine = attrs.flip_sin_to_cos ? 0 : half, sine = half - cosine;
    const float log_period = (float)-log(10000.0), divisor = (float)((double)half - (double)attrs.freq_shift);
    for (int64_t n = 0; n < out->shape.dim[0]; n++) {
        for (int64_t i = 0; i < half; i++) {
            const float exponent = log_period * (float)i;
            const float frequency = (float)exp((double)(exponent / divisor));
            const float argument = (float)uc_ref_load(t, n) * frequency;
            uc_ref_store(out, n * dim + cosine + i, cos((double)argument));
            uc_ref_store(out, n * dim + sine + i, sin((double)argument));
        }
        if (dim % 2) uc_ref_store(out, n * dim + dim - 1, 0);
    }
}

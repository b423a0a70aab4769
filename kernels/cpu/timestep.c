/* timestep.c - the sinusoidal embedding of a diffusion timestep, the clock of the prior, the decoder and the
 * upsamplers.
 *
 * Up to the argument of sine and cosine every operation is rounded to float, as in the networks' training: near t =
 * 1000 the rounding of a frequency is visible. */
#include "cpu.h"

static void timestep(const uc_launch *l) {
    const uc_view *t = &l->in[0], *y = &l->out[0];
    const uc_timestep_attrs attrs = l->attrs.timestep;
    const int64_t rows = y->shape.dim[0], dim = y->shape.dim[1], half = dim / 2;
    const int64_t cosine = attrs.flip_sin_to_cos ? 0 : half, sine = half - cosine;
    const float log_period = (float)-log(10000.0), divisor = (float)((double)half - (double)attrs.freq_shift);
    UC_OMP(parallel for num_threads(uc_threads_for(l, rows * dim * 16)) schedule(static))
    for (int64_t n = 0; n < rows; n++) {
        const float time = (float)uc_get(t->data, t->dtype, n);
        for (int64_t i = 0; i < half; i++) {
            const float exponent = log_period * (float)i;
            const float argument = time * (float)exp((double)(exponent / divisor));
            uc_set(y->data, y->dtype, n * dim + cosine + i, cos((double)argument));
            uc_set(y->data, y->dtype, n * dim + sine + i, sin((double)argument));
        }
        if (dim % 2) uc_set(y->data, y->dtype, n * dim + dim - 1, 0);
    }
}

UC_CPU_SINGLE(timestep, timestep)
UC_CPU_NO_SCRATCH(timestep)

/* noise.h - the numbers of a sampler's step that need more than a multiplication: Philox noise and exponentials, a
 * vector at a time. See engine/core/philox.h for what they are. */
#ifndef UC_KERNELS_CPU_NOISE_H
#define UC_KERNELS_CPU_NOISE_H

#include "cpu.h"

/* Which draw of which stage of which picture. */
typedef struct uc_noise_key { uint64_t seed; uint32_t stage, draw; } uc_noise_key;

/* Elements 4 block ... 4 block + count - 1 of a draw, within 1e-6 of uc_philox_normal4's in exact arithmetic. An
 * element has the same bytes however a draw is cut into calls. */
void uc_cpu_normal(float *out, int64_t count, uc_noise_key key, uint64_t block);

/* x becomes exp(x), within 2 ulp (vf_exp in simd.h). */
void uc_cpu_exponential(float *x, int64_t count);

/* With one instruction set, for tests. */
void uc_cpu_normal_for(uc_isa isa, float *out, int64_t count, uc_noise_key key, uint64_t block);
void uc_cpu_exponential_for(uc_isa isa, float *x, int64_t count);

#endif

/* noise.h - the initial noise of a stage, and any draw at all, in one call. The prior, the decoder and the upsamplers
 * start from draw 0; their steps' draws are made inside the operation noise_step from the same key. */
#ifndef UC_SAMPLING_NOISE_H
#define UC_SAMPLING_NOISE_H

#include <stdint.h>

/* count standard normals: element i is lane i % 4 of block i / 4 of engine/core/philox.h. */
void uc_philox_fill(float *out, int64_t count, uint64_t seed, uint32_t stage, uint32_t draw);

#endif

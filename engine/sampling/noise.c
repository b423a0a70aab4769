/* noise.c - see noise.h: where the prior, the decoder and the upsamplers start. */
#include "noise.h"

#include "../core/philox.h"

void uc_philox_fill(float *out, int64_t count, uint64_t seed, uint32_t stage, uint32_t draw) {
    for (int64_t i = 0; i < count; i += 4) {
        float four[4];
        uc_philox_normal4(seed, stage, draw, (uint64_t)i / 4, four);
        for (int64_t j = i; j < count && j < i + 4; j++) out[j] = four[j - i];
    }
}

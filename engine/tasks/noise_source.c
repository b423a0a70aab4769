/* noise_source.c - see noise_source.h. */
#include "noise_source.h"

#include <string.h>

#include "../sampling/noise.h"

void uc_noise_source_init(uc_noise_source *source, unclip_rng kind, uint64_t seed) {
    source->kind = kind;
    source->one_row = false;
    uc_torch_rng_seed(&source->torch, seed);
}

void uc_noise_source_fill(uc_noise_source *source, float *out, int64_t rows, int64_t count, const int64_t *row_seeds,
                          uint32_t stage, uint32_t draw) {
    if (source->kind == UNCLIP_RNG_TORCH_CPU) {
        uc_torch_rng_normal(&source->torch, out, source->one_row ? count : rows * count);
        for (int64_t r = 1; source->one_row && r < rows; r++) memcpy(out + r * count, out, (size_t)count * sizeof *out);
        return;
    }
    for (int64_t r = 0; r < rows; r++) uc_philox_fill(out + r * count, count, (uint64_t)row_seeds[r], stage, draw);
}

int64_t uc_candidate_seed(uint64_t image_seed, int candidate) {
    /* an odd multiplier spreads candidates over the key space, away from the neighbouring images' seeds */
    return (int64_t)(image_seed + (uint64_t)candidate * 0x9E3779B97F4A7C15u);
}

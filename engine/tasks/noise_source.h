/* noise_source.h - where a launch's random numbers come from: Philox by key, or PyTorch's CPU generator in diffusers'
 * order of draws. */
#ifndef UC_TASKS_NOISE_SOURCE_H
#define UC_TASKS_NOISE_SOURCE_H

#include "../sampling/torch_rng.h"
#include "../unclip.h"

typedef struct uc_noise_source {
    unclip_rng kind;
    uc_torch_rng torch; /* one generator for the whole launch */
    bool one_row;       /* PyTorch: one row is drawn and serves all, as for frames that share a seed */
} uc_noise_source;

/* seed: of the launch's first image; Philox does not need it. */
void uc_noise_source_init(uc_noise_source *source, unclip_rng kind, uint64_t seed);

/* count numbers for each of the rows. Philox: draw `draw` of the stage by each row's own seed. PyTorch: the next
 * rows * count numbers of the generator, or count numbers for every row alike. */
void uc_noise_source_fill(uc_noise_source *source, float *out, int64_t rows, int64_t count, const int64_t *row_seeds,
                          uint32_t stage, uint32_t draw);

/* The seed of candidate c of an image: the image's own for the first. */
int64_t uc_candidate_seed(uint64_t image_seed, int candidate);

#endif

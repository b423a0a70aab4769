/* torch_rng.h - the noise of `--rng torch-cpu`: PyTorch's CPU generator, torch.randn in float32. The prior's, decoder's
 * and upsamplers' noise then is that of a diffusers pipeline with torch.Generator().manual_seed(seed). */
#ifndef UC_SAMPLING_TORCH_RNG_H
#define UC_SAMPLING_TORCH_RNG_H

#include <stdbool.h>
#include <stdint.h>

enum { UC_MT19937_WORDS = 624 };

typedef struct uc_torch_rng {
    uint32_t state[UC_MT19937_WORDS];
    int used;      /* words of the state that are spent */
    bool has_next; /* a second normal of a pair is waiting: only draws of fewer than 16 use and leave it */
    double next;
} uc_torch_rng;

/* torch.Generator().manual_seed(seed): only the low 32 bits matter, as there. */
void uc_torch_rng_seed(uc_torch_rng *rng, uint64_t seed);

/* torch.randn(count, generator=rng). One call is one tensor: its size decides how it is drawn. */
void uc_torch_rng_normal(uc_torch_rng *rng, float *out, int64_t count);

/* The next 32 bits of the Mersenne twister. */
uint32_t uc_torch_rng_bits(uc_torch_rng *rng);

#endif

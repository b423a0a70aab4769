/* winograd.h - 3 x 3 convolution with a quarter of the multiplications: most of the arithmetic of the decoder and the
 * upsamplers in f32. See winograd.c for the method and its error. */
#ifndef UC_KERNELS_CPU_WINOGRAD_H
#define UC_KERNELS_CPU_WINOGRAD_H

#include "cpu.h"

/* Whether a convolution is of this kind at all, and whether it is then faster than the direct one, oneDNN's or ours.
 * Depends on one image's shape and never on the batch, since the two round differently. Data is not read. */
bool uc_cpu_winograd_can(const uc_launch *launch);
bool uc_cpu_winograd_pays(const uc_launch *launch, bool library);

/* packed: the weight in the order of gemm.h. */
void uc_cpu_winograd(const uc_launch *launch, const void *packed);
size_t uc_cpu_winograd_scratch(const uc_launch *launch);

/* For tests: with one instruction set, and in blocks though all tiles would fit at once. The same bytes either way. */
void uc_cpu_winograd_for(uc_isa isa, bool in_blocks, const uc_launch *launch, const void *packed);
size_t uc_cpu_winograd_blocks_scratch(const uc_launch *launch);

#endif

/* winograd.h - 3 x 3 convolution with a quarter of the multiplications: most of the arithmetic of the decoder and the
 * upsamplers in f32. See winograd.c for the method and its error. */
#ifndef UC_KERNELS_CPU_WINOGRAD_H
#define UC_KERNELS_CPU_WINOGRAD_H

#include "cpu.h"

/* Whether a convolution is of this kind at all, and whether it is then faster than the direct one, oneDNN's or ours.
 * Depends on one image's shape and never on the batch, since the two round differently. Data is not read. */
bool uc_cpu_winograd_can(const uc_launch *launch);
bool uc_cpu_winograd_pays(const uc_launch *launch, bool library);

/* What a result may lose beyond the bound of ops.def, as a part of the results' root mean square. */
double uc_cpu_winograd_loses(const uc_launch *launch);

/* packed: the weight in the order of gemm.h. Multiplies in whichever way pays. */
void uc_cpu_winograd(const uc_launch *launch, const void *packed);
size_t uc_cpu_winograd_scratch(const uc_launch *launch);

/* With products in f32, by one instruction set (for tests), and shared out by tiles though weights would be taken panel
 * by panel. The same bytes either way. */
void uc_cpu_winograd_for(uc_isa isa, bool by_tiles, const uc_launch *launch, const void *packed);
size_t uc_cpu_winograd_scratch_for(bool by_tiles, const uc_launch *launch);
double uc_cpu_winograd_loses_for(const uc_launch *launch);

/* With products on the processor's int8 tiles, in f32's precision: winograd_tiles.c. Whether the machine and the shape
 * allow it; whether it is then faster. These depend on one image's shape. */
bool uc_cpu_winograd_tiles_can(const uc_launch *launch);
bool uc_cpu_winograd_tiles_pays(const uc_launch *launch);
void uc_cpu_winograd_tiles(bool in_blocks, const uc_launch *launch, const void *packed);
size_t uc_cpu_winograd_tiles_scratch(bool in_blocks, const uc_launch *launch);

#endif

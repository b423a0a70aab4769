/* conv2d_bf16.h - 3 x 3 convolution of a run in bf16 on the processor's tiles: see conv2d_bf16.c. */
#ifndef UC_KERNELS_CPU_CONV2D_BF16_H
#define UC_KERNELS_CPU_CONV2D_BF16_H

#include "cpu.h"

/* Whether machine and shape allow it; whether it is then faster than oneDNN. These depend on one image's shape. Data is
 * not read. */
bool uc_cpu_conv2d_bf16_can(const uc_launch *launch);
bool uc_cpu_conv2d_bf16_pays(const uc_launch *launch);

/* A weight in the order of the tiles, rounded to bf16. */
size_t uc_cpu_conv2d_bf16_packed_bytes(const uc_view *weight);
void uc_cpu_conv2d_bf16_pack(void *packed, const uc_view *weight, int threads);

/* in[WEIGHT] then only gives its shape. */
size_t uc_cpu_conv2d_bf16_scratch(const uc_launch *launch);
void uc_cpu_conv2d_bf16(const uc_launch *launch, const void *packed);

#endif

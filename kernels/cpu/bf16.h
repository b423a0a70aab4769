/* bf16.h - the processor's own products of bf16 numbers, summed in f32 (attention_bf16.c), and the tiles that make them
 * and those of f32 numbers' digits (digit_tiles.h). */
#ifndef UC_KERNELS_CPU_BF16_H
#define UC_KERNELS_CPU_BF16_H

#include "cpu.h"

#if UC_CPU_X86 && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define UC_BF16_CODE 1
#else
#define UC_BF16_CODE 0
#endif

/* The instructions for products of bf16: none; vectors (AVX512-BF16); tiles too (AMX, once the kernel has granted
 * them). */
typedef enum uc_bf16_products { UC_BF16_NONE, UC_BF16_VECTORS, UC_BF16_TILES } uc_bf16_products;
uc_bf16_products uc_cpu_bf16_products(void);

/* Whether tiles multiply whole numbers of 8 bits too, and vectors can sort their bytes: digit_tiles.h. */
bool uc_cpu_int8_tiles(void);

/* A thread's eight tile registers of 16 rows of 64 bytes: set before they are used, and given back for others to set.
 * The machine must have TILES. */
void uc_cpu_tiles(bool on);

#endif

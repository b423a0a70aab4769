/* foreach_isa.h - compiles the body of a kernel file once per instruction set.
 *
 * A binary built on one machine must be fast on another, so the kernels of the whole flow (CLIP text -> prior ->
 * decoder -> upsamplers) are compiled for AVX-512, AVX2 and the baseline, and chosen at run time. A kernel file
 * reads:
 *
 *     #define UC_FILE "activation.c"
 *     #include "foreach_isa.h"
 *     #include "simd.h"
 *     static void UC_ISA(run)(const uc_launch *l) { ... vf ... }
 *     #ifdef UC_ISA_ONCE
 *     UC_CPU_VARIANTS(activation, run)
 *     #endif
 *
 * The file includes itself for every further instruction set. Headers must be included before this one, else their
 * inline functions would be compiled with instructions that the machine may lack. */
#include "cpu.h"

#if !defined(UC_ISA_NAME)
#if UC_CPU_X86
#define UC_ISA_NAME avx512
#define UC_ISA_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif
#include UC_FILE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef UC_ISA_NAME
#undef UC_ISA_LANES

#define UC_ISA_NAME avx2
#define UC_ISA_LANES 8
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#include UC_FILE
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef UC_ISA_NAME
#undef UC_ISA_LANES
#endif

#define UC_ISA_NAME base
#define UC_ISA_LANES 4
#define UC_ISA_ONCE
#endif

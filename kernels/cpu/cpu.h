/* cpu.h - what every CPU kernel of the flow shares: the instruction sets, and OpenMP.
 *
 * Parallel loops go through UC_OMP so that a compiler without OpenMP builds the same kernels for one thread. No kernel
 * lets the number of threads change a result: a loop is split over outputs, or over chunks whose size depends on the
 * shape alone and whose partial sums are added in order. */
#ifndef UC_KERNELS_CPU_H
#define UC_KERNELS_CPU_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../ops.h"

/* UC_CPU_PORTABLE leaves the baseline alone, as other processors have it. */
#if defined(__x86_64__) && !defined(UC_CPU_PORTABLE)
#define UC_CPU_X86 1
#include <immintrin.h>
#else
#define UC_CPU_X86 0
#endif

/* uc_thread: which of the uc_team threads of a parallel region this is. */
#if defined(_OPENMP)
#include <omp.h>
#define UC_PRAGMA(text) _Pragma(#text)
#define UC_OMP(...) UC_PRAGMA(omp __VA_ARGS__)
static inline int uc_thread(void) { return omp_get_thread_num(); }
static inline int uc_team(void) { return omp_get_num_threads(); }
#else
#define UC_OMP(...)
static inline int uc_thread(void) { return 0; }
static inline int uc_team(void) { return 1; }
#endif

#define UC_PASTE_(a, b) a##_##b
#define UC_PASTE(a, b) UC_PASTE_(a, b)
#define UC_ISA(name) UC_PASTE(name, UC_ISA_NAME)

/* Instruction sets, from the most widespread to the fastest. */
typedef enum uc_isa { UC_ISA_BASE, UC_ISA_AVX2, UC_ISA_AVX512, UC_ISA_COUNT } uc_isa;

/* The fastest one that this machine runs. */
uc_isa uc_cpu_isa(void);
const char *uc_cpu_isa_name(uc_isa isa);

/* What the processor calls itself (where it does; else the kind of machine), and those of its instruction sets on which
 * the speed of kernels depends: "avx2 fma avx512f ...". */
enum { UC_CPU_TEXT = 128 };
void uc_cpu_describe(char name[UC_CPU_TEXT], char instructions[UC_CPU_TEXT]);

/* Every variant of a kernel, for tests; the machine must be able to run it. Kernels that only move data have one. */
uc_kernel uc_cpu_kernel_variant(uc_op_kind kind, uc_isa isa);

#define UC_OP(name, inputs, atol, rtol, what) extern const uc_kernel uc_cpu_##name##_variants[UC_ISA_COUNT];
#include "../ops.def"
#undef UC_OP

/* Defines the kernel of an operation from the variants of a function, and a scratch function. */
#if UC_CPU_X86
#define UC_CPU_VARIANT_LIST(function) \
    { function##_base, function##_avx2, function##_avx512 }
#else
#define UC_CPU_VARIANT_LIST(function) \
    { function##_base, function##_base, function##_base }
#endif
#define UC_CPU_VARIANTS(name, function)                                                     \
    const uc_kernel uc_cpu_##name##_variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(function); \
    void uc_cpu_##name(const uc_launch *l) { uc_cpu_##name##_variants[uc_cpu_isa()](l); }
/* The same for a kernel without vector code. */
#define UC_CPU_SINGLE(name, function)                                                          \
    const uc_kernel uc_cpu_##name##_variants[UC_ISA_COUNT] = { function, function, function }; \
    void uc_cpu_##name(const uc_launch *l) { function(l); }
#define UC_CPU_NO_SCRATCH(name)                          \
    size_t uc_cpu_##name##_scratch(const uc_launch *l) { \
        (void)l;                                         \
        return 0;                                        \
    }

static inline int64_t uc_min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t uc_max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t uc_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t uc_round_up(int64_t a, int64_t b) { return uc_ceil_div(a, b) * b; }

/* Element offset into a buffer of some type. */
static inline const void *uc_at(const void *data, uc_dtype type, int64_t i) {
    return (const char *)data + (size_t)i * uc_dtype_size(type);
}
static inline void *uc_at_mut(void *data, uc_dtype type, int64_t i) {
    return (char *)data + (size_t)i * uc_dtype_size(type);
}

/* count elements from one place to another, with conversion between floating types where they differ. */
static inline void uc_move(const uc_view *to, int64_t to_at, const uc_view *from, int64_t from_at, int64_t count) {
    void *dst = uc_at_mut(to->data, to->dtype, to_at);
    const void *src = uc_at(from->data, from->dtype, from_at);
    if (to->dtype == from->dtype) memcpy(dst, src, (size_t)count * uc_dtype_size(to->dtype));
    else uc_convert(dst, to->dtype, src, from->dtype, count);
}

/* How many threads are worth starting for this much work (elements touched, or the like): a start costs
 * microseconds. */
static inline int uc_threads_for(const uc_launch *l, int64_t work) {
    return l->threads > 1 && work >= 16384 ? l->threads : 1;
}

#endif

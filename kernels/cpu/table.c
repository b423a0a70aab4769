/* table.c - which function runs an operation on the CPU, and with which instructions; used by the backend for every
 * network of the flow. */
#include "cpu.h"

uc_isa uc_cpu_isa(void) {
#if UC_CPU_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return UC_ISA_AVX512;
    /* every processor with AVX2 and FMA also converts f16 */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return UC_ISA_AVX2;
#endif
    return UC_ISA_BASE;
}

const char *uc_cpu_isa_name(uc_isa isa) {
    static const char *const names[UC_ISA_COUNT] = { "base", "avx2", "avx512" };
    return names[isa];
}

uc_cpu_kernel_entry uc_cpu_kernel(uc_op_kind kind) {
    static const uc_cpu_kernel_entry table[UC_OP_COUNT] = {
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = { uc_cpu_##name, uc_cpu_##name##_scratch },
#include "../ops.def"
#undef UC_OP
    };
    return table[kind];
}

uc_kernel uc_cpu_kernel_variant(uc_op_kind kind, uc_isa isa) {
    static const uc_kernel *const table[UC_OP_COUNT] = {
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = uc_cpu_##name##_variants,
#include "../ops.def"
#undef UC_OP
    };
    return kind > UC_OP_NONE && kind < UC_OP_COUNT ? table[kind][isa] : NULL;
}

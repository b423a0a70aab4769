/* table.c - which function runs an operation on the CPU, and with which instructions; used by the backend for every
 * network of the flow. */
#include "cpu.h"

#include <stdio.h>
#if UC_CPU_X86
#include <cpuid.h>
#else
#include <sys/utsname.h>
#endif

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

#if UC_CPU_X86
/* The brand string: three times four registers, padded with blanks or zeros. */
static void processor_name(char out[UC_CPU_TEXT]) {
    unsigned word[12] = { 0 };
    char text[sizeof word + 1] = "";
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2], &word[4 * i + 3])) break;
    memcpy(text, word, sizeof word);
    for (size_t i = 0; i < sizeof word; i++)
        if (text[i] && (text[i] < ' ' || text[i] > '~')) text[i] = '?';
    const char *begin = text + strspn(text, " ");
    size_t length = strlen(begin);
    while (length && begin[length - 1] == ' ') length--;
    snprintf(out, UC_CPU_TEXT, "%.*s", (int)length, begin);
}

void uc_cpu_describe(char name[UC_CPU_TEXT], char instructions[UC_CPU_TEXT]) {
    const struct { const char *name; bool has; } sets[] = {
        { "avx2", __builtin_cpu_supports("avx2") },         { "fma", __builtin_cpu_supports("fma") },
        { "avx512f", __builtin_cpu_supports("avx512f") },   { "avx512bw", __builtin_cpu_supports("avx512bw") },
        { "avx512dq", __builtin_cpu_supports("avx512dq") }, { "avx512vl", __builtin_cpu_supports("avx512vl") },
        { "avx512_bf16", __builtin_cpu_supports("avx512bf16") },
    };
    processor_name(name);
    size_t used = 0;
    instructions[0] = '\0';
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        if (sets[i].has)
            used += (size_t)snprintf(instructions + used, UC_CPU_TEXT - used, "%s%s", used ? " " : "", sets[i].name);
}
#else
void uc_cpu_describe(char name[UC_CPU_TEXT], char instructions[UC_CPU_TEXT]) {
    struct utsname system;
    snprintf(name, UC_CPU_TEXT, "%.60s", uname(&system) >= 0 ? system.machine : "unknown");
    instructions[0] = '\0';
}
#endif

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

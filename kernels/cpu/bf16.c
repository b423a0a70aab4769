/* bf16.c - see bf16.h. */
#include "bf16.h"

#if UC_BF16_CODE
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bits of CPUID 7's EDX: older compilers do not know the names. */
enum { AMX_BF16 = 22, AMX_TILE = 24, AMX_INT8 = 25 };

static bool has_tiles(int products_bit) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> products_bit & 1) && (d >> AMX_TILE & 1);
}

uc_bf16_products uc_cpu_bf16_products(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    if (!__builtin_cpu_supports("avx512bf16") || uc_cpu_isa() != UC_ISA_AVX512) return UC_BF16_NONE;
    /* Linux grants a process the tiles' registers when it asks; asking again is cheap */
    if (has_tiles(AMX_BF16) && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0) return UC_BF16_TILES;
    return UC_BF16_VECTORS;
}

bool uc_cpu_int8_tiles(void) {
    return uc_cpu_bf16_products() == UC_BF16_TILES && has_tiles(AMX_INT8) && __builtin_cpu_supports("avx512vbmi");
}

__attribute__((target("amx-tile"))) void uc_cpu_tiles(bool on) {
    enum { REGISTERS = 8, ROWS = 16, ROW_BYTES = 64 };
    struct { uint8_t palette, start, zeros[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = { .palette = 1 };
    for (int i = 0; i < REGISTERS; i++) {
        shape.bytes[i] = ROW_BYTES;
        shape.rows[i] = ROWS;
    }
    __asm__ volatile("" ::"r"(&shape) : "memory");
    if (on) _tile_loadconfig(&shape);
    else _tile_release();
}

#else

uc_bf16_products uc_cpu_bf16_products(void) { return UC_BF16_NONE; }
bool uc_cpu_int8_tiles(void) { return false; }
void uc_cpu_tiles(bool on) { (void)on; }

#endif

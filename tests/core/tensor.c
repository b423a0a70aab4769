/* tensor.c - half precision against the compiler's own conversions, errors that are cut at a character. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/core/error.h"
#include "engine/core/tensor.h"

Test(core_tensor, every_half_survives_the_way_to_float_and_back) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float f = uc_f16_to_f32((uint16_t)bits), b = uc_bf16_to_f32((uint16_t)bits);
        if (!isnan(f)) cr_assert_eq(uc_f32_to_f16(f), bits, "f16 %04x", bits);
        else cr_assert(isnan(uc_f16_to_f32(uc_f32_to_f16(f))));
        if (!isnan(b)) cr_assert_eq(uc_f32_to_bf16(b), bits, "bf16 %04x", bits);
        else cr_assert(isnan(uc_bf16_to_f32(uc_f32_to_bf16(b))));
    }
}

#ifdef __FLT16_MAX__
Test(core_tensor, f16_rounds_as_the_compiler_does) {
    uint32_t state = 12345;
    for (int i = 0; i < 2000000; i++) {
        state = state * 1664525u + 1013904223u;
        /* all exponents that matter, so that subnormals and overflow are met */
        const uint32_t bits = (state & 0x807FFFFFu) | ((95u + (state >> 8) % 52u) << 23);
        float f;
        memcpy(&f, &bits, sizeof f);
        const _Float16 expected = (_Float16)f;
        uint16_t expected_bits;
        memcpy(&expected_bits, &expected, sizeof expected_bits);
        cr_assert_eq(uc_f32_to_f16(f), expected_bits, "%a (state %u)", f, state);
    }
}
#endif

Test(core_tensor, bf16_rounds_half_to_even) {
    cr_expect_eq(uc_f32_to_bf16(0x1.01p0f), 0x3F80);  /* half way, even below */
    cr_expect_eq(uc_f32_to_bf16(0x1.03p0f), 0x3F82);  /* half way, even above */
    cr_expect_eq(uc_f32_to_bf16(0x1.010002p0f), 0x3F81);
    cr_expect_eq(uc_f32_to_bf16(0x1.fffffep127f), 0x7F80);
}

Test(core_error, long_message_is_cut_between_characters) {
    char text[3000] = "";
    for (int i = 0; i < 700; i++) strcat(text, "\xE2\x82\xAC");
    for (int shift = 0; shift < 3; shift++) {
        unclip_error err;
        uc_fail(&err, UNCLIP_ERR_ARGUMENT, "%.*s%s", shift, "ab", text);
        const size_t n = strlen(err.message);
        cr_expect_lt(n, sizeof err.message);
        cr_expect_eq((n - (size_t)(shift > 2 ? 2 : shift)) % 3, 0, "cut inside a character at %zu", n);
    }
}

Test(core_error, prefix_goes_before_the_message) {
    unclip_error err;
    uc_fail(&err, UNCLIP_ERR_MODEL_DATA, "bad %d", 7);
    cr_expect_eq(uc_fail_prefix(&err, UNCLIP_ERR_MODEL_MISSING, "file %s", "x"), UNCLIP_ERR_MODEL_MISSING);
    cr_expect_str_eq(err.message, "file x: bad 7");
    cr_expect_eq(uc_fail_prefix(NULL, UNCLIP_ERR_WRITE, "x"), UNCLIP_ERR_WRITE);
}

/* tensor.c - see tensor.h. */
#include "tensor.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *name; size_t size; } dtypes[UC_DTYPE_COUNT] = {
    [UC_F32] = { "F32", 4 }, [UC_F16] = { "F16", 2 }, [UC_BF16] = { "BF16", 2 }, [UC_F64] = { "F64", 8 },
    [UC_I64] = { "I64", 8 }, [UC_I32] = { "I32", 4 }, [UC_I16] = { "I16", 2 },   [UC_I8] = { "I8", 1 },
    [UC_U8] = { "U8", 1 },   [UC_U16] = { "U16", 2 }, [UC_U32] = { "U32", 4 },   [UC_U64] = { "U64", 8 },
    [UC_BOOL] = { "BOOL", 1 },
};

size_t uc_dtype_size(uc_dtype dtype) { return dtypes[dtype].size; }

const char *uc_dtype_name(uc_dtype dtype) { return dtypes[dtype].name; }

int64_t uc_shape_count(uc_shape s) {
    int64_t n = 1;
    for (int i = 0; i < s.rank; i++) n *= s.dim[i];
    return n;
}

bool uc_shape_equal(uc_shape a, uc_shape b) {
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; i++)
        if (a.dim[i] != b.dim[i]) return false;
    return true;
}

const char *uc_shape_text(uc_shape s, char buf[UC_SHAPE_TEXT]) {
    int n = snprintf(buf, UC_SHAPE_TEXT, "[");
    for (int i = 0; i < s.rank; i++)
        n += snprintf(buf + n, (size_t)(UC_SHAPE_TEXT - n), i ? ",%lld" : "%lld", (long long)s.dim[i]);
    snprintf(buf + n, (size_t)(UC_SHAPE_TEXT - n), "]");
    return buf;
}

static uint32_t bits_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float uc_f16_to_f32(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u, mantissa = bits & 0x3FFu;
    if (exponent == 31) return float_of(sign | 0x7F800000u | mantissa << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    const float subnormal = (float)mantissa * 0x1p-24f; /* exact */
    return sign ? -subnormal : subnormal;
}

uint16_t uc_f32_to_f16(float value) {
    const uint32_t u = bits_of(value), magnitude = u & 0x7FFFFFFFu;
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* rounds to 65536 or more */
    if (magnitude < 0x38800000u) {
        /* subnormal: adding 0.5 aligns the value so that the FPU itself rounds to a multiple of 2^-24 */
        return (uint16_t)(sign | (uint16_t)(bits_of(float_of(magnitude) + 0.5f) - 0x3F000000u));
    }
    const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (uint16_t)((rounded - 0x38000000u) >> 13));
}

uint16_t uc_f32_to_bf16(float value) {
    const uint32_t u = bits_of(value);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7FFFu + (u >> 16 & 1u)) >> 16);
}

double uc_get(const void *data, uc_dtype dtype, int64_t i) {
    switch (dtype) {
    case UC_F32: return ((const float *)data)[i];
    case UC_F16: return uc_f16_to_f32(((const uint16_t *)data)[i]);
    case UC_BF16: return uc_bf16_to_f32(((const uint16_t *)data)[i]);
    case UC_F64: return ((const double *)data)[i];
    case UC_I64: return (double)((const int64_t *)data)[i];
    case UC_I32: return ((const int32_t *)data)[i];
    case UC_I16: return ((const int16_t *)data)[i];
    case UC_I8: return ((const int8_t *)data)[i];
    case UC_U8: case UC_BOOL: return ((const uint8_t *)data)[i];
    case UC_U16: return ((const uint16_t *)data)[i];
    case UC_U32: return ((const uint32_t *)data)[i];
    case UC_U64: return (double)((const uint64_t *)data)[i];
    case UC_DTYPE_COUNT: break;
    }
    return 0;
}

void uc_set(void *data, uc_dtype dtype, int64_t i, double value) {
    switch (dtype) {
    case UC_F32: ((float *)data)[i] = (float)value; break;
    case UC_F16: ((uint16_t *)data)[i] = uc_f32_to_f16((float)value); break;
    case UC_BF16: ((uint16_t *)data)[i] = uc_f32_to_bf16((float)value); break;
    case UC_F64: ((double *)data)[i] = value; break;
    case UC_I64: ((int64_t *)data)[i] = (int64_t)value; break;
    case UC_I32: ((int32_t *)data)[i] = (int32_t)value; break;
    case UC_I16: ((int16_t *)data)[i] = (int16_t)value; break;
    case UC_I8: ((int8_t *)data)[i] = (int8_t)value; break;
    case UC_U8: case UC_BOOL: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case UC_U16: ((uint16_t *)data)[i] = (uint16_t)value; break;
    case UC_U32: ((uint32_t *)data)[i] = (uint32_t)value; break;
    case UC_U64: ((uint64_t *)data)[i] = (uint64_t)value; break;
    case UC_DTYPE_COUNT: break;
    }
}

static float load(const void *data, uc_dtype dtype, int64_t i) {
    if (dtype == UC_F32) return ((const float *)data)[i];
    const uint16_t bits = ((const uint16_t *)data)[i];
    return dtype == UC_F16 ? uc_f16_to_f32(bits) : uc_bf16_to_f32(bits);
}

void uc_convert(void *dst, uc_dtype dst_type, const void *src, uc_dtype src_type, int64_t count) {
    if (dst_type == src_type) {
        memcpy(dst, src, (size_t)count * uc_dtype_size(dst_type));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        const float value = load(src, src_type, i);
        if (dst_type == UC_F32) ((float *)dst)[i] = value;
        else ((uint16_t *)dst)[i] = dst_type == UC_F16 ? uc_f32_to_f16(value) : uc_f32_to_bf16(value);
    }
}

/* types.h - CUDA's vector types and 16-bit floats for g++, so that kernels compile where no CUDA toolkit is installed.
 * Conversions round to nearest even, as cvt.rn does. */
#ifndef UC_SIMT_TYPES_H
#define UC_SIMT_TYPES_H

#include <cstdint>
#include <cstring>

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};

namespace simt {
inline float float_of(uint32_t bits) {
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}
inline uint32_t bits_of(float f) {
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    return bits;
}
} // namespace simt

inline float __half2float(__half h) {
    const uint32_t sign = (uint32_t)(h.bits & 0x8000u) << 16, rest = h.bits & 0x7FFFu;
    if (rest >= 0x7C00u) return simt::float_of(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    /* as a float's bits the value is 2^112 too small; the product is exact, subnormals included */
    return simt::float_of(sign | simt::bits_of(simt::float_of(rest << 13) * 0x1p112f));
}

inline __half __float2half_rn(float f) {
    const uint32_t all = simt::bits_of(f), sign = all >> 16 & 0x8000u, a = all & 0x7FFFFFFFu;
    uint32_t h;
    if (a > 0x7F800000u) h = 0x7FFFu;
    else if (a >= 0x477FF000u) h = 0x7C00u; /* 65520 and more round to infinity */
    else if (a < 0x38800000u) h = simt::bits_of(simt::float_of(a) + 0.5f) - 0x3F000000u; /* the sum rounds for us */
    else h = (a + 0xC8000FFFu + (a >> 13 & 1u)) >> 13; /* rebias, round half to even */
    return { (uint16_t)(sign | h) };
}

inline float __bfloat162float(__nv_bfloat16 b) { return simt::float_of((uint32_t)b.bits << 16); }

inline __nv_bfloat16 __float2bfloat16_rn(float f) {
    const uint32_t a = simt::bits_of(f);
    if ((a & 0x7FFFFFFFu) > 0x7F800000u) return { 0x7FFFu };
    return { (uint16_t)((a + 0x7FFFu + (a >> 16 & 1u)) >> 16) };
}

inline uint16_t __half_as_ushort(__half h) { return h.bits; }
inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 b) { return b.bits; }
inline __half __ushort_as_half(uint16_t bits) { return { bits }; }
inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t bits) { return { bits }; }

#endif

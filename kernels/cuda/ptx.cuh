/* ptx.cuh - one wrapper for each PTX instruction that kernels use by name; the only inline assembly there is. sm_80 and up.
 *
 * Under the emulator each has a twin with the same meaning, from the PTX ISA's tables (kernels/simt/twins.cpp). A copy of
 * cp.async lands there when it is waited for and leaves NaN until then, so that a missing wait shows. */
#ifndef UC_CUDA_PTX_CUH
#define UC_CUDA_PTX_CUH

#include "device.cuh"

namespace ptx {

#ifdef __CUDACC__

__device__ inline uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }

/* d (16 x 8, f32) += a (16 x 16, row-major) b (16 x 8, column-major). */
template <class T> __device__ inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
template <>
__device__ inline void mma_m16n8k16<__half>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
template <>
__device__ inline void mma_m16n8k16<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8 x 8 matrices of 16-bit numbers from shared memory: lane 8 m + r points at row r (16 bytes) of matrix m. */
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

/* Bytes from global to shared memory behind the thread's back; zeros when not valid (`from` must point somewhere). */
__device__ inline void cp_async_16(void *to, const void *from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}
__device__ inline void cp_async_8(void *to, const void *from, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 8 : 0)
                 : "memory");
}
__device__ inline void cp_async_4(void *to, const void *from, bool valid) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 4 : 0)
                 : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Until at most N of this thread's newest groups are in flight. */
template <int N> __device__ inline void cp_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

/* 2^x to 2 ulp, results below 2^-126 as 0. */
__device__ inline float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#else

template <class T> struct mma_twin;
template <> struct mma_twin<__half> { static constexpr simt::collective_fn run = simt::mma_m16n8k16_f16; };
template <> struct mma_twin<__nv_bfloat16> { static constexpr simt::collective_fn run = simt::mma_m16n8k16_bf16; };

template <class T>
inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], SIMT_PLACE) {
    struct {
        uint32_t a[4], b[2];
        float c[4];
    } in;
    std::memcpy(in.a, a, sizeof a);
    std::memcpy(in.b, b, sizeof b);
    std::memcpy(in.c, d, sizeof d);
    simt::collective(uc::ALL_LANES, mma_twin<T>::run, &in, sizeof in, d, sizeof d, false,
                     { "mma.sync.m16n8k16", file, line });
}

/* Each lane reads its own row, so that a race for it is seen as that lane's. */
inline void ldmatrix_twin(uint32_t (&r)[4], const void *row, simt::collective_fn fn, simt::place at) {
    if (reinterpret_cast<uintptr_t>(row) % 16) simt::fail(at, "a row is not aligned to 16 bytes");
    uint32_t words[4];
    for (int k = 0; k < 4; k++) words[k] = static_cast<const uint32_t *>(row)[k];
    simt::collective(uc::ALL_LANES, fn, words, sizeof words, r, sizeof r, false, at);
}
inline void ldmatrix_x4(uint32_t (&r)[4], const void *row, SIMT_PLACE) {
    ldmatrix_twin(r, row, simt::ldmatrix, { "ldmatrix.x4", file, line });
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, SIMT_PLACE) {
    ldmatrix_twin(r, row, simt::ldmatrix_trans, { "ldmatrix.x4.trans", file, line });
}

inline void cp_async_twin(void *to, const void *from, unsigned bytes, bool valid, simt::place at) {
    simt::async_push({ to, from, bytes, valid ? bytes : 0 }, at);
    for (unsigned k = 0; k < bytes; k++) static_cast<unsigned char *>(to)[k] = 0xFF;
}
inline void cp_async_16(void *to, const void *from, bool valid, SIMT_PLACE) {
    cp_async_twin(to, from, 16, valid, { "cp.async.16", file, line });
}
inline void cp_async_8(void *to, const void *from, bool valid, SIMT_PLACE) {
    cp_async_twin(to, from, 8, valid, { "cp.async.8", file, line });
}
inline void cp_async_4(void *to, const void *from, bool valid, SIMT_PLACE) {
    cp_async_twin(to, from, 4, valid, { "cp.async.4", file, line });
}
inline void cp_async_commit() { simt::async_commit(); }
template <int N> inline void cp_async_wait() {
    simt::copy c;
    while (simt::async_next(N, &c))
        for (unsigned k = 0; k < c.bytes; k++)
            static_cast<unsigned char *>(c.to)[k] = k < c.valid ? static_cast<const unsigned char *>(c.from)[k] : 0;
}

inline float exp2_approx(float x) { return x < -126.0f ? 0.0f : std::exp2(x); }

#endif

/* Two numbers in one register, the first in the low half. */
__device__ inline uint32_t pack_two(__half a, __half b) {
    return (uint32_t)__half_as_ushort(a) | (uint32_t)__half_as_ushort(b) << 16;
}
__device__ inline uint32_t pack_two(__nv_bfloat16 a, __nv_bfloat16 b) {
    return (uint32_t)__bfloat16_as_ushort(a) | (uint32_t)__bfloat16_as_ushort(b) << 16;
}
template <class T> __device__ inline uint32_t pack_floats(float a, float b) {
    return pack_two(uc::from_float<T>(a), uc::from_float<T>(b));
}

} // namespace ptx
#endif

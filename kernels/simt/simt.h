/* simt.h - what a .cu file includes instead of CUDA's headers when g++ compiles it: CUDA's words, meaning the emulator's.
 *
 * A kernel is written once. Three macros hide what differs: UC_LAUNCH, UC_SHARED (static) and UC_DYNAMIC_SHARED;
 * kernels/cuda/device.cuh defines them for nvcc. Calls that can wait carry the place where they stand, so that a
 * deadlock is named by file and line. */
#ifndef UC_SIMT_SIMT_H
#define UC_SIMT_SIMT_H

#include <cmath>

#include "emulator.h"

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (simt::thread_index())
#define blockIdx (simt::block_index())
#define blockDim (simt::block_size())
#define gridDim (simt::grid_size())

#define UC_LAUNCH(kernel, grid, block, dynamic_bytes, stream, ...) \
    simt::launch({ #kernel, reinterpret_cast<const void *>(&kernel), grid, block, dynamic_bytes }, stream, \
                 [=] { kernel(__VA_ARGS__); })
#define UC_ALLOW_SHARED(kernel, bytes) simt::allow_shared(reinterpret_cast<const void *>(&kernel), bytes)

#define UC_SHARED(type, name, dims) \
    typedef type name##_array dims; \
    static constexpr simt::shared_site name##_site = { sizeof(name##_array), alignof(name##_array), #name }; \
    name##_array &name = *static_cast<name##_array *>(simt::static_shared(&name##_site))
#define UC_DYNAMIC_SHARED(name) unsigned char *const name = static_cast<unsigned char *>(simt::dynamic_shared())

#define SIMT_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(SIMT_PLACE) { simt::block_barrier({ "__syncthreads", file, line }); }

inline void __syncwarp(uint32_t mask = 0xFFFFFFFFu, SIMT_PLACE) {
    simt::collective(mask, simt::warp_sync, nullptr, 0, nullptr, 0, true, { "__syncwarp", file, line });
}

namespace simt {
template <class T> T shuffle(uint32_t mask, T value, int source, place at) {
    static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 16, "shuffles move words");
    struct {
        int source;
        T value;
    } in = { source, value };
    T out;
    collective(mask, warp_shuffle, &in, sizeof in, &out, sizeof out, false, at);
    return out;
}
} // namespace simt

template <class T> T __shfl_sync(uint32_t mask, T value, int source, SIMT_PLACE) {
    return simt::shuffle(mask, value, source & 31, { "__shfl_sync", file, line });
}
template <class T> T __shfl_xor_sync(uint32_t mask, T value, int flip, SIMT_PLACE) {
    return simt::shuffle(mask, value, (simt::lane_index() ^ flip) & 31, { "__shfl_xor_sync", file, line });
}
template <class T> T __shfl_down_sync(uint32_t mask, T value, int delta, SIMT_PLACE) {
    const int source = simt::lane_index() + delta;
    return simt::shuffle(mask, value, source < 32 ? source : simt::lane_index(), { "__shfl_down_sync", file, line });
}
template <class T> T __shfl_up_sync(uint32_t mask, T value, int delta, SIMT_PLACE) {
    const int source = simt::lane_index() - delta;
    return simt::shuffle(mask, value, source >= 0 ? source : simt::lane_index(), { "__shfl_up_sync", file, line });
}
inline uint32_t __ballot_sync(uint32_t mask, bool predicate, SIMT_PLACE) {
    const uint32_t in = predicate;
    uint32_t out;
    simt::collective(mask, simt::warp_ballot, &in, 4, &out, 4, false, { "__ballot_sync", file, line });
    return out;
}
inline bool __any_sync(uint32_t mask, bool predicate, SIMT_PLACE) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}
inline bool __all_sync(uint32_t mask, bool predicate, SIMT_PLACE) {
    return __ballot_sync(mask, !predicate, file, line) == 0;
}

/* Of blocks too, which may run on other threads. */
inline unsigned atomicAdd(unsigned *at, unsigned value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fmul_rn(float a, float b) { return a * b; }
/* Zero where the divisor is beyond 2^126, as the device has it. */
inline float __fdividef(float a, float b) { return std::fabs(b) > 0x1p126f ? a * 0.0f : a / b; }
inline unsigned __float_as_uint(float x) { return simt::bits_of(x); }
inline float __uint_as_float(unsigned bits) { return simt::float_of(bits); }

#endif

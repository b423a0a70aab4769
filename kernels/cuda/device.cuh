/* device.cuh - what every .cu file stands on: nvcc's words or the emulator's, numbers of the three activation types, and
 * the table of specialisations with the launcher that walks it. Serves all arrows of the flow. */
#ifndef UC_CUDA_DEVICE_CUH
#define UC_CUDA_DEVICE_CUH

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#define UC_LAUNCH(kernel, grid, block, dynamic_bytes, stream, ...) \
    kernel<<<grid, block, dynamic_bytes, stream>>>(__VA_ARGS__)
#define UC_ALLOW_SHARED(kernel, bytes) \
    (void)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))
#define UC_SHARED(type, name, dims) __shared__ type name dims
#define UC_DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define UC_UNROLL(times) _Pragma(UC_TEXT(unroll times))
#define UC_UNROLL_ALL _Pragma("unroll")
#else
#include "../simt/simt.h"
#define UC_UNROLL(times) _Pragma(UC_TEXT(GCC unroll times))
#define UC_UNROLL_ALL
#endif
#define UC_TEXT(tokens) #tokens

#include "cuda_ops.h"

namespace uc {

constexpr unsigned ALL_LANES = 0xFFFFFFFFu;

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

template <class T> struct type_of;
template <> struct type_of<float> { static constexpr uc_dtype value = UC_F32; };
template <> struct type_of<__half> { static constexpr uc_dtype value = UC_F16; };
template <> struct type_of<__nv_bfloat16> { static constexpr uc_dtype value = UC_BF16; };

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x) { return x; }
template <> __device__ inline __half from_float<__half>(float x) { return __float2half_rn(x); }
template <> __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }

/* V neighbours that move in one instruction (at most 16 bytes). */
template <class T, int V> struct alignas(sizeof(T) * V) pack {
    T at[V];
};
template <class T, int V> __device__ inline pack<T, V> load_pack(const T *p) {
    return *reinterpret_cast<const pack<T, V> *>(p);
}
template <class T, int V> __device__ inline void store_pack(T *p, const pack<T, V> &v) {
    *reinterpret_cast<pack<T, V> *>(p) = v;
}

/* Values whose type is known at run time only: weights and other small operands, one branch that all lanes take alike. */
struct any_values {
    const void *data;
    int type;
    long long stride; /* of images; 0 when one row serves all */
};
__device__ inline float load_any(const any_values &v, long long i) {
    if (v.type == UC_F16) return to_float(static_cast<const __half *>(v.data)[i]);
    if (v.type == UC_BF16) return to_float(static_cast<const __nv_bfloat16 *>(v.data)[i]);
    return static_cast<const float *>(v.data)[i];
}

__device__ inline void store_any(void *data, int type, long long i, float x) {
    if (type == UC_F16) static_cast<__half *>(data)[i] = from_float<__half>(x);
    else if (type == UC_BF16) static_cast<__nv_bfloat16 *>(data)[i] = from_float<__nv_bfloat16>(x);
    else static_cast<float *>(data)[i] = x;
}

/* One branch for all V, so that their exponentials overlap. __fdividef is within 2 ulp, and has no branch for what a
 * sigmoid's denominator never is. */
template <int V> __device__ inline void activate(int act, float (&x)[V]) {
    if (act == UC_SILU) {
        for (int k = 0; k < V; k++) x[k] = __fdividef(x[k], 1.0f + expf(-x[k]));
    } else if (act == UC_QUICK_GELU) {
        for (int k = 0; k < V; k++) x[k] = __fdividef(x[k], 1.0f + expf(-1.702f * x[k]));
    } else if (act == UC_GELU) {
        for (int k = 0; k < V; k++) x[k] = 0.5f * x[k] * (1.0f + erff(x[k] * 0.70710678118654752f));
    }
}

/* ---- sums of a warp and a block ---------------------------------------------------------------------------------- */

__device__ inline float warp_sum(float x) {
    for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(ALL_LANES, x, o);
    return x;
}
__device__ inline float warp_max(float x) {
    for (int o = 16; o; o >>= 1) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, o));
    return x;
}

/* The sum over all threads, in all threads and always in the same order. parts: 32 floats that nobody else uses. */
__device__ inline float block_sum(float x, float *parts) {
    x = warp_sum(x);
    __syncthreads(); /* a sum before this one may still be read */
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0;
    for (unsigned w = 0; w < (blockDim.x + 31) / 32; w++) sum += parts[w];
    return sum;
}

/* ---- the host's side --------------------------------------------------------------------------------------------- */

inline bool aligned(const void *p, size_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

inline long long image_stride(const uc_view &v, long long row) { return v.shape.dim[0] == 1 ? 0 : row; }

inline any_values any_of(const uc_view &v, long long stride = 0) { return { v.data, (int)v.dtype, stride }; }

/* After the last launch of a launcher; does not wait for the device. The error stays the runtime's last one: whoever
 * called the launcher wants its number, and clears it. */
inline unclip_status launched(const char *op, unclip_error *err) {
#ifdef __CUDACC__
    const cudaError_t e = cudaPeekAtLastError();
    return e == cudaSuccess ? UNCLIP_OK
                            : uc_fail(err, UNCLIP_ERR_DEVICE, "%s: the launch failed: %s", op, cudaGetErrorString(e));
#else
    return !simt_error()[0] ? UNCLIP_OK : uc_fail(err, UNCLIP_ERR_DEVICE, "%s: %s", op, simt_error());
#endif
}

inline unclip_status no_kernel(const char *op, const uc_launch &l, unclip_error *err) {
    char shape[UC_SHAPE_TEXT];
    return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "%s: no CUDA kernel for %s of %s", op, uc_shape_text(l.in[0].shape, shape),
                   uc_dtype_name(l.in[0].dtype));
}

/* One specialisation. fits and run see the launch as the operation's own problem. */
template <class P> struct row {
    const char *name;
    bool (*fits)(const P &);
    void (*run)(const P &, uc_cuda_stream);
};

template <class P, size_t N> int first_fit(const row<P> (&rows)[N], const P &p) {
    for (size_t i = 0; i < N; i++)
        if (rows[i].fits(p)) return (int)i;
    return -1;
}

template <class P, size_t N> uc_cuda_rows describe_rows(const row<P> (&rows)[N], const P *p) {
    static_assert(N <= UC_CUDA_MAX_ROWS, "raise UC_CUDA_MAX_ROWS");
    uc_cuda_rows all = {};
    all.count = (int)N;
    all.chosen = p ? first_fit(rows, *p) : -1;
    for (size_t i = 0; i < N; i++) all.name[i] = rows[i].name;
    return all;
}

} // namespace uc

/* The three functions of an operation. problem_of(launch, &problem) says whether the kernels can take the launch at all;
 * scratch_of(problem) is its scratch in bytes. */
#define UC_CUDA_OP(op, problem_of, scratch_of, rows) \
    extern "C" unclip_status uc_cuda_##op(const uc_launch *launch, uc_cuda_stream stream, unclip_error *err) { \
        problem p = {}; \
        const int chosen = problem_of(*launch, &p) ? uc::first_fit(rows, p) : -1; \
        if (chosen < 0) return uc::no_kernel(#op, *launch, err); \
        rows[chosen].run(p, stream); \
        return uc::launched(#op, err); \
    } \
    extern "C" size_t uc_cuda_##op##_scratch(const uc_launch *launch) { \
        problem p = {}; \
        return problem_of(*launch, &p) ? scratch_of(p) : 0; \
    } \
    extern "C" uc_cuda_rows uc_cuda_##op##_rows(const uc_launch *launch) { \
        problem p = {}; \
        return uc::describe_rows(rows, launch && problem_of(*launch, &p) ? &p : nullptr); \
    }

#endif

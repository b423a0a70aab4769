/* add.cu - a + b, b repeated over a's leading dimensions and over its own sizes of 1: positions onto tokens, CLIP
 * embeddings onto time embeddings, skips where no convolution takes them along.
 * Cost: 3 numbers moved for each sum. Aim: 85 % of copy bandwidth above 40 MB for equal shapes.
 * Numerics: f32, rounded once. Variants: `equal` shapes and types by vectors of 16 bytes; `spread` for everything else,
 * b then being of any type (a stored weight). Walks memory in a's order, whatever its layout. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const void *a;
    any_values b;
    void *out;
    uc_dtype type;
    bool equal;
    long long count;
    long long size[4], stride[4]; /* a's dimensions as they lie in memory, innermost last; b's strides along them */
};

template <class T, int V> __global__ void __launch_bounds__(THREADS) k_add_equal(problem p) {
    const long long i = ((long long)blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= p.count) return;
    const pack<T, V> a = load_pack<T, V>(static_cast<const T *>(p.a) + i);
    const pack<T, V> b = load_pack<T, V>(static_cast<const T *>(p.b.data) + i);
    pack<T, V> sum;
    for (int k = 0; k < V; k++) sum.at[k] = from_float<T>(to_float(a.at[k]) + to_float(b.at[k]));
    store_pack<T, V>(static_cast<T *>(p.out) + i, sum);
}

template <class T> __global__ void __launch_bounds__(THREADS) k_add_spread(problem p) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= p.count) return;
    long long rest = i, j = 0;
    for (int k = 3; k >= 0; k--) {
        j += rest % p.size[k] * p.stride[k];
        rest /= p.size[k];
    }
    static_cast<T *>(p.out)[i] = from_float<T>(to_float(static_cast<const T *>(p.a)[i]) + load_any(p.b, j));
}

template <class T, int V> bool equal_fits(const problem &p) {
    return p.type == type_of<T>::value && p.equal && p.count % V == 0;
}

template <class T> bool spread_fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T, int V> void equal(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)((p.count / V + THREADS - 1) / THREADS));
    UC_LAUNCH((k_add_equal<T, V>), grid, dim3(THREADS), 0, stream, p);
}

template <class T> void spread(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_add_spread<T>), dim3((unsigned)((p.count + THREADS - 1) / THREADS)), dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "equal f16", equal_fits<__half, 8>, equal<__half, 8> },
    { "equal bf16", equal_fits<__nv_bfloat16, 8>, equal<__nv_bfloat16, 8> },
    { "equal f32", equal_fits<float, 4>, equal<float, 4> },
    { "spread f16", spread_fits<__half>, spread<__half> },
    { "spread bf16", spread_fits<__nv_bfloat16>, spread<__nv_bfloat16> },
    { "spread f32", spread_fits<float>, spread<float> },
};

/* Dimensions of a rank-4 value in the order of its memory. */
const int nhwc_order[4] = { 0, 2, 3, 1 }, plain_order[4] = { 0, 1, 2, 3 };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view &a = l.in[0], &b = l.in[1];
    *p = { a.data, any_of(b), l.out[0].data, a.dtype, false, uc_shape_count(a.shape), {}, {} };
    long long sizes[4] = { 1, 1, 1, 1 }, own[4] = { 1, 1, 1, 1 };
    for (int k = 0; k < a.shape.rank; k++) sizes[4 - a.shape.rank + k] = a.shape.dim[k];
    for (int k = 0; k < b.shape.rank; k++) own[4 - b.shape.rank + k] = b.shape.dim[k];
    const int *a_order = a.shape.rank == 4 && a.layout == UC_NHWC ? nhwc_order : plain_order;
    const int *b_order = b.shape.rank == 4 && b.layout == UC_NHWC ? nhwc_order : plain_order;
    long long stride = 1, strides[4] = {};
    for (int k = 3; k >= 0; k--) {
        strides[b_order[k]] = own[b_order[k]] == 1 ? 0 : stride;
        stride *= own[b_order[k]];
    }
    for (int k = 0; k < 4; k++) p->size[k] = sizes[a_order[k]], p->stride[k] = strides[a_order[k]];
    p->equal = uc_shape_equal(a.shape, b.shape) && b.dtype == a.dtype && (a.shape.rank < 4 || a.layout == b.layout);
    return l.out[0].dtype == a.dtype && (a.shape.rank < 4 || l.out[0].layout == a.layout) && aligned(a.data, 16) &&
           aligned(b.data, p->equal ? 16 : 1) && aligned(p->out, 16);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(add, problem_of, scratch_of, rows)

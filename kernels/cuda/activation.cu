/* activation.cu - SiLU, GELU (exact) and quick GELU of every number, where no other operation has taken them along: the time
 * embeddings of the prior, the decoder and the upsamplers.
 * Cost: read once, written once, up to 20 FLOPs a number. Aim: 85 % of copy bandwidth above 40 MB.
 * Numerics: f32, tolerance 2e-6; expf and erff, not their fast forms, and a division within 2 ulp. Any layout, since the
 * numbers are independent.
 * Variants: `vector` of 16 bytes a thread where the count allows, else `scalar`. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const void *x;
    void *out;
    uc_dtype type;
    int act;
    long long count;
};

template <class T, int V> __global__ void __launch_bounds__(THREADS) k_activation(problem p) {
    const long long i = ((long long)blockIdx.x * THREADS + threadIdx.x) * V;
    if (i >= p.count) return;
    pack<T, V> x = load_pack<T, V>(static_cast<const T *>(p.x) + i);
    float y[V];
    for (int k = 0; k < V; k++) y[k] = to_float(x.at[k]);
    activate(p.act, y);
    for (int k = 0; k < V; k++) x.at[k] = from_float<T>(y[k]);
    store_pack<T, V>(static_cast<T *>(p.out) + i, x);
}

template <class T, int V> bool fits(const problem &p) { return p.type == type_of<T>::value && p.count % V == 0; }

template <class T, int V> void run(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)((p.count / V + THREADS - 1) / THREADS));
    UC_LAUNCH((k_activation<T, V>), grid, dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16 vector", fits<__half, 8>, run<__half, 8> },
    { "f16 scalar", fits<__half, 1>, run<__half, 1> },
    { "bf16 vector", fits<__nv_bfloat16, 8>, run<__nv_bfloat16, 8> },
    { "bf16 scalar", fits<__nv_bfloat16, 1>, run<__nv_bfloat16, 1> },
    { "f32 vector", fits<float, 4>, run<float, 4> },
    { "f32 scalar", fits<float, 1>, run<float, 1> },
};

bool problem_of(const uc_launch &l, problem *p) {
    *p = { l.in[0].data, l.out[0].data, l.in[0].dtype, l.attrs.activation.act, uc_shape_count(l.in[0].shape) };
    return l.out[0].dtype == p->type && l.out[0].layout == l.in[0].layout && aligned(p->x, 16) && aligned(p->out, 16);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(activation, problem_of, scratch_of, rows)

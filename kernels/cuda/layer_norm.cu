/* layer_norm.cu - layer normalisation over the last dimension: CLIP, the prior and the text projection.
 *
 *   out = (x - mean) / sqrt(variance + eps) weight[c] + bias[c],  weight and bias optional
 *
 * Layout: x and out [rows, channels]; 768 ... 2048 channels. A block for each row, the row in shared memory.
 * Cost: read once, written once, 8 FLOPs a number. Aim: 85 % of copy bandwidth above 40 MB; 162 rows of the prior are a
 * launch.
 * Numerics: f32, tolerance 1e-5. Sums are of x - K, K the row's first number, exact where a large mean would cancel; the
 * variance is that of the squared distances from the mean, in a second walk over shared memory.
 * Variants: `vector` of 16 bytes where the channels divide, else `scalar`. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 128, MOST_CHANNELS = 11 * 1024 };

struct problem {
    const void *x;
    any_values weight, bias;
    void *out;
    uc_dtype type;
    long long rows;
    int channels;
    float eps;
};

template <class T, int V> __global__ void __launch_bounds__(THREADS) k_layer_norm(problem p) {
    UC_DYNAMIC_SHARED(raw);
    UC_SHARED(float, parts, [32]);
    float *d = reinterpret_cast<float *>(raw); /* x - K [channels]; each thread reads only what it wrote */
    const T *x = static_cast<const T *>(p.x) + (long long)blockIdx.x * p.channels;
    T *out = static_cast<T *>(p.out) + (long long)blockIdx.x * p.channels;
    const float origin = to_float(x[0]);
    float sum = 0, squares = 0;
    for (int c = (int)threadIdx.x * V; c < p.channels; c += THREADS * V) {
        const pack<T, V> in = load_pack<T, V>(x + c);
        for (int k = 0; k < V; k++) sum += d[c + k] = to_float(in.at[k]) - origin;
    }
    const float mean = block_sum(sum, parts) / (float)p.channels;
    for (int c = (int)threadIdx.x * V; c < p.channels; c += THREADS * V)
        for (int k = 0; k < V; k++) squares += (d[c + k] - mean) * (d[c + k] - mean);
    const float rstd = rsqrtf(block_sum(squares, parts) / (float)p.channels + p.eps);
    for (int c = (int)threadIdx.x * V; c < p.channels; c += THREADS * V) {
        pack<T, V> y;
        for (int k = 0; k < V; k++) {
            const float scale = p.weight.data ? load_any(p.weight, c + k) : 1.0f;
            const float shift = p.bias.data ? load_any(p.bias, c + k) : 0.0f;
            y.at[k] = from_float<T>((d[c + k] - mean) * rstd * scale + shift);
        }
        store_pack<T, V>(out + c, y);
    }
}

template <class T, int V> bool fits(const problem &p) { return p.type == type_of<T>::value && p.channels % V == 0; }

template <class T, int V> void run(const problem &p, uc_cuda_stream stream) {
    const size_t bytes = (size_t)p.channels * sizeof(float);
    UC_LAUNCH((k_layer_norm<T, V>), dim3((unsigned)p.rows), dim3(THREADS), bytes, stream, p);
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
    const uc_view &x = l.in[UC_LN_X];
    const long long channels = x.shape.dim[x.shape.rank - 1];
    *p = { x.data, any_of(l.in[UC_LN_WEIGHT]), any_of(l.in[UC_LN_BIAS]), l.out[0].data, x.dtype,
           uc_shape_count(x.shape) / channels, (int)channels, l.attrs.layer_norm.eps };
    return l.out[0].dtype == p->type && x.shape.rank < 4 && channels <= MOST_CHANNELS && aligned(p->x, 16) &&
           aligned(p->out, 16);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(layer_norm, problem_of, scratch_of, rows)

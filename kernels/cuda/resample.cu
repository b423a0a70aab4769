/* resample.cu - a picture in another size: nearest up and mean down inside the UNets, antialiased bicubic and area between
 * the stages of the cascade.
 *
 *   out[y,x] = sum over window(y) of u_i sum over window(x) of w_j in[i,j]
 *
 * Layout: pictures [outer, height, width, inner]: inner is the channels in NHWC; in NCHW it is 1 and every plane is a
 * picture. A thread makes V neighbouring channels of one pixel.
 * Cost: nearest writes 4 numbers for each one read, mean the other way round; bicubic reads 16 (from L1 and L2) and spends
 * about 300 FLOPs a pixel on weights, which all its channels share only within a vector: 1 GFLOP for a 1024 x 1024 picture.
 * Aim: 85 % of copy bandwidth for nearest and mean above 40 MB.
 * Numerics: f32, tolerance 2e-6. A tap's distance from the centre is a fraction of integers, divided once: no rounding
 * grows with the position. Windows are those of Pillow and of PyTorch's antialiased path (Keys, a = -0.5).
 * Variants: `vector` of 16 bytes of channels, else `scalar`. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const void *x;
    void *out;
    uc_dtype type;
    int mode;
    long long outer, inner, from[2], to[2]; /* height, width */
};

/* ---- device helpers ---------------------------------------------------------------------------------------------- */

/* Source positions first ... first + count - 1. Bicubic: tap k is (start + 2 to k) / unit filter widths from the centre;
 * total is the sum of the raw weights. */
struct window {
    long long first, count, start, pitch;
    float per_unit, total;
};

__device__ inline float cubic(float x) {
    x = fabsf(x);
    if (x < 1.0f) return (1.5f * x - 2.5f) * x * x + 1.0f;
    return x < 2.0f ? ((-0.5f * x + 2.5f) * x - 4.0f) * x + 2.0f : 0.0f;
}

__device__ inline float raw_weight(const window &w, long long k) {
    return cubic((float)(w.start + w.pitch * k) * w.per_unit);
}

/* The centre is from (2 i + 1) / (2 to), the support 2 max(from, to) / to: everything over 2 to is an integer. */
__device__ inline window bicubic_window(long long i, long long from, long long to) {
    const long long centre = from * (2 * i + 1), wide = from > to ? from : to;
    const long long begin = centre - 4 * wide + to, end = centre + 4 * wide + to;
    window w;
    w.first = begin > 0 ? begin / (2 * to) : 0;
    w.count = (end / (2 * to) < from ? end / (2 * to) : from) - w.first;
    w.pitch = 2 * to;
    w.start = (2 * w.first + 1) * to - centre;
    w.per_unit = 1.0f / (float)(2 * wide);
    w.total = 0;
    for (long long k = 0; k < w.count; k++) w.total += raw_weight(w, k);
    return w;
}

__device__ inline window window_of(int mode, long long i, long long from, long long to) {
    if (mode == UC_BICUBIC) return bicubic_window(i, from, to);
    window w = { i / 2, 1, 0, 0, 0, 1 };
    if (mode == UC_AVERAGE) w.first = 2 * i, w.count = 2;
    if (mode == UC_AREA) w.first = i * from / to, w.count = ((i + 1) * from + to - 1) / to - w.first;
    w.total = (float)w.count;
    return w;
}

__device__ inline float weight(int mode, const window &w, long long k) {
    return (mode == UC_BICUBIC ? raw_weight(w, k) : 1.0f) / w.total;
}

/* ---- kernel ------------------------------------------------------------------------------------------------------ */

template <class T, int V> __global__ void __launch_bounds__(THREADS) k_resample(problem p) {
    const unsigned vectors = (unsigned)(p.inner / V), i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= vectors * (unsigned)p.to[1]) return;
    const long long column = i / vectors, c = (long long)(i % vectors) * V, y = blockIdx.y, n = blockIdx.z;
    const window rows = window_of(p.mode, y, p.from[0], p.to[0]), columns = window_of(p.mode, column, p.from[1], p.to[1]);
    float sum[V] = {};
    for (long long a = 0; a < rows.count; a++) {
        const long long line = ((n * p.from[0] + rows.first + a) * p.from[1] + columns.first) * p.inner + c;
        float part[V] = {};
        for (long long b = 0; b < columns.count; b++) {
            const pack<T, V> x = load_pack<T, V>(static_cast<const T *>(p.x) + line + b * p.inner);
            const float w = weight(p.mode, columns, b);
            for (int k = 0; k < V; k++) part[k] += w * to_float(x.at[k]);
        }
        const float w = weight(p.mode, rows, a);
        for (int k = 0; k < V; k++) sum[k] += w * part[k];
    }
    pack<T, V> out;
    for (int k = 0; k < V; k++) out.at[k] = from_float<T>(sum[k]);
    store_pack<T, V>(static_cast<T *>(p.out) + ((n * p.to[0] + y) * p.to[1] + column) * p.inner + c, out);
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

template <class T, int V> bool fits(const problem &p) { return p.type == type_of<T>::value && p.inner % V == 0; }

template <class T, int V> void run(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)((p.inner / V * p.to[1] + THREADS - 1) / THREADS), (unsigned)p.to[0], (unsigned)p.outer);
    UC_LAUNCH((k_resample<T, V>), grid, dim3(THREADS), 0, stream, p);
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
    const uc_view &x = l.in[0], &y = l.out[0];
    const bool nhwc = x.layout == UC_NHWC;
    *p = { x.data, y.data, x.dtype, l.attrs.resample.mode, nhwc ? x.shape.dim[0] : x.shape.dim[0] * x.shape.dim[1],
           nhwc ? x.shape.dim[1] : 1, { x.shape.dim[2], x.shape.dim[3] }, { y.shape.dim[2], y.shape.dim[3] } };
    return y.dtype == x.dtype && y.layout == x.layout && p->outer <= 65535 && p->to[0] <= 65535 &&
           p->inner * p->to[1] < (1LL << 31) && aligned(p->x, 16) && aligned(p->out, 16);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(resample, problem_of, scratch_of, rows)

/* group_norm.cu - group normalisation with what surrounds it in a residual block, in one pass over the picture where it
 * fits a block's shared memory and in two where it does not. Decoder and upsamplers: their second largest cost.
 *
 *   z = x + add[n,c];   y = ((z - mean) rstd weight[c] + bias[c]) (1 + scale[n,c]) + shift[n,c];   out = act(y)
 *
 * mean and variance (biased) over each image's group of `width` neighbouring channels. Channel counts after skip
 * concatenation are 192 ... 2560 in 32 groups, so width is 6 ... 80.
 * Layout: x and out [images, pixels, channels] (NHWC pictures, token sequences); weights and rows of any type.
 * Cost: onepass reads x once and writes out once; split reads x twice (the second time from L2 while it fits) and writes
 * once. About 20 FLOPs an element, so bandwidth is the limit. Aim: 85 % of copy bandwidth above 40 MB, < 4 us below.
 * Numerics: f32, tolerance 1e-5. All sums are of d = (x - K) + add, K being the group's first element: with a mean of 1000
 * and a deviation of 1 x - K is exact, so nothing cancels. onepass takes mean, then squared distances; split merges
 * (count, mean, squares) by Chan's formula in a fixed order, which does not depend on the batch.
 * A skip connection's concatenation is read here as any picture, not from its two halves: of size S, making it moves 2 S,
 * this operation 2 S (onepass) or 3 S, and the 1 x 1 shortcut of the same block reads it once more, so that a norm of both
 * halves spares nothing while the shortcut needs the concatenation. As two convolutions, the second adding the first's
 * result, the shortcut would not, but writes and reads that result, about S where the channels are halved: of 5 or 6 S
 * one would be saved, for 16-bit sums rounded once more, filters cut in two, an input more in every backend and groups
 * that lie across the seam (640 + 320 channels are groups of 30). What would save all 2 S is a skip that is written where
 * its concatenation will lie, which is a matter of strides in every kernel, not of this one.
 * Variants: `onepass` (a group of one image <= 46 KB), `split` (statistics by chunks of pixels, then normalisation, the
 * merge of the chunks being repeated in every block), each with vectors of the widest V that divides the group;
 * `streaming` for groups wider than 256 vectors. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256, ONEPASS_BYTES = 46 * 1024, CHUNK_BYTES = 64 * 1024, MOST_CHUNKS = 512, MOST_GROUPS = 256 };

struct problem {
    const void *x;
    void *out;
    any_values weight, bias, scale_shift, add;
    uc_dtype type;
    int images, channels, groups, width, act, chunks;
    long long pixels, chunk_pixels;
    float eps;
    float2 *partial; /* split: [images][groups][chunks] of (mean, squares) */
};

/* ---- device helpers ---------------------------------------------------------------------------------------------- */

/* A column of V channels that a thread owns, and the pixels that it visits: row, row + rows, ... */
struct share {
    int first_channel, column, columns, row, rows;
    bool idle;
};

template <int V> __device__ inline share share_of(const problem &p, int first_group, int groups) {
    share s;
    s.columns = groups * p.width / V;
    s.rows = (int)blockDim.x / s.columns;
    s.column = (int)threadIdx.x % s.columns;
    s.row = (int)threadIdx.x / s.columns;
    s.first_channel = first_group * p.width + s.column * V;
    s.idle = s.row >= s.rows;
    return s;
}

/* What turns x into d = (x - K) + add: K of the column's group, the addends of its channels. */
template <int V> struct shifted {
    float origin, add[V];
};

template <class T, int V> __device__ inline shifted<V> shifted_of(const problem &p, int n, int first_channel) {
    shifted<V> s;
    const int group = first_channel / p.width;
    s.origin = to_float(static_cast<const T *>(p.x)[n * p.pixels * p.channels + group * p.width]);
    for (int k = 0; k < V; k++) s.add[k] = p.add.data ? load_any(p.add, n * p.add.stride + first_channel + k) : 0.0f;
    return s;
}

template <class T, int V> __device__ inline void load_shifted(const T *from, const shifted<V> &s, float d[V]) {
    const pack<T, V> in = load_pack<T, V>(from);
    for (int k = 0; k < V; k++) d[k] = (to_float(in.at[k]) - s.origin) + s.add[k];
}

/* y = (d - mean) scale + shift for the channels of a column. */
template <int V> struct affine {
    float mean, scale[V], shift[V];
};

template <int V> __device__ inline affine<V> affine_of(const problem &p, int n, int channel, float mean, float rstd) {
    affine<V> a;
    a.mean = mean;
    for (int k = 0; k < V; k++) {
        a.scale[k] = rstd * load_any(p.weight, channel + k);
        a.shift[k] = load_any(p.bias, channel + k);
        if (!p.scale_shift.data) continue;
        const long long at = n * p.scale_shift.stride + channel + k;
        const float factor = 1.0f + load_any(p.scale_shift, at);
        a.scale[k] *= factor;
        a.shift[k] = a.shift[k] * factor + load_any(p.scale_shift, at + p.channels);
    }
    return a;
}

template <class T, int V> __device__ inline void store_normal(T *to, const float d[V], const affine<V> &a, int act) {
    float y[V];
    for (int k = 0; k < V; k++) y[k] = (d[k] - a.mean) * a.scale[k] + a.shift[k];
    activate(act, y);
    pack<T, V> out;
    for (int k = 0; k < V; k++) out.at[k] = from_float<T>(y[k]);
    store_pack<T, V>(to, out);
}

/* Moments of a set of numbers, and of two sets together (Chan, Golub, LeVeque 1979). */
struct moments {
    float count, mean, squares;
};

__device__ inline moments merge(const moments &a, const moments &b) {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const float count = a.count + b.count, distance = b.mean - a.mean, part = b.count / count;
    return { count, a.mean + distance * part, a.squares + b.squares + distance * distance * a.count * part };
}

/* Lane 0 has the moments of all lanes. */
__device__ inline moments merge_warp(moments m) {
    for (int o = 16; o; o >>= 1) {
        const moments other = { __shfl_down_sync(ALL_LANES, m.count, o), __shfl_down_sync(ALL_LANES, m.mean, o),
                                __shfl_down_sync(ALL_LANES, m.squares, o) };
        if ((int)threadIdx.x % 32 + o < 32) m = merge(m, other);
    }
    return m;
}

/* ---- onepass: a block for each group of each image --------------------------------------------------------------- */

template <class T, int V> __global__ void __launch_bounds__(THREADS, 2) k_group_norm_onepass(problem p) {
    UC_DYNAMIC_SHARED(raw);
    UC_SHARED(float, parts, [32]);
    T *group = reinterpret_cast<T *>(raw); /* [pixels][width] */
    const int g = (int)blockIdx.x, n = (int)blockIdx.y;
    const share s = share_of<V>(p, g, 1);
    const long long base = n * p.pixels * p.channels + s.first_channel;
    const T *x = static_cast<const T *>(p.x) + base;
    const shifted<V> shift = shifted_of<T, V>(p, n, s.first_channel);
    T *mine = group + s.column * V;
    float sum = 0, squares = 0, d[V];
    for (long long i = s.idle ? p.pixels : s.row; i < p.pixels; i += s.rows) {
        store_pack<T, V>(mine + i * p.width, load_pack<T, V>(x + i * p.channels));
        load_shifted<T, V>(mine + i * p.width, shift, d);
        for (int k = 0; k < V; k++) sum += d[k];
    }
    const float count = (float)(p.pixels * p.width), mean = block_sum(sum, parts) / count;
    for (long long i = s.idle ? p.pixels : s.row; i < p.pixels; i += s.rows) {
        load_shifted<T, V>(mine + i * p.width, shift, d);
        for (int k = 0; k < V; k++) squares += (d[k] - mean) * (d[k] - mean);
    }
    const float rstd = rsqrtf(block_sum(squares, parts) / count + p.eps);
    const affine<V> a = affine_of<V>(p, n, s.first_channel, mean, rstd);
    T *out = static_cast<T *>(p.out) + base;
    for (long long i = s.idle ? p.pixels : s.row; i < p.pixels; i += s.rows) {
        load_shifted<T, V>(mine + i * p.width, shift, d);
        store_normal<T, V>(out + i * p.channels, d, a, p.act);
    }
}

/* ---- split: statistics of a chunk of pixels, then normalisation of it -------------------------------------------- */

/* As many whole groups as a block of THREADS can give a column each; a divisor, so that all slabs are alike. */
template <int V> __host__ __device__ inline int groups_of_slab(const problem &p) {
    int groups = p.groups;
    while (groups > 1 && (p.groups % groups || groups * p.width / V > THREADS)) groups--;
    return groups;
}

template <class T, int V> __global__ void __launch_bounds__(THREADS) k_group_norm_statistics(problem p, int groups) {
    UC_SHARED(moments, part, [THREADS]);
    const int n = (int)blockIdx.z, first_group = (int)blockIdx.y * groups, warp = (int)threadIdx.x / 32;
    const long long begin = blockIdx.x * p.chunk_pixels;
    const long long end = begin + p.chunk_pixels < p.pixels ? begin + p.chunk_pixels : p.pixels;
    const share s = share_of<V>(p, first_group, groups);
    moments m = { 0, 0, 0 };
    if (!s.idle) {
        const T *x = static_cast<const T *>(p.x) + n * p.pixels * p.channels + s.first_channel;
        const shifted<V> shift = shifted_of<T, V>(p, n, s.first_channel);
        UC_UNROLL(4)
        for (long long i = begin + s.row; i < end; i += s.rows) {
            float d[V], sum = 0, squares = 0;
            load_shifted<T, V>(x + i * p.channels, shift, d);
            for (int k = 0; k < V; k++) sum += d[k];
            const float mean = sum * (1.0f / V);
            for (int k = 0; k < V; k++) squares += (d[k] - mean) * (d[k] - mean);
            m = merge(m, { (float)V, mean, squares });
        }
    }
    part[threadIdx.x] = m;
    __syncthreads();
    const int columns = p.width / V; /* of one group */
    for (int g = warp; g < groups; g += (int)blockDim.x / 32) {
        m = { 0, 0, 0 };
        for (int k = (int)threadIdx.x % 32; k < columns * s.rows; k += 32)
            m = merge(m, part[k / columns * s.columns + g * columns + k % columns]);
        m = merge_warp(m);
        if (threadIdx.x % 32 == 0)
            p.partial[((long long)n * p.groups + first_group + g) * p.chunks + blockIdx.x] = { m.mean, m.squares };
    }
}

/* Lane 0 has the moments of a group of an image from those of its chunks. */
__device__ inline moments merge_chunks(const problem &p, int n, int group) {
    const float2 *partial = p.partial + ((long long)n * p.groups + group) * p.chunks;
    moments m = { 0, 0, 0 };
    for (int c = (int)threadIdx.x % 32; c < p.chunks; c += 32) {
        const long long left = p.pixels - c * p.chunk_pixels, pixels = left < p.chunk_pixels ? left : p.chunk_pixels;
        m = merge(m, { (float)(pixels * p.width), partial[c].x, partial[c].y });
    }
    return merge_warp(m);
}

template <class T, int V> __global__ void __launch_bounds__(THREADS, 3) k_group_norm_apply(problem p, int groups) {
    UC_SHARED(float2, normal, [MOST_GROUPS]); /* (mean, rstd) */
    const int n = (int)blockIdx.z, first_group = (int)blockIdx.y * groups, warp = (int)threadIdx.x / 32;
    for (int g = warp; g < groups; g += (int)blockDim.x / 32) {
        const moments m = merge_chunks(p, n, first_group + g);
        if (threadIdx.x % 32 == 0) normal[g] = { m.mean, rsqrtf(m.squares / m.count + p.eps) };
    }
    __syncthreads();
    const share s = share_of<V>(p, first_group, groups);
    if (s.idle) return;
    const float2 mine = normal[s.column * V / p.width];
    const affine<V> a = affine_of<V>(p, n, s.first_channel, mine.x, mine.y);
    const shifted<V> shift = shifted_of<T, V>(p, n, s.first_channel);
    const long long begin = blockIdx.x * p.chunk_pixels, base = n * p.pixels * p.channels + s.first_channel;
    const long long end = begin + p.chunk_pixels < p.pixels ? begin + p.chunk_pixels : p.pixels;
    const T *x = static_cast<const T *>(p.x) + base;
    T *out = static_cast<T *>(p.out) + base;
    UC_UNROLL(4)
    for (long long i = begin + s.row; i < end; i += s.rows) {
        float d[V];
        load_shifted<T, V>(x + i * p.channels, shift, d);
        store_normal<T, V>(out + i * p.channels, d, a, p.act);
    }
}

/* ---- streaming: a block for each group, one element a thread, three passes over memory --------------------------- */

template <class T> __global__ void __launch_bounds__(THREADS) k_group_norm_streaming(problem p) {
    UC_SHARED(float, parts, [32]);
    const int first = (int)blockIdx.x * p.width, n = (int)blockIdx.y;
    const long long base = n * p.pixels * p.channels, count = p.pixels * p.width;
    const T *x = static_cast<const T *>(p.x) + base;
    T *out = static_cast<T *>(p.out) + base;
    float sum = 0, squares = 0, d[1];
    for (long long i = threadIdx.x; i < count; i += THREADS) {
        const int c = first + (int)(i % p.width);
        load_shifted<T, 1>(x + i / p.width * p.channels + c, shifted_of<T, 1>(p, n, c), d);
        sum += d[0];
    }
    const float mean = block_sum(sum, parts) / (float)count;
    for (long long i = threadIdx.x; i < count; i += THREADS) {
        const int c = first + (int)(i % p.width);
        load_shifted<T, 1>(x + i / p.width * p.channels + c, shifted_of<T, 1>(p, n, c), d);
        squares += (d[0] - mean) * (d[0] - mean);
    }
    const float rstd = rsqrtf(block_sum(squares, parts) / (float)count + p.eps);
    for (long long i = threadIdx.x; i < count; i += THREADS) {
        const int c = first + (int)(i % p.width);
        const long long at = i / p.width * p.channels + c;
        load_shifted<T, 1>(x + at, shifted_of<T, 1>(p, n, c), d);
        store_normal<T, 1>(out + at, d, affine_of<1>(p, n, c, mean, rstd), p.act);
    }
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

template <class T, int V> bool vectors_fit(const problem &p) {
    return p.type == type_of<T>::value && p.width % V == 0 && p.width / V <= THREADS;
}

template <class T, int V> bool onepass_fits(const problem &p) {
    return vectors_fit<T, V>(p) && p.pixels * p.width * (long long)sizeof(T) <= ONEPASS_BYTES;
}

template <class T, int V> bool split_fits(const problem &p) { return vectors_fit<T, V>(p) && p.groups <= MOST_GROUPS; }

template <class T> bool streaming_fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T, int V> void onepass(const problem &p, uc_cuda_stream stream) {
    const size_t bytes = (size_t)p.pixels * (size_t)p.width * sizeof(T);
    UC_LAUNCH((k_group_norm_onepass<T, V>), dim3((unsigned)p.groups, (unsigned)p.images), dim3(THREADS), bytes, stream, p);
}

template <class T, int V> void split(const problem &p, uc_cuda_stream stream) {
    const int groups = groups_of_slab<V>(p), columns = groups * p.width / V, used = THREADS / columns * columns;
    const dim3 grid((unsigned)p.chunks, (unsigned)(p.groups / groups), (unsigned)p.images);
    const dim3 block((unsigned)((used + 31) / 32 * 32));
    UC_LAUNCH((k_group_norm_statistics<T, V>), grid, block, 0, stream, p, groups);
    UC_LAUNCH((k_group_norm_apply<T, V>), grid, block, 0, stream, p, groups);
}

template <class T> void streaming(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_group_norm_streaming<T>), dim3((unsigned)p.groups, (unsigned)p.images), dim3(THREADS), 0, stream, p);
}

#define UC_FORMS(type, name, V) \
    { "onepass " name, onepass_fits<type, V>, onepass<type, V> }, { "split " name, split_fits<type, V>, split<type, V> }

const row<problem> rows[] = {
    UC_FORMS(__half, "f16 x8", 8), UC_FORMS(__half, "f16 x4", 4),
    UC_FORMS(__half, "f16 x2", 2), UC_FORMS(__half, "f16 x1", 1),
    UC_FORMS(__nv_bfloat16, "bf16 x8", 8), UC_FORMS(__nv_bfloat16, "bf16 x4", 4),
    UC_FORMS(__nv_bfloat16, "bf16 x2", 2), UC_FORMS(__nv_bfloat16, "bf16 x1", 1),
    UC_FORMS(float, "f32 x4", 4), UC_FORMS(float, "f32 x2", 2), UC_FORMS(float, "f32 x1", 1),
    { "streaming f16", streaming_fits<__half>, streaming<__half> },
    { "streaming bf16", streaming_fits<__nv_bfloat16>, streaming<__nv_bfloat16> },
    { "streaming f32", streaming_fits<float>, streaming<float> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view &x = l.in[UC_GN_X];
    const uc_shape s = x.shape;
    const long long channels = s.rank == 4 ? s.dim[1] : s.dim[s.rank - 1];
    p->x = x.data;
    p->out = l.out[0].data;
    p->weight = any_of(l.in[UC_GN_WEIGHT]);
    p->bias = any_of(l.in[UC_GN_BIAS]);
    p->scale_shift = any_of(l.in[UC_GN_SCALE_SHIFT], image_stride(l.in[UC_GN_SCALE_SHIFT], 2 * channels));
    p->add = any_of(l.in[UC_GN_ADD], image_stride(l.in[UC_GN_ADD], channels));
    p->type = x.dtype;
    p->images = (int)s.dim[0];
    p->channels = (int)channels;
    p->groups = l.attrs.group_norm.groups;
    p->width = (int)channels / p->groups;
    p->act = l.attrs.group_norm.act;
    p->pixels = s.rank == 4 ? s.dim[2] * s.dim[3] : s.rank == 3 ? s.dim[1] : 1;
    p->eps = l.attrs.group_norm.eps;
    p->partial = static_cast<float2 *>(l.scratch);
    const long long bytes = p->pixels * channels * (long long)uc_dtype_size(x.dtype);
    const long long wanted = (bytes + CHUNK_BYTES - 1) / CHUNK_BYTES, limit = MOST_CHUNKS;
    const long long most = wanted < limit ? wanted : limit;
    p->chunk_pixels = (p->pixels + most - 1) / most;
    p->chunks = (int)((p->pixels + p->chunk_pixels - 1) / p->chunk_pixels);
    return (s.rank != 4 || x.layout == UC_NHWC) && l.out[0].dtype == x.dtype && p->images <= 65535 &&
           aligned(x.data, 16) && aligned(p->out, 16);
}

size_t scratch_of(const problem &p) {
    return (size_t)p.images * (size_t)p.groups * (size_t)p.chunks * sizeof(float2);
}

} // namespace

UC_CUDA_OP(group_norm, problem_of, scratch_of, rows)

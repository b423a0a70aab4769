/* attention.cu - multi-head attention: CLIP's and the prior's (causal), the prior's three new queries on 81 keys, and the
 * decoder's pictures on themselves and the text, whose keys are a second segment and are never concatenated.
 *
 *   out[b,i,h] = sum over j of softmax_j(scale q[b,i,h] . k[b,j,h] + bias[b,j]) v[b,j,h],  context keys before self keys
 *
 * Layout: q, k, v, out [batch, tokens, heads * size]; biases F32 [batch, keys].
 * Variants: `mma` (attention_mma.cuh): f16 and bf16 with more than 8 queries, heads of a multiple of 8 up to 128, padded to
 * 32, 64, 80, 96 or 128; with 128 queries or more a warp takes two tiles of 16, which halves its reads of shared memory a
 * FLOP. `rows`, below: a block for up to 8 queries of a head, all scores in shared memory: the prior's three queries,
 * and f32 (parity) and heads of any size at any length that 99 KB hold; `row` the same for one query.
 * Cost of rows: reads the head's keys and values once per 8 queries, from L2; 3 x 81 is one block a head and bound by the
 * latency of its four steps. Aim there: 5 us; f32 is for parity and aims at nothing.
 * Numerics of rows: f32, softmax with the maximum known beforehand: tolerance 1e-5. */
#include "attention_mma.cuh"

#include <initializer_list>

namespace {

using namespace uc;

typedef attention_problem problem;

/* As much as the smallest of our devices allows a block (sm_86, sm_89, sm_120): a larger opt-in is an error there. */
enum { THREADS = 256, MOST_SHARED = 99 * 1024 };

/* ---- rows: device helpers ---------------------------------------------------------------------------------------- */

/* score[r][j] for this thread's keys; those that query r does not see are minus infinity. */
template <class T, int V, int ROWS>
__device__ inline void score_keys(const problem &p, int b, int h, int first, const float *q, float *score) {
    const int all = p.context + p.keys;
    for (int j = (int)threadIdx.x; j < all; j += THREADS) {
        const T *k = key_row<T>(p, p.k, p.ctx_k, b, h, j);
        const float *bias = bias_of(p, b, j);
        float dot[ROWS] = {};
        for (int d = 0; d < p.head_size; d += V) {
            const pack<T, V> part = load_pack<T, V>(k + d);
            for (int e = 0; e < V; e++)
                for (int r = 0; r < ROWS; r++) dot[r] += q[r * p.head_size + d + e] * to_float(part.at[e]);
        }
        for (int r = 0; r < ROWS; r++)
            score[r * all + j] =
                j < visible_keys(p, first + r) ? dot[r] * p.scale + (bias ? *bias : 0.0f) : MINUS_INFINITY;
    }
}

/* A warp for each row: weights instead of scores, and their sum. */
template <int ROWS> __device__ inline void soften_rows(int all, float *score, float *sum) {
    const int lane = (int)threadIdx.x % 32;
    for (int r = (int)threadIdx.x / 32; r < ROWS; r += THREADS / 32) {
        float *row = score + r * all, highest = MINUS_INFINITY, total = 0;
        for (int j = lane; j < all; j += 32) highest = fmaxf(highest, row[j]);
        highest = warp_max(highest);
        for (int j = lane; j < all; j += 32) total += row[j] = expf(row[j] - highest);
        total = warp_sum(total);
        if (!lane) sum[r] = total;
    }
}

/* ---- rows: kernel ------------------------------------------------------------------------------------------------ */

/* Shared memory: q [ROWS][size], score [ROWS][keys], part [ROWS][THREADS], sum [ROWS]. */
template <class T, int V, int ROWS> __global__ void __launch_bounds__(THREADS, 2) k_attention_rows(problem p) {
    UC_DYNAMIC_SHARED(shared);
    const int first = (int)blockIdx.x * ROWS, h = (int)blockIdx.y, b = (int)blockIdx.z, all = p.context + p.keys;
    const int t = (int)threadIdx.x, size = p.head_size;
    float *q = reinterpret_cast<float *>(shared), *score = q + ROWS * size, *part = score + ROWS * all;
    float *sum = part + ROWS * THREADS;
    for (int i = t; i < ROWS * size; i += THREADS) {
        const int row = first + i / size;
        const T *from = static_cast<const T *>(p.q) + ((long long)b * p.queries + row) * p.width + h * size;
        q[i] = row < p.queries ? to_float(from[i % size]) : 0.0f;
    }
    __syncthreads();
    score_keys<T, V, ROWS>(p, b, h, first, q, score);
    __syncthreads();
    soften_rows<ROWS>(all, score, sum);
    __syncthreads();
    /* a thread for each channel, `shares` of them with every shares-th key; then their sum */
    const int lanes = size < THREADS ? size : THREADS, shares = THREADS / lanes, share = t / lanes;
    for (int base = 0; base < size; base += lanes) {
        const int c = base + t % lanes;
        float out[ROWS] = {};
        for (int j = share; j < all && share < shares && c < size; j += shares) {
            const float v = to_float(key_row<T>(p, p.v, p.ctx_v, b, h, j)[c]);
            for (int r = 0; r < ROWS; r++) out[r] += score[r * all + j] * v;
        }
        for (int r = 0; r < ROWS; r++) part[r * THREADS + t] = out[r];
        __syncthreads();
        for (int i = t; i < ROWS * lanes; i += THREADS) {
            const int r = i / lanes, column = base + i % lanes;
            float total = 0;
            for (int k = 0; k < shares; k++) total += part[r * THREADS + k * lanes + i % lanes];
            if (first + r < p.queries && column < size)
                static_cast<T *>(p.out)[((long long)b * p.queries + first + r) * p.width + h * size + column] =
                    from_float<T>(total / sum[r]);
        }
        __syncthreads();
    }
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

template <class T, int D, int TILES> bool mma_fits(const problem &p) {
    return p.type == type_of<T>::value && p.queries > 8 && p.head_size % 8 == 0 && p.head_size <= D &&
           (TILES == 1 || p.queries >= 128);
}

template <class T, int D, int TILES> void mma(const problem &p, uc_cuda_stream stream) {
    typedef attention_tile<T, D, TILES> tile;
    const dim3 grid((unsigned)((p.queries + tile::QUERIES - 1) / tile::QUERIES), (unsigned)p.heads, (unsigned)p.batch);
    UC_ALLOW_SHARED((k_attention_mma<T, D, TILES>), tile::BYTES);
    UC_LAUNCH((k_attention_mma<T, D, TILES>), grid, dim3(tile::THREADS), tile::BYTES, stream, p);
}

template <int ROWS> size_t rows_bytes(const problem &p) {
    return sizeof(float) * ROWS * ((size_t)p.head_size + (size_t)(p.context + p.keys) + THREADS + 1);
}

template <class T, int V, int ROWS> bool rows_fit(const problem &p) {
    return p.type == type_of<T>::value && p.head_size % V == 0 && rows_bytes<ROWS>(p) <= MOST_SHARED;
}

template <class T, int V, int ROWS> void by_rows(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)((p.queries + ROWS - 1) / ROWS), (unsigned)p.heads, (unsigned)p.batch);
    const size_t bytes = rows_bytes<ROWS>(p);
    UC_ALLOW_SHARED((k_attention_rows<T, V, ROWS>), MOST_SHARED);
    UC_LAUNCH((k_attention_rows<T, V, ROWS>), grid, dim3(THREADS), bytes, stream, p);
}

#define UC_MMA(type, name, D, TILES) { "mma " name " x" #TILES, mma_fits<type, D, TILES>, mma<type, D, TILES> }
#define UC_MMA_ROWS(type, name) \
    UC_MMA(type, name " 32", 32, 2), UC_MMA(type, name " 32", 32, 1), UC_MMA(type, name " 64", 64, 2), \
    UC_MMA(type, name " 64", 64, 1), UC_MMA(type, name " 80", 80, 1), UC_MMA(type, name " 96", 96, 1), \
    UC_MMA(type, name " 128", 128, 1)
#define UC_ROWS(type, name) \
    { "rows " name " x4", rows_fit<type, 4, 8>, by_rows<type, 4, 8> }, \
    { "rows " name " x1", rows_fit<type, 1, 8>, by_rows<type, 1, 8> }, \
    { "row " name, rows_fit<type, 1, 1>, by_rows<type, 1, 1> }

const row<problem> rows[] = {
    UC_MMA_ROWS(__half, "f16"), UC_ROWS(__half, "f16"),
    UC_MMA_ROWS(__nv_bfloat16, "bf16"), UC_ROWS(__nv_bfloat16, "bf16"),
    UC_ROWS(float, "f32"),
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view *in = l.in;
    const uc_shape q = in[UC_ATT_Q].shape, k = in[UC_ATT_K].shape;
    const bool context = in[UC_ATT_CTX_K].shape.rank > 0;
    *p = { in[UC_ATT_Q].data, in[UC_ATT_K].data, in[UC_ATT_V].data, in[UC_ATT_CTX_K].data, in[UC_ATT_CTX_V].data,
           static_cast<const float *>(in[UC_ATT_BIAS].data), static_cast<const float *>(in[UC_ATT_CTX_BIAS].data),
           l.out[0].data, in[UC_ATT_Q].dtype, (int)q.dim[0], l.attrs.attention.heads, 0, (int)q.dim[2], (int)q.dim[1],
           (int)k.dim[1], context ? (int)in[UC_ATT_CTX_K].shape.dim[1] : 0, l.attrs.attention.causal,
           l.attrs.attention.scale };
    p->head_size = p->width / p->heads;
    bool fits = p->batch <= 65535 && p->heads <= 65535 && l.out[0].dtype == p->type && aligned(p->out, 16);
    for (int i : { UC_ATT_Q, UC_ATT_K, UC_ATT_V, UC_ATT_CTX_K, UC_ATT_CTX_V })
        fits = fits && (in[i].shape.rank == 0 || in[i].dtype == p->type) && aligned(in[i].data, 16);
    for (int i : { UC_ATT_BIAS, UC_ATT_CTX_BIAS }) fits = fits && (!in[i].data || in[i].dtype == UC_F32);
    return fits;
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(attention, problem_of, scratch_of, rows)

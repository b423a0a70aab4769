/* attention_mma.cuh - attention on tensor cores (FlashAttention-2): mma.sync, ldmatrix and cp.async, sm_80 and up.
 *
 *   out[i] = sum over j of softmax_j(scale q[i] . k[j] + bias[j]) v[j]
 *
 * A block of 4 warps takes 64 TILES queries of one head of one image, a warp 16 TILES of them, and walks over the keys 64
 * at a time; while one tile is multiplied the next one is on its way from memory. Scores never leave registers: the
 * accumulator of q k' is, lane for lane, the left operand of p v. The softmax is the running one, in powers of two:
 *   m' = max(m, max_j s_j);  l = l 2^(m - m') + sum 2^(s_j - m');  o = o 2^(m - m') + sum 2^(s_j - m') v_j;  out = o / l.
 * Layout: shared rows are D + 8 numbers apart, an odd number of 16-byte units, so that the eight rows of an ldmatrix lie
 * in different banks. Heads narrower than D are padded with zeros in shared memory only.
 * Cost: 4 queries keys D FLOPs a head; keys and values are read from L2 once per 64 TILES queries. Aim: 318 TFLOP/s, what
 * FlashAttention-2 reaches on an H100 at these lengths (mma.sync gets about 60 % of what wgmma could).
 * Numerics: products of 16-bit numbers are exact, sums f32, p rounded to the type before p v: tolerance 1e-5 and two
 * roundings of the type. Keys are always walked in the same order, whatever the batch. */
#ifndef UC_CUDA_ATTENTION_MMA_CUH
#define UC_CUDA_ATTENTION_MMA_CUH

#include "attention.cuh"
#include "ptx.cuh"

namespace uc {

constexpr float LOG2_E = 1.44269504088896341f, MINUS_INFINITY = -__builtin_huge_valf();

template <class T, int D, int TILES> struct attention_tile {
    static constexpr int WARPS = 4, THREADS = 32 * WARPS, QUERIES = 16 * TILES * WARPS, KEYS = 64, PITCH = D + 8;
    static constexpr int STAGES = 2, KEY_NUMBERS = KEYS * PITCH;
    static constexpr int Q_BYTES = QUERIES * PITCH * 2, KV_BYTES = KEY_NUMBERS * 2, BIAS_BYTES = KEYS * 4;
    static constexpr int BYTES = Q_BYTES + STAGES * (2 * KV_BYTES + BIAS_BYTES);
};

/* The block's place, and its shared memory. */
template <class T> struct attention_block {
    T *q, *k, *v; /* k and v: one after the other for each stage */
    float *bias;
    int b, h, first_query, warp, lane;
};

template <class T, int D, int TILES>
__device__ inline attention_block<T> place_block(unsigned char *shared) {
    typedef attention_tile<T, D, TILES> tile;
    attention_block<T> a;
    a.q = reinterpret_cast<T *>(shared);
    a.k = a.q + tile::QUERIES * tile::PITCH;
    a.v = a.k + tile::STAGES * tile::KEY_NUMBERS;
    a.bias = reinterpret_cast<float *>(a.v + tile::STAGES * tile::KEY_NUMBERS);
    a.first_query = (int)blockIdx.x * tile::QUERIES;
    a.h = (int)blockIdx.y;
    a.b = (int)blockIdx.z;
    a.warp = (int)threadIdx.x / 32;
    a.lane = (int)threadIdx.x % 32;
    return a;
}

/* ---- from memory to shared memory -------------------------------------------------------------------------------- */

template <class T, int D, int TILES>
__device__ inline void load_queries(const attention_problem &p, const attention_block<T> &a) {
    typedef attention_tile<T, D, TILES> tile;
    constexpr int CHUNKS = D / 8;
    const T *q = static_cast<const T *>(p.q) + (long long)a.b * p.queries * p.width + a.h * p.head_size;
    for (int i = (int)threadIdx.x; i < tile::QUERIES * CHUNKS; i += tile::THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8;
        const bool valid = a.first_query + row < p.queries && column < p.head_size;
        const T *from = valid ? q + (long long)(a.first_query + row) * p.width + column : q;
        ptx::cp_async_16(a.q + row * tile::PITCH + column, from, valid);
    }
}

/* Keys first ... first + 63 with their values and biases; what lies beyond the last is zero. */
template <class T, int D, int TILES>
__device__ inline void load_keys(const attention_problem &p, const attention_block<T> &a, int first, int stage) {
    typedef attention_tile<T, D, TILES> tile;
    constexpr int CHUNKS = D / 8;
    T *k = a.k + stage * tile::KEY_NUMBERS, *v = a.v + stage * tile::KEY_NUMBERS;
    for (int i = (int)threadIdx.x; i < tile::KEYS * CHUNKS; i += tile::THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8, j = first + row;
        const bool valid = j < p.context + p.keys && column < p.head_size;
        const T *from_k = valid ? key_row<T>(p, p.k, p.ctx_k, a.b, a.h, j) + column : static_cast<const T *>(p.k);
        const T *from_v = valid ? key_row<T>(p, p.v, p.ctx_v, a.b, a.h, j) + column : static_cast<const T *>(p.v);
        ptx::cp_async_16(k + row * tile::PITCH + column, from_k, valid);
        ptx::cp_async_16(v + row * tile::PITCH + column, from_v, valid);
    }
    if (!p.bias && !p.ctx_bias) return;
    for (int i = (int)threadIdx.x; i < tile::KEYS; i += tile::THREADS) {
        const int j = first + i;
        const float *from = j < p.context + p.keys ? bias_of(p, a.b, j) : nullptr;
        const float *somewhere = p.bias ? p.bias : p.ctx_bias;
        ptx::cp_async_4(a.bias + stage * tile::KEYS + i, from ? from : somewhere, from != nullptr);
    }
}

/* ---- one warp's part --------------------------------------------------------------------------------------------- */

/* Of 16 TILES queries: lane 4 g + t holds rows g and g + 8 of each tile (index 0 and 1 of m, l). */
template <int D, int TILES> struct attention_state {
    uint32_t q[TILES][D / 16][4];
    float out[TILES][D / 8][4], m[TILES][2], l[TILES][2];
};

template <class T, int D, int TILES>
__device__ inline void load_fragments(const attention_block<T> &a, attention_state<D, TILES> &s) {
    typedef attention_tile<T, D, TILES> tile;
    UC_UNROLL_ALL
    for (int i = 0; i < TILES; i++) {
        const int row = (a.warp * TILES + i) * 16 + a.lane % 16;
        UC_UNROLL_ALL
        for (int k = 0; k < D / 16; k++) ptx::ldmatrix_x4(s.q[i][k], a.q + row * tile::PITCH + 16 * k + a.lane / 16 * 8);
        UC_UNROLL_ALL
        for (int n = 0; n < D / 8; n++)
            for (int c = 0; c < 4; c++) s.out[i][n][c] = 0;
        for (int r = 0; r < 2; r++) s.m[i][r] = MINUS_INFINITY, s.l[i][r] = 0;
    }
}

/* score[i][j] (16 x 8 each) = q k' for 64 keys. */
template <class T, int D, int TILES>
__device__ inline void multiply_keys(const attention_block<T> &a, int stage, const attention_state<D, TILES> &s,
                                     float (&score)[TILES][8][4]) {
    typedef attention_tile<T, D, TILES> tile;
    const T *k = a.k + stage * tile::KEY_NUMBERS + (a.lane / 16 * 8 + a.lane % 8) * tile::PITCH + a.lane / 8 % 2 * 8;
    UC_UNROLL_ALL
    for (int j = 0; j < 8; j += 2) {
        UC_UNROLL_ALL
        for (int i = 0; i < TILES; i++)
            for (int c = 0; c < 4; c++) score[i][j][c] = score[i][j + 1][c] = 0;
        UC_UNROLL_ALL
        for (int d = 0; d < D / 16; d++) {
            uint32_t r[4]; /* keys 8 j ... and 8 (j + 1) ..., 16 channels each */
            ptx::ldmatrix_x4(r, k + 8 * j * tile::PITCH + 16 * d);
            const uint32_t low[2] = { r[0], r[1] }, high[2] = { r[2], r[3] };
            UC_UNROLL_ALL
            for (int i = 0; i < TILES; i++) {
                ptx::mma_m16n8k16<T>(score[i][j], s.q[i][d], low);
                ptx::mma_m16n8k16<T>(score[i][j + 1], s.q[i][d], high);
            }
        }
    }
}

/* Scale, bias and mask, in powers of two. */
template <class T, int D, int TILES>
__device__ inline void finish_scores(const attention_problem &p, const attention_block<T> &a, int first, int stage,
                                     bool masked, float (&score)[TILES][8][4]) {
    typedef attention_tile<T, D, TILES> tile;
    const float scale = p.scale * LOG2_E;
    const bool biased = p.bias || p.ctx_bias;
    UC_UNROLL_ALL
    for (int i = 0; i < TILES; i++) {
        const int row = a.first_query + (a.warp * TILES + i) * 16 + a.lane / 4;
        const int limit[2] = { visible_keys(p, row), visible_keys(p, row + 8) };
        UC_UNROLL_ALL
        for (int j = 0; j < 8; j++)
            UC_UNROLL_ALL
            for (int c = 0; c < 4; c++) {
                const int key = 8 * j + a.lane % 4 * 2 + c % 2;
                score[i][j][c] *= scale;
                if (biased) score[i][j][c] += a.bias[stage * tile::KEYS + key] * LOG2_E;
                if (masked && first + key >= limit[c / 2]) score[i][j][c] = MINUS_INFINITY;
            }
    }
}

/* Scores become 2^(s - m); the sums so far are brought to the new maximum. */
template <int D, int TILES>
__device__ inline void soften(attention_state<D, TILES> &s, float (&score)[TILES][8][4]) {
    UC_UNROLL_ALL
    for (int i = 0; i < TILES; i++)
        UC_UNROLL_ALL
        for (int r = 0; r < 2; r++) {
            float highest = s.m[i][r], sum = 0;
            UC_UNROLL_ALL
            for (int j = 0; j < 8; j++) highest = fmaxf(highest, fmaxf(score[i][j][2 * r], score[i][j][2 * r + 1]));
            highest = fmaxf(highest, __shfl_xor_sync(ALL_LANES, highest, 1));
            highest = fmaxf(highest, __shfl_xor_sync(ALL_LANES, highest, 2));
            const float base = highest == MINUS_INFINITY ? 0 : highest; /* nothing visible yet: all weights are 0 */
            const float keep = ptx::exp2_approx(s.m[i][r] - base);
            UC_UNROLL_ALL
            for (int j = 0; j < 8; j++)
                for (int c = 2 * r; c < 2 * r + 2; c++) {
                    score[i][j][c] = ptx::exp2_approx(score[i][j][c] - base);
                    sum += score[i][j][c];
                }
            s.m[i][r] = highest;
            s.l[i][r] = s.l[i][r] * keep + sum;
            UC_UNROLL_ALL
            for (int n = 0; n < D / 8; n++) s.out[i][n][2 * r] *= keep, s.out[i][n][2 * r + 1] *= keep;
        }
}

template <class T, int D, int TILES>
__device__ inline void multiply_values(const attention_block<T> &a, int stage, const float (&weight)[TILES][8][4],
                                       attention_state<D, TILES> &s) {
    typedef attention_tile<T, D, TILES> tile;
    const T *v = a.v + stage * tile::KEY_NUMBERS + a.lane % 16 * tile::PITCH + a.lane / 16 * 8;
    UC_UNROLL_ALL
    for (int j = 0; j < 4; j++) { /* 16 keys */
        uint32_t left[TILES][4];
        UC_UNROLL_ALL
        for (int i = 0; i < TILES; i++)
            for (int r = 0; r < 4; r++)
                left[i][r] = ptx::pack_floats<T>(weight[i][2 * j + r / 2][r % 2 * 2], weight[i][2 * j + r / 2][r % 2 * 2 + 1]);
        UC_UNROLL_ALL
        for (int n = 0; n < D / 16; n++) {
            uint32_t r[4]; /* channels 16 n ... and 16 n + 8 ..., 16 keys each */
            ptx::ldmatrix_x4_trans(r, v + 16 * j * tile::PITCH + 16 * n);
            const uint32_t low[2] = { r[0], r[1] }, high[2] = { r[2], r[3] };
            UC_UNROLL_ALL
            for (int i = 0; i < TILES; i++) {
                ptx::mma_m16n8k16<T>(s.out[i][2 * n], left[i], low);
                ptx::mma_m16n8k16<T>(s.out[i][2 * n + 1], left[i], high);
            }
        }
    }
}

template <class T, int D, int TILES>
__device__ inline void store_output(const attention_problem &p, const attention_block<T> &a, attention_state<D, TILES> &s) {
    UC_UNROLL_ALL
    for (int i = 0; i < TILES; i++)
        UC_UNROLL_ALL
        for (int r = 0; r < 2; r++) {
            float sum = s.l[i][r] + __shfl_xor_sync(ALL_LANES, s.l[i][r], 1);
            sum += __shfl_xor_sync(ALL_LANES, sum, 2);
            const int row = a.first_query + (a.warp * TILES + i) * 16 + a.lane / 4 + 8 * r;
            if (row >= p.queries) continue;
            T *out = static_cast<T *>(p.out) + ((long long)a.b * p.queries + row) * p.width + a.h * p.head_size;
            const float scale = 1.0f / sum;
            UC_UNROLL_ALL
            for (int n = 0; n < D / 8; n++) {
                const int column = 8 * n + a.lane % 4 * 2;
                const uint32_t two = ptx::pack_floats<T>(s.out[i][n][2 * r] * scale, s.out[i][n][2 * r + 1] * scale);
                if (column < p.head_size) *reinterpret_cast<uint32_t *>(out + column) = two;
            }
        }
}

/* ---- kernel ------------------------------------------------------------------------------------------------------ */

template <class T, int D, int TILES>
__global__ void __launch_bounds__(128) k_attention_mma(attention_problem p) {
    typedef attention_tile<T, D, TILES> tile;
    UC_DYNAMIC_SHARED(shared);
    const attention_block<T> a = place_block<T, D, TILES>(shared);
    attention_state<D, TILES> s;
    const int last = a.first_query + tile::QUERIES < p.queries ? a.first_query + tile::QUERIES - 1 : p.queries - 1;
    const int end = visible_keys(p, last), all_see = visible_keys(p, a.first_query);
    load_queries<T, D, TILES>(p, a);
    load_keys<T, D, TILES>(p, a, 0, 0);
    ptx::cp_async_commit();
    for (int first = 0, stage = 0; first < end; first += tile::KEYS, stage ^= 1) {
        if (first + tile::KEYS < end) load_keys<T, D, TILES>(p, a, first + tile::KEYS, stage ^ 1);
        ptx::cp_async_commit(); /* empty at the end: this tile's group is always the one before the newest */
        ptx::cp_async_wait<1>();
        __syncthreads();
        if (!first) load_fragments<T, D, TILES>(a, s);
        float score[TILES][8][4];
        multiply_keys<T, D, TILES>(a, stage, s, score);
        finish_scores<T, D, TILES>(p, a, first, stage, first + tile::KEYS > all_see, score);
        soften<D, TILES>(s, score);
        multiply_values<T, D, TILES>(a, stage, score, s);
        __syncthreads(); /* the next round loads over this tile */
    }
    store_output<T, D, TILES>(p, a, s);
}

} // namespace uc
#endif

/* attention_bf16.c - multi-head attention of a run in bf16, where the processor multiplies pairs of bf16 numbers and
 * sums them in f32: the decoder's pictures, CLIP's encoders, the prior's first look at the text.
 *
 * For every head, keys and values are packed as tiles of 16 x 16 pairs, the order that both instruction sets want:
 * pairs run along what a product sums over, channels for Q K^T and keys for P V. A task takes 32 queries of one head:
 * a row of f32 scores each, softmax in f32, and the probabilities as bf16 in the same memory; they are divided by the
 * sum of what they were rounded to, so that a constant value stays what it is. Queries and keys are not rounded again:
 * scores are exact products, and the only further rounding is the probabilities' (2^-9 each). */
#include "attention.h"

enum { TILE = 16, QUERIES = 2 * TILE, PAIRS = 2 * TILE /* numbers of a tile's row */, TILE_WORDS = TILE * TILE };

#define LOG2_E 1.44269504f

static bool is_bf16(const uc_view *v) { return !v->shape.rank || v->dtype == UC_BF16; }

bool uc_attention_is_bf16(const uc_launch *l) {
    static const int slots[] = { UC_ATT_Q, UC_ATT_K, UC_ATT_V, UC_ATT_CTX_K, UC_ATT_CTX_V };
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
        if (!is_bf16(&l->in[slots[i]])) return false;
    return is_bf16(&l->out[0]) && l->in[UC_ATT_Q].shape.dim[1] > UC_ATTENTION_FEW;
}

/* Tiles: 2.8 times attention.c's speed (Sapphire Rapids). Vectors: a pair's product takes Intel's processors as long
 * as two multiply-adds (there, 0.8 times attention.c's speed), AMD's half as long by their instruction tables. */
uc_bf16_products uc_attention_products(const uc_launch *l) {
    const uc_bf16_products with = uc_attention_is_bf16(l) ? uc_cpu_bf16_products() : UC_BF16_NONE;
#if UC_CPU_X86
    if (with == UC_BF16_VECTORS && !__builtin_cpu_is("amd")) return UC_BF16_NONE;
#endif
    return with;
}

typedef struct attention {
    const uc_launch *l;
    uc_attention_sizes s;
    uc_bf16_products with;
    int64_t wide_keys, wide_size; /* up to whole rows of two tiles */
    uint32_t *k, *v;   /* by batch row and head, tiles: [keys / 16][channels / 32] and [keys / 32][channels / 16] */
    float *bias;       /* by batch row: [wide_keys] */
    float *per_thread; /* scores [QUERIES][wide_keys], results [QUERIES][32]; queries [QUERIES][wide_size], bf16 */
    int64_t per_thread_floats;
} attention;

static attention attention_of(const uc_launch *l) {
    attention p = { .l = l, .s = uc_attention_sizes_of(l) };
    p.wide_keys = uc_round_up(p.s.keys, PAIRS);
    p.wide_size = uc_round_up(p.s.size, PAIRS);
    p.per_thread_floats = QUERIES * (p.wide_keys + 2 * TILE + p.wide_size / 2);
    const int64_t packed = p.s.batch * p.s.heads * p.wide_keys * p.wide_size / 2;
    p.k = l->scratch;
    p.v = p.k + packed;
    p.bias = (float *)(p.v + packed);
    p.per_thread = p.bias + p.s.batch * p.wide_keys;
    return p;
}

size_t uc_attention_bf16_scratch(const uc_launch *l) {
    const attention p = attention_of(l);
    const int64_t packed = p.s.batch * p.s.heads * p.wide_keys * p.wide_size;
    return (size_t)(packed + p.s.batch * p.wide_keys + l->threads * p.per_thread_floats) * sizeof(float);
}

#if UC_BF16_CODE

/* Row `key` of one head's keys or values. */
static const uint16_t *row_of(const attention *p, int context_slot, int slot, int64_t n, int64_t key, int64_t head) {
    const bool context = key < p->s.context;
    const uc_view *v = &p->l->in[context ? context_slot : slot];
    const int64_t row = context ? key : key - p->s.context;
    return (const uint16_t *)v->data + ((n * v->shape.dim[1] + row) * p->s.heads + head) * p->s.size;
}

/* A pair of channels of each of 16 keys makes a tile's row. */
static void pack_keys(const attention *p, int64_t n, int64_t head) {
    uint32_t *k = p->k + (n * p->s.heads + head) * p->wide_keys * p->wide_size / 2;
    const int64_t pairs = p->wide_size / 2;
    for (int64_t key = 0; key < p->wide_keys; key++) {
        uint32_t *to = k + key / TILE * TILE * pairs + key % TILE;
        const uint16_t *from = key < p->s.keys ? row_of(p, UC_ATT_CTX_K, UC_ATT_K, n, key, head) : NULL;
        for (int64_t i = 0; i < pairs; i++) {
            const int64_t left = from ? p->s.size - 2 * i : 0;
            uint32_t pair = 0;
            if (left > 1) memcpy(&pair, from + 2 * i, sizeof pair);
            else if (left == 1) pair = from[2 * i];
            to[i * TILE] = pair;
        }
    }
}

/* The same channel of two keys makes a pair. */
static void pack_values(const attention *p, int64_t n, int64_t head) {
    uint32_t *v = p->v + (n * p->s.heads + head) * p->wide_keys * p->wide_size / 2;
    const int64_t size = p->s.size;
    for (int64_t pair = 0; pair < p->wide_keys / 2; pair++) {
        uint32_t *to = v + pair / TILE * TILE * p->wide_size + pair % TILE * TILE;
        const bool first = 2 * pair < p->s.keys, second = 2 * pair + 1 < p->s.keys;
        const uint16_t *low = first ? row_of(p, UC_ATT_CTX_V, UC_ATT_V, n, 2 * pair, head) : NULL;
        const uint16_t *high = second ? row_of(p, UC_ATT_CTX_V, UC_ATT_V, n, 2 * pair + 1, head) : NULL;
        for (int64_t c = 0; c < p->wide_size; c += TILE)
            for (int64_t i = 0; i < TILE; i++) {
                const bool inside = c + i < size;
                const uint32_t a = inside && low ? low[c + i] : 0, b = inside && high ? high[c + i] : 0;
                to[c * TILE + i] = a | b << 16;
            }
    }
}

#define UC_ISA_NAME bf16
#define UC_ISA_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma,f16c")
#endif
#include "simd.h"

/* A product of 32 x 32: to[r][c] = sum over `steps` rows of tiles of a's pairs with two columns of tiles, b0 and b1,
 * each of whose tiles lies `step` words after the one before. stride: floats between rows of a and of the result. */
typedef struct product {
    float *to;
    int64_t to_stride;
    const void *a;
    int64_t a_bytes; /* between rows */
    const uint32_t *b0, *b1;
    int64_t step, steps;
} product;

static void multiply_by_tiles(const product *p) {
    const char *a = p->a;
    const size_t to_bytes = (size_t)p->to_stride * sizeof(float);
    __asm__ volatile("" ::: "memory"); /* a tile's load says nothing to the compiler of the memory that it reads */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = 0; i < p->steps; i++) {
        _tile_loadd(4, a + i * PAIRS * 2, (size_t)p->a_bytes);
        _tile_loadd(5, a + i * PAIRS * 2 + TILE * p->a_bytes, (size_t)p->a_bytes);
        _tile_loadd(6, p->b0 + i * p->step, PAIRS * 2);
        _tile_loadd(7, p->b1 + i * p->step, PAIRS * 2);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, p->to, to_bytes);
    _tile_stored(1, p->to + TILE, to_bytes);
    _tile_stored(2, p->to + TILE * p->to_stride, to_bytes);
    _tile_stored(3, p->to + TILE * p->to_stride + TILE, to_bytes);
    __asm__ volatile("" ::: "memory");
}

static void multiply_by_vectors(const product *p) {
    enum { ROWS = 8 };
    for (int64_t first = 0; first < QUERIES; first += ROWS) {
        const char *a = (const char *)p->a + first * p->a_bytes;
        __m512 sum[ROWS][2];
        for (int r = 0; r < ROWS; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
        for (int64_t i = 0; i < p->steps; i++, a += PAIRS * 2)
            for (int64_t pair = 0; pair < TILE; pair++) {
                const __m512bh left = (__m512bh)_mm512_loadu_si512(p->b0 + i * p->step + pair * TILE);
                const __m512bh right = (__m512bh)_mm512_loadu_si512(p->b1 + i * p->step + pair * TILE);
                for (int r = 0; r < ROWS; r++) {
                    int two;
                    memcpy(&two, a + r * p->a_bytes + 4 * pair, sizeof two);
                    const __m512bh x = (__m512bh)_mm512_set1_epi32(two);
                    sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, left);
                    sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, right);
                }
            }
        for (int r = 0; r < ROWS; r++) {
            _mm512_storeu_ps(p->to + (first + r) * p->to_stride, sum[r][0]);
            _mm512_storeu_ps(p->to + (first + r) * p->to_stride + TILE, sum[r][1]);
        }
    }
}

/* 2^x for x <= 0 within 5e-6, a hundredth of what rounding to bf16 leaves; 0 below -200. */
UC_SIMD vf power_of_two(vf x) {
    const vf y = vf_max(vf_set(-200.0f), x), magic = vf_set(12582912.0f), n = (y + magic) - magic, r = y - n;
    vf p = vf_set(9.61812911e-3f); /* (ln 2)^k / k! */
    p = vf_fma(p, r, vf_set(5.55041087e-2f));
    p = vf_fma(p, r, vf_set(2.40226507e-1f));
    p = vf_fma(p, r, vf_set(6.93147181e-1f));
    p = vf_fma(p, r, vf_set(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* Scores become probabilities as bf16 in the same row, not divided yet; returns the sum of what they were rounded to.
 * All is in powers of two: scale and bias have log2(e) in them. */
static float soften(float *s, const float *bias, float scale, int64_t wide, int64_t seen) {
    vf peak = vf_set(-INFINITY), sum = vf_set(0);
    for (int64_t j = 0; j < wide; j += VL) {
        vf v = vf_fma(vf_load(s + j), vf_set(scale), vf_load(bias + j));
        if (seen - j < VL) {
            const unsigned some = seen > j ? (1u << (seen - j)) - 1u : 0;
            v = _mm512_mask_mov_ps(vf_set(-INFINITY), (__mmask16)some, v);
        }
        peak = vf_max(v, peak);
        vf_store(s + j, v);
    }
    const vf top = vf_set(vf_peak(peak));
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3F80);
    for (int64_t j = 0; j < wide; j += 2 * VL) {
        const vf low = power_of_two(vf_load(s + j) - top), high = power_of_two(vf_load(s + j + VL) - top);
        /* 32 results take the room of 16 scores that have been read */
        const __m512bh rounded = _mm512_cvtne2ps_pbh(high, low);
        sum = _mm512_dpbf16_ps(sum, rounded, ones);
        _mm512_storeu_si512((char *)s + j * 2, (__m512i)rounded);
    }
    return vf_sum(sum);
}

static void multiply(const attention *p, const product *what) {
    if (p->with == UC_BF16_TILES) multiply_by_tiles(what);
    else multiply_by_vectors(what);
}

/* `count` queries of one head from query `first` on; rows beyond them are zeros and lead nowhere. */
static void attend(const attention *p, int64_t n, int64_t head, int64_t first, int64_t count) {
    const int64_t size = p->s.size, wide = p->wide_keys, pack = (n * p->s.heads + head) * wide * p->wide_size / 2;
    float *scores = p->per_thread + uc_thread() * p->per_thread_floats, *result = scores + QUERIES * wide;
    uint16_t *q = (uint16_t *)(result + QUERIES * 2 * TILE);
    float inverse[QUERIES] = { 0 };
    memset(q, 0, (size_t)(QUERIES * p->wide_size) * sizeof *q);
    const int64_t at = ((n * p->s.queries + first) * p->s.heads + head) * size, next = p->s.heads * size;
    const uint16_t *from = (const uint16_t *)p->l->in[UC_ATT_Q].data + at;
    for (int64_t r = 0; r < count; r++) memcpy(q + r * p->wide_size, from + r * next, (size_t)size * sizeof *q);
    for (int64_t j = 0; j < wide; j += 2 * TILE) {
        const uint32_t *tiles = p->k + pack + j * p->wide_size / 2;
        const product qk = { scores + j, wide, q, p->wide_size * 2, tiles, tiles + TILE * p->wide_size / 2, TILE_WORDS,
                             p->wide_size / PAIRS };
        multiply(p, &qk);
    }
    for (int64_t r = 0; r < QUERIES; r++) {
        if (r >= count) memset(scores + r * wide, 0, (size_t)wide * sizeof *scores);
        else
            inverse[r] = 1.0f / soften(scores + r * wide, p->bias + n * wide, LOG2_E * p->l->attrs.attention.scale,
                                       wide, uc_attention_seen(p->l, &p->s, first + r));
    }
    uint16_t *y = (uint16_t *)p->l->out[0].data + at;
    for (int64_t c = 0; c < size; c += 2 * TILE) {
        const uint32_t *tiles = p->v + pack + c * TILE;
        const product pv = { result, 2 * TILE, scores, wide * (int64_t)sizeof *scores, tiles, tiles + TILE_WORDS,
                             TILE * p->wide_size, wide / PAIRS };
        multiply(p, &pv);
        for (int64_t r = 0; r < count; r++) {
            float *row = result + r * 2 * TILE;
            for (int64_t i = 0; i < 2 * TILE; i += VL) vf_store(row + i, vf_load(row + i) * inverse[r]);
            row_out(y + r * next + c, UC_BF16, row, uc_min64(2 * TILE, size - c));
        }
    }
}

void uc_attention_bf16(const uc_launch *l, uc_bf16_products with) {
    attention p = attention_of(l);
    p.with = with;
    const int64_t tiles = uc_ceil_div(p.s.queries, QUERIES), heads = p.s.batch * p.s.heads;
    const int threads = uc_threads_for(l, heads * p.s.queries * p.s.keys * p.s.size / 8);
    (void)threads; /* without OpenMP */
    for (int64_t n = 0; n < p.s.batch; n++) {
        float *bias = p.bias + n * p.wide_keys;
        uc_attention_bias(l, n, bias, p.wide_keys);
        for (int64_t i = 0; i < p.wide_keys; i++) bias[i] *= LOG2_E;
    }
    UC_OMP(parallel num_threads(threads))
    {
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < heads; i++) {
            pack_keys(&p, i / p.s.heads, i % p.s.heads);
            pack_values(&p, i / p.s.heads, i % p.s.heads);
        }
        if (with == UC_BF16_TILES) uc_cpu_tiles(true);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < heads * tiles; i++) {
            const int64_t first = i % tiles * QUERIES;
            attend(&p, i / tiles / p.s.heads, i / tiles % p.s.heads, first, uc_min64(QUERIES, p.s.queries - first));
        }
        if (with == UC_BF16_TILES) uc_cpu_tiles(false);
    }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

void uc_attention_bf16(const uc_launch *l, uc_bf16_products with) { (void)l, (void)with; }

#endif

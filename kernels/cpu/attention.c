/* attention.c - multi-head attention over one or two segments of keys: CLIP's encoders, the prior (causal, with its
 * cached prefix) and the decoder (context tokens, then the picture's own).
 *
 * First every head's keys are packed as panels [size][keys of the panel] and its values as [keys][channels of the
 * panel], both segments one after the other, in f32. Then each task takes a few queries of one head: scores of all
 * keys in a row of scratch, softmax, and the weighted sum of values; both products are tiles of registers (tile.h).
 * Where there are but a few queries, as in the prior's steps, packing would be more work than the scores: keys and
 * values are read where they lie. Where all is bf16, attention_bf16.c does it. */
#include "attention.h"

#ifndef UC_ISA_NAME                /* shared by the instruction sets, hence compiled for the baseline */
enum { PANEL = 32, QUERIES = 12 }; /* multiples of every instruction set's panel and tile */

typedef struct attention {
    const uc_launch *l;
    int64_t batch, queries, context, own, keys, heads, size;
    int64_t wide_keys, wide_size; /* rounded up to whole panels */
    bool few;                     /* queries; nothing is packed then */
    /* in scratch */
    float *k, *v;      /* per batch row and head: [wide_keys / PANEL][size][PANEL], [wide_size / PANEL][keys][PANEL] */
    float *bias;       /* per batch row: [wide_keys], zeros where there is none */
    float *per_thread; /* queries [QUERIES][size], scores [QUERIES][wide_keys] */
    int64_t per_thread_floats;
} attention;

uc_attention_sizes uc_attention_sizes_of(const uc_launch *l) {
    const uc_shape q = l->in[UC_ATT_Q].shape;
    uc_attention_sizes s = { .batch = q.dim[0], .queries = q.dim[1], .heads = l->attrs.attention.heads };
    s.own = l->in[UC_ATT_K].shape.dim[1];
    /* an absent operand has rank 0; data pointers are not read here */
    s.context = l->in[UC_ATT_CTX_K].shape.rank == 3 ? l->in[UC_ATT_CTX_K].shape.dim[1] : 0;
    s.keys = s.own + s.context;
    s.size = q.dim[2] / s.heads;
    return s;
}

void uc_attention_bias(const uc_launch *l, int64_t n, float *bias, int64_t wide) {
    const uc_view *own = &l->in[UC_ATT_BIAS], *context = &l->in[UC_ATT_CTX_BIAS];
    const uc_attention_sizes s = uc_attention_sizes_of(l);
    for (int64_t i = 0; i < wide; i++) bias[i] = 0.0f;
    for (int64_t i = 0; context->data && i < s.context; i++)
        bias[i] = (float)uc_get(context->data, context->dtype, n * s.context + i);
    for (int64_t i = 0; own->data && i < s.own; i++)
        bias[s.context + i] = (float)uc_get(own->data, own->dtype, n * s.own + i);
}

static attention attention_of(const uc_launch *l) {
    const uc_attention_sizes s = uc_attention_sizes_of(l);
    attention p = { .l = l, .batch = s.batch, .queries = s.queries, .context = s.context, .own = s.own, .keys = s.keys,
                    .heads = s.heads, .size = s.size };
    p.few = p.queries <= UC_ATTENTION_FEW;
    p.wide_keys = uc_round_up(p.keys, PANEL);
    p.wide_size = uc_round_up(p.size, PANEL);
    p.per_thread_floats = uc_round_up(QUERIES * (p.size + p.wide_keys), PANEL);
    p.k = l->scratch;
    p.v = p.k + (p.few ? 0 : p.batch * p.heads * p.wide_keys * p.size);
    p.bias = p.v + (p.few ? 0 : p.batch * p.heads * p.wide_size * p.keys);
    p.per_thread = p.bias + p.batch * p.wide_keys;
    return p;
}

static size_t attention_scratch(const uc_launch *l) {
    const attention p = attention_of(l);
    const int64_t packed = p.few ? 0 : p.heads * (p.wide_keys * p.size + p.wide_size * p.keys);
    return (size_t)(p.batch * (packed + p.wide_keys) + l->threads * p.per_thread_floats) * sizeof(float);
}

static uc_attention_sizes sizes_of(const attention *p) {
    return (uc_attention_sizes){ p->batch, p->queries, p->context, p->own, p->keys, p->heads, p->size };
}
#endif

#define UC_FILE "attention.c"
#include "foreach_isa.h"
#include "simd.h"
#include "tile.h"

/* Width of this instruction set's panels; scratch is sized for the widest. */
#ifndef UC_ATT_NAMES
#define UC_ATT_NAMES
#define ATT_WIDTH (2 * VL)
#endif

/* Row `key` of one head's keys or values. */
UC_SIMD const float *UC_ISA(head_row)(const attention *p, const uc_view *v, int64_t n, int64_t key, int64_t head,
                                      float *tmp) {
    const int64_t at = ((n * v->shape.dim[1] + key) * p->heads + head) * p->size;
    return row_in(v->data, v->dtype, at, p->size, tmp);
}

static void UC_ISA(pack_head)(const attention *p, int64_t n, int64_t head) {
    float *k = p->k + (n * p->heads + head) * p->wide_keys * p->size;
    float *v = p->v + (n * p->heads + head) * p->wide_size * p->keys;
    float *tmp = p->per_thread + uc_thread() * p->per_thread_floats;
    for (int64_t key = 0; key < p->wide_keys; key++) {
        const int64_t panel = key / ATT_WIDTH * ATT_WIDTH * p->size + key % ATT_WIDTH;
        if (key >= p->keys) {
            for (int64_t i = 0; i < p->size; i++) k[panel + i * ATT_WIDTH] = 0;
            continue;
        }
        const bool context = key < p->context;
        const int64_t row = context ? key : key - p->context;
        const float *from = UC_ISA(head_row)(p, &p->l->in[context ? UC_ATT_CTX_K : UC_ATT_K], n, row, head, tmp);
        for (int64_t i = 0; i < p->size; i++) k[panel + i * ATT_WIDTH] = from[i];
        from = UC_ISA(head_row)(p, &p->l->in[context ? UC_ATT_CTX_V : UC_ATT_V], n, row, head, tmp);
        for (int64_t i = 0; i < p->wide_size; i += VL) {
            float *to = v + i / ATT_WIDTH * ATT_WIDTH * p->keys + key * ATT_WIDTH + i % ATT_WIDTH;
            const int64_t left = p->size - i;
            vf_store(to, left >= VL ? vf_load(from + i) : left > 0 ? vf_load_part(from + i, left) : vf_set(0));
        }
    }
}

/* to[r * stride + j] = sum over k of a[r * lda + k] * panel[k][j] for `rows` rows of one panel. */
#define ATT_TILE(rows)                                                                                     \
    static void UC_ISA(att_tile_##rows)(float *to, int64_t stride, const float *a, int64_t lda, int64_t k, \
                                        const float *panel) {                                              \
        vf acc[TILE_ROWS * 2];                                                                             \
        for (int i = 0; i < (rows)*2; i++) acc[i] = vf_set(0);                                             \
        tile_fma(acc, rows, 2, a, lda, k, panel);                                                          \
        for (int r = 0; r < (rows); r++) {                                                                 \
            vf_store(to + r * stride, acc[2 * r]);                                                         \
            vf_store(to + r * stride + VL, acc[2 * r + 1]);                                                \
        }                                                                                                  \
    }
#if UC_ISA_LANES == 16
ATT_TILE(12)
#endif
ATT_TILE(6)
ATT_TILE(3)
ATT_TILE(1)
#undef ATT_TILE

static void UC_ISA(att_product)(float *to, int64_t stride, const float *a, int64_t lda, int64_t rows, int64_t k,
                                const float *panel) {
    for (int64_t r = 0, step; r < rows; r += step) {
        step = tile_rows_at(rows - r);
        switch (step) {
#if UC_ISA_LANES == 16
        case 12: UC_ISA(att_tile_12)(to + r * stride, stride, a + r * lda, lda, k, panel); break;
#endif
        case 6: UC_ISA(att_tile_6)(to + r * stride, stride, a + r * lda, lda, k, panel); break;
        case 3: UC_ISA(att_tile_3)(to + r * stride, stride, a + r * lda, lda, k, panel); break;
        default: UC_ISA(att_tile_1)(to + r * stride, stride, a + r * lda, lda, k, panel); break;
        }
    }
}

/* Scores become exp(score - largest), zero from key `seen` on; returns their sum. */
static float UC_ISA(soften)(float *s, const float *bias, int64_t wide_keys, int64_t seen) {
    vf peak = vf_set(-INFINITY), sum = vf_set(0);
    for (int64_t j = seen; j < wide_keys; j++) s[j] = -INFINITY;
    for (int64_t j = 0; j < wide_keys; j += VL) {
        const vf v = vf_load(s + j) + vf_load(bias + j);
        peak = vf_max(peak, v);
        vf_store(s + j, v);
    }
    const vf top = vf_set(vf_peak(peak));
    for (int64_t j = 0; j < wide_keys; j += VL) {
        const vf v = vf_exp(vf_load(s + j) - top);
        sum += v;
        vf_store(s + j, v);
    }
    return vf_sum(sum);
}

/* `count` queries of one head from query `first` on. */
static void UC_ISA(attend)(const attention *p, int64_t n, int64_t head, int64_t first, int64_t count) {
    const uc_view *query = &p->l->in[UC_ATT_Q], *y = &p->l->out[0];
    const float *k = p->k + (n * p->heads + head) * p->wide_keys * p->size;
    const float *v = p->v + (n * p->heads + head) * p->wide_size * p->keys;
    float *q = p->per_thread + uc_thread() * p->per_thread_floats, *scores = q + QUERIES * p->size;
    float inverse[QUERIES], tile[QUERIES * 2 * VL];
    for (int64_t r = 0; r < count; r++) {
        float *row = q + r * p->size;
        const float *from = UC_ISA(head_row)(p, query, n, first + r, head, row);
        for (int64_t i = 0; i < p->size; i++) row[i] = from[i] * p->l->attrs.attention.scale;
    }
    for (int64_t j = 0; j < p->wide_keys; j += ATT_WIDTH)
        UC_ISA(att_product)(scores + j, p->wide_keys, q, p->size, count, p->size, k + j * p->size);
    for (int64_t r = 0; r < count; r++) {
        const uc_attention_sizes sizes = sizes_of(p);
        inverse[r] = 1.0f / UC_ISA(soften)(scores + r * p->wide_keys, p->bias + n * p->wide_keys, p->wide_keys,
                                           uc_attention_seen(p->l, &sizes, first + r));
    }
    for (int64_t c = 0; c < p->size; c += ATT_WIDTH) {
        const int64_t width = uc_min64(ATT_WIDTH, p->size - c);
        UC_ISA(att_product)(tile, ATT_WIDTH, scores, p->wide_keys, count, p->keys, v + c * p->keys);
        for (int64_t r = 0; r < count; r++) {
            float *row = tile + r * ATT_WIDTH;
            for (int64_t i = 0; i < ATT_WIDTH; i += VL) vf_store(row + i, vf_load(row + i) * inverse[r]);
            const int64_t at = ((n * p->queries + first + r) * p->heads + head) * p->size + c;
            row_out((char *)y->data + (size_t)at * uc_dtype_size(y->dtype), y->dtype, row, width);
        }
    }
}

/* ---- few queries ------------------------------------------------------------------------------------------------- */

UC_SIMD vf UC_ISA(load_upto)(const float *p, int64_t left) { return left >= VL ? vf_load(p) : vf_load_part(p, left); }

/* Row `key` of either segment. */
UC_SIMD const float *UC_ISA(key_row)(const attention *p, int context_slot, int slot, int64_t n, int64_t key,
                                     int64_t head, float *tmp) {
    const bool context = key < p->context;
    const int64_t row = context ? key : key - p->context;
    return UC_ISA(head_row)(p, &p->l->in[context ? context_slot : slot], n, row, head, tmp);
}

/* Scores of all queries [queries][wide_keys], a key's row being read once. */
static void UC_ISA(few_scores)(const attention *p, int64_t n, int64_t head, const float *q, float *scores, float *tmp) {
    for (int64_t key = 0; key < p->keys; key++) {
        const float *k = UC_ISA(key_row)(p, UC_ATT_CTX_K, UC_ATT_K, n, key, head, tmp);
        vf sum[UC_ATTENTION_FEW];
        for (int r = 0; r < UC_ATTENTION_FEW; r++) sum[r] = vf_set(0);
        for (int64_t i = 0; i < p->size; i += VL) {
            const vf x = UC_ISA(load_upto)(k + i, p->size - i);
            for (int r = 0; r < UC_ATTENTION_FEW; r++)
                if (r < p->queries) sum[r] = vf_fma(UC_ISA(load_upto)(q + r * p->size + i, p->size - i), x, sum[r]);
        }
        for (int r = 0; r < p->queries; r++) scores[r * p->wide_keys + key] = vf_sum(sum[r]);
    }
}

/* Sums of the values, two vectors of channels at a time. */
static void UC_ISA(few_sums)(const attention *p, int64_t n, int64_t head, const float *scores, const float *inverse,
                             float *tmp) {
    const uc_view *y = &p->l->out[0];
    for (int64_t c = 0; c < p->size; c += 2 * VL) {
        const int64_t left = p->size - c;
        vf sum[UC_ATTENTION_FEW][2];
        for (int r = 0; r < UC_ATTENTION_FEW; r++) sum[r][0] = sum[r][1] = vf_set(0);
        for (int64_t key = 0; key < p->keys; key++) {
            const bool context = key < p->context;
            const uc_view *values = &p->l->in[context ? UC_ATT_CTX_V : UC_ATT_V];
            const int64_t row = n * values->shape.dim[1] + (context ? key : key - p->context);
            const float *v = row_in(values->data, values->dtype, (row * p->heads + head) * p->size + c,
                                    uc_min64(2 * VL, left), tmp);
            const vf low = UC_ISA(load_upto)(v, left);
            const vf high = left > VL ? UC_ISA(load_upto)(v + VL, left - VL) : vf_set(0);
            for (int r = 0; r < UC_ATTENTION_FEW; r++)
                if (r < p->queries) {
                    const vf weight = vf_set(scores[r * p->wide_keys + key]);
                    sum[r][0] = vf_fma(weight, low, sum[r][0]);
                    sum[r][1] = vf_fma(weight, high, sum[r][1]);
                }
        }
        for (int r = 0; r < p->queries; r++) {
            float row[2 * VL];
            for (int i = 0; i < 2; i++) vf_store(row + i * VL, sum[r][i] * inverse[r]);
            const int64_t at = ((n * p->queries + r) * p->heads + head) * p->size + c;
            row_out((char *)y->data + (size_t)at * uc_dtype_size(y->dtype), y->dtype, row, uc_min64(2 * VL, left));
        }
    }
}

static void UC_ISA(attend_few)(const attention *p, int64_t n, int64_t head) {
    const uc_attention_sizes sizes = sizes_of(p);
    float *q = p->per_thread + uc_thread() * p->per_thread_floats, *scores = q + UC_ATTENTION_FEW * p->size;
    float *tmp = scores + UC_ATTENTION_FEW * p->wide_keys, inverse[UC_ATTENTION_FEW];
    for (int64_t r = 0; r < p->queries; r++) {
        const float *from = UC_ISA(head_row)(p, &p->l->in[UC_ATT_Q], n, r, head, tmp);
        for (int64_t i = 0; i < p->size; i++) q[r * p->size + i] = from[i] * p->l->attrs.attention.scale;
    }
    UC_ISA(few_scores)(p, n, head, q, scores, tmp);
    for (int64_t r = 0; r < p->queries; r++)
        inverse[r] = 1.0f / UC_ISA(soften)(scores + r * p->wide_keys, p->bias + n * p->wide_keys, p->wide_keys,
                                           uc_attention_seen(p->l, &sizes, r));
    UC_ISA(few_sums)(p, n, head, scores, inverse, tmp);
}

static void UC_ISA(attention)(const uc_launch *l) {
    const attention p = attention_of(l);
    const int64_t tiles = uc_ceil_div(p.queries, QUERIES);
    const int threads = uc_threads_for(l, p.batch * p.heads * p.queries * p.keys * p.size / 8);
    (void)threads; /* without OpenMP */
    for (int64_t n = 0; n < p.batch; n++) uc_attention_bias(l, n, p.bias + n * p.wide_keys, p.wide_keys);
    if (p.few) {
        UC_OMP(parallel for num_threads(threads) schedule(static))
        for (int64_t i = 0; i < p.batch * p.heads; i++) UC_ISA(attend_few)(&p, i / p.heads, i % p.heads);
        return;
    }
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t i = 0; i < p.batch * p.heads; i++) UC_ISA(pack_head)(&p, i / p.heads, i % p.heads);
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t i = 0; i < p.batch * p.heads * tiles; i++) {
        const int64_t first = i % tiles * QUERIES;
        UC_ISA(attend)(&p, i / tiles / p.heads, i / tiles % p.heads, first, uc_min64(QUERIES, p.queries - first));
    }
}

#ifdef UC_ISA_ONCE
const uc_kernel uc_cpu_attention_variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(attention);

void uc_cpu_attention(const uc_launch *l) {
    const uc_bf16_products with = uc_attention_products(l);
    if (with != UC_BF16_NONE) uc_attention_bf16(l, with);
    else uc_cpu_attention_variants[uc_cpu_isa()](l);
}

/* Enough for either way. */
size_t uc_cpu_attention_scratch(const uc_launch *l) {
    const size_t f32 = attention_scratch(l), bf16 = uc_attention_is_bf16(l) ? uc_attention_bf16_scratch(l) : 0;
    return f32 > bf16 ? f32 : bf16;
}
#endif

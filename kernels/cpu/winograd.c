/* winograd.c - 3 x 3 convolution of stride 1 and padding 1 by Winograd's minimal filtering F(4 x 4, 3 x 3), channels
 * innermost: the decoder's and the upsamplers' dearest operation in f32.
 *
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A          Lavin and Gray, "Fast algorithms for convolutional neural networks"
 *
 * for each tile of 4 x 4 outputs from 6 x 6 inputs: 36 multiplications where the direct form has 144. Summed over input
 * channels that is 36 matrix products, [tiles, channels] by [channels, outputs]. The polynomial's points are 0, +-5/8,
 * +-3/2 and infinity, which give less than half of the error of the textbook's 0, +-1, +-2; and the sums over channels
 * are taken in runs of SUM_RUN. A result's error is then 1.4e-6 of the results' root mean square at 320 channels as at
 * 2560, where conv2d.c's one long sum has 0.9e-6 and 2.6e-6.
 *
 * The transformed weights would take four times the memory of the weights: they are made anew for every launch, a block
 * of outputs at a time, which costs a few per cent where pictures are large enough for this to pay. A packed weight
 * (gemm.h) holds, for each panel and each of the 9 taps, a run of numbers whose order does not matter here: what is
 * done to them is done to each alone, and the 36 results are panels of the same order. */
#include "winograd.h"

#include "gemm.h"

#define UC_FILE "winograd.c"
#include "foreach_isa.h"
#include "simd.h"
#include "tile.h"

#ifndef UC_WINOGRAD_SHAPES
#define UC_WINOGRAD_SHAPES
enum {
    TILE = 4,            /* outputs of a tile, along each side */
    PATCH = TILE + 2,    /* its inputs */
    PLACES = PATCH * PATCH,
    SUM_RUN = 256,
    WIDEST_LANES = 32,   /* lanes of any panel */
    AT_ONCE = 333000,    /* tiles x channels that are transformed at once where that is all of them: 48 MB */
    AT_ONCE_MOST = 1024, /* and no more tiles than this */
    FEW_OUTPUTS = 128,   /* outputs at a time then, and otherwise */
    MANY_OUTPUTS = 320,
    BLOCK = 122880, BLOCK_LEAST = 24, BLOCK_MOST = 192 /* tiles x channels of a block otherwise; tiles */
};

typedef struct winograd {
    const uc_launch *l;
    const void *packed;
    uc_dtype type; /* of the packed weight */
    int64_t batch, c, h, w, o;
    int64_t across, down, tiles; /* tiles of a row, of a column, of all images */
    bool at_once;                /* all tiles together, else in blocks that threads do by themselves */
    int64_t span;                /* tiles at a time */
    int64_t outputs, wide;       /* output channels at a time; up to whole panels */
    float *bias, *zeros;         /* [o rounded up], [c] */
    float *u, *v, *m;            /* [36][c * wide], [36][span][c], [36][span][wide]; of blocks, the first thread's */
} winograd;

static winograd winograd_of(const uc_launch *l, bool in_blocks) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim;
    winograd p = { .l = l,
                   .type = l->in[UC_CONV_WEIGHT].dtype,
                   .batch = x[0],
                   .c = x[1],
                   .h = x[2],
                   .w = x[3],
                   .o = l->out[0].shape.dim[1] };
    p.across = uc_ceil_div(p.w, TILE);
    p.down = uc_ceil_div(p.h, TILE);
    p.tiles = p.batch * p.across * p.down;
    p.at_once = !in_blocks && p.tiles <= AT_ONCE_MOST &&
                p.tiles * uc_max64(p.c, uc_min64(p.o, FEW_OUTPUTS)) <= AT_ONCE;
    p.outputs = uc_min64(p.o, p.at_once ? FEW_OUTPUTS : MANY_OUTPUTS);
    p.wide = uc_round_up(p.outputs, WIDEST_LANES);
    const int64_t block = uc_min64(BLOCK / uc_max64(p.c, p.wide) / 12 * 12, BLOCK_MOST);
    p.span = p.at_once ? p.tiles : uc_max64(block, BLOCK_LEAST);
    p.bias = l->scratch;
    p.zeros = p.bias + uc_round_up(p.o, WIDEST_LANES);
    p.u = p.zeros + uc_round_up(p.c, WIDEST_LANES);
    p.v = p.u + PLACES * p.c * p.wide;
    p.m = p.v + PLACES * p.span * p.c;
    return p;
}

#endif

/* The points 5/8 and 3/2: S and R their squares. */
#define W_A 0.625f
#define W_B 1.5f
#define W_S 0.390625f
#define W_R 2.25f

/* B^T d: six inputs, `step` apart, to six. */
UC_SIMD void UC_ISA(from_inputs)(const vf *d, const int step, vf *out) {
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const vf both = vf_set(W_S * W_R), sum = vf_set(W_S + W_R);
    const vf even_a = d4 - vf_set(W_R) * d2, odd_a = vf_set(W_A) * (d3 - vf_set(W_R) * d1);
    const vf even_b = d4 - vf_set(W_S) * d2, odd_b = vf_set(W_B) * (d3 - vf_set(W_S) * d1);
    out[0] = vf_fma(both, d0, d4 - sum * d2);
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = vf_fma(both, d1, d5 - sum * d3);
}

/* G g: three taps to six. */
UC_SIMD void UC_ISA(from_taps)(vf g0, vf g1, vf g2, const int step, vf *out) {
    const float na = 1 / (2 * W_S * (W_S - W_R)), nb = 1 / (2 * W_R * (W_R - W_S));
    const vf even_a = vf_set(na) * g0 + vf_set(na * W_S) * g2, odd_a = vf_set(na * W_A) * g1;
    const vf even_b = vf_set(nb) * g0 + vf_set(nb * W_R) * g2, odd_b = vf_set(nb * W_B) * g1;
    out[0] = vf_set(1 / (W_S * W_R)) * g0;
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = g2;
}

/* A^T m: six sums, `step` apart, to four outputs. */
UC_SIMD void UC_ISA(to_outputs)(const vf *m, const int step, vf *out) {
    const vf sum_a = m[step] + m[2 * step], off_a = m[step] - m[2 * step];
    const vf sum_b = m[3 * step] + m[4 * step], off_b = m[3 * step] - m[4 * step];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = vf_set(W_A) * off_a + vf_set(W_B) * off_b;
    out[2 * step] = vf_set(W_S) * sum_a + vf_set(W_R) * sum_b;
    out[3 * step] = vf_set(W_A * W_S) * off_a + vf_set(W_B * W_R) * off_b + m[5 * step];
}

/* Numbers from ... end of one panel's runs: 9 taps in, 36 places out, `place` apart. size: of a run; at: the panel's
 * first number. */
static void UC_ISA(transform_weights)(const winograd *p, int64_t at, int64_t size, float *u, int64_t place,
                                      int64_t from, int64_t end) {
    for (int64_t j = from; j < end; j += VL) {
        vf tap[9], half[3 * PATCH], full[PLACES];
        float number[VL];
        for (int t = 0; t < 9; t++) tap[t] = vf_load(row_in(p->packed, p->type, at + t * size + j, VL, number));
        for (int x = 0; x < 3; x++) UC_ISA(from_taps)(tap[x], tap[3 + x], tap[6 + x], 3, half + x);
        for (int y = 0; y < PATCH; y++)
            UC_ISA(from_taps)(half[3 * y], half[3 * y + 1], half[3 * y + 2], 1, full + PATCH * y);
        for (int k = 0; k < PLACES; k++) vf_store(u + k * place + j, full[k]);
    }
}

/* Where the 36 inputs of a tile lie; zeros beyond the picture. */
static void UC_ISA(patch_of)(const winograd *p, int64_t tile, const float *at[PLACES]) {
    const int64_t n = tile / (p->across * p->down), y0 = tile / p->across % p->down * TILE - 1;
    const int64_t x0 = tile % p->across * TILE - 1;
    const float *image = (const float *)p->l->in[UC_CONV_X].data + n * p->h * p->w * p->c;
    for (int k = 0; k < PLACES; k++) {
        const int64_t y = y0 + k / PATCH, x = x0 + k % PATCH;
        at[k] = y >= 0 && y < p->h && x >= 0 && x < p->w ? image + (y * p->w + x) * p->c : p->zeros;
    }
}

static void UC_ISA(transform_inputs)(const winograd *p, int64_t tile, int64_t row) {
    const float *at[PLACES];
    const int64_t place = p->span * p->c;
    UC_ISA(patch_of)(p, tile, at);
    for (int64_t c = 0; c < p->c; c += VL) {
        const int64_t left = p->c - c;
        vf d[PLACES];
        for (int k = 0; k < PLACES; k++) d[k] = left >= VL ? vf_load(at[k] + c) : vf_load_part(at[k] + c, left);
        for (int x = 0; x < PATCH; x++) UC_ISA(from_inputs)(d + x, PATCH, d + x);
        for (int y = 0; y < PATCH; y++) UC_ISA(from_inputs)(d + PATCH * y, 1, d + PATCH * y);
        float *to = p->v + row * p->c + c;
        for (int k = 0; k < PLACES; k++) {
            if (left >= VL) vf_store(to + k * place, d[k]);
            else vf_store_part(to + k * place, d[k], left);
        }
    }
}

/* One tile of one place's product over `run` channels, added to what is there unless they are the first. */
UC_SIMD void UC_ISA(product_tile)(const winograd *p, const float *v, const float *panel, int64_t run, bool first,
                                  float *m, const int rows, const int nv) {
    const int vectors = TILE_VECTORS(nv);
    vf acc[TILE_ROWS * 2];
    for (int i = 0; i < rows * vectors; i++) acc[i] = vf_set(0);
    tile_fma(acc, rows, nv, v, p->c, run, panel);
    tile_fold(acc, rows, nv);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) {
            float *to = m + r * p->wide + i * VL;
            vf_store(to, first ? acc[r * vectors + i] : vf_load(to) + acc[r * vectors + i]);
        }
}

#define WINOGRAD_TILE(rows, nv)                                                             \
    __attribute__((noinline)) static void UC_ISA(winograd_##rows##_##nv)(                   \
        const winograd *p, const float *v, const float *panel, int64_t run, bool first, float *m) { \
        UC_ISA(product_tile)(p, v, panel, run, first, m, rows, nv);                         \
    }
#define WINOGRAD_TILES(rows) WINOGRAD_TILE(rows, 0) WINOGRAD_TILE(rows, 1) WINOGRAD_TILE(rows, 2)
#if UC_ISA_LANES == 16
WINOGRAD_TILES(12)
#endif
WINOGRAD_TILES(6)
WINOGRAD_TILES(3)
WINOGRAD_TILES(1)
#undef WINOGRAD_TILES
#undef WINOGRAD_TILE

/* The part of what follows a run of a panel that is asked for while rows from ... end of `rows` are done with that run:
 * the first rows would wait for it otherwise. */
UC_SIMD void UC_ISA(prefetch_part)(const float *next, int64_t floats, int64_t from, int64_t end, int64_t rows) {
    const int64_t line = 64 / (int64_t)sizeof(float);
    for (int64_t i = from * floats / rows; i < end * floats / rows; i += line) __builtin_prefetch(next + i, 0, 2);
}

/* All tiles at hand by one panel of one place; a run of the panel stays in the L1 cache for all of them, and the next
 * one, or the panel behind this one, comes into the L2 cache meanwhile. */
static void UC_ISA(product_panel)(const winograd *p, const float *v, const float *panel, float *m, int64_t rows,
                                  int nv) {
    const int64_t width = nv ? nv * VL : VL / 2;
#define WINOGRAD_CALL(rows)                \
    (nv == 2 ? UC_ISA(winograd_##rows##_2) \
     : nv    ? UC_ISA(winograd_##rows##_1) \
             : UC_ISA(winograd_##rows##_0))(p, v + r * p->c + k, panel + k * width, run, k == 0, m + r * p->wide)
    for (int64_t k = 0; k < p->c; k += SUM_RUN) {
        const int64_t run = uc_min64(SUM_RUN, p->c - k);
        for (int64_t r = 0, step; r < rows; r += step) {
            step = tile_rows_at(rows - r);
            switch (step) {
#if UC_ISA_LANES == 16
            case 12: WINOGRAD_CALL(12); break;
#endif
            case 6: WINOGRAD_CALL(6); break;
            case 3: WINOGRAD_CALL(3); break;
            default: WINOGRAD_CALL(1); break;
            }
            UC_ISA(prefetch_part)(panel + (k + run) * width, run * width, r, r + step, rows);
        }
    }
#undef WINOGRAD_CALL
}

/* The results of one tile: VL channels from `channel` on, `left` of them; at is the tile's first element. */
UC_SIMD void UC_ISA(put_tile)(const winograd *p, const vf *y, int64_t at, int64_t height, int64_t width, int64_t left) {
    const float *residual = p->l->in[UC_CONV_RESIDUAL].data;
    float *out = p->l->out[0].data;
    for (int64_t r = 0; r < height; r++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t to = at + (r * p->w + x) * p->o;
            vf value = y[r * TILE + x];
            if (residual) value += left >= VL ? vf_load(residual + to) : vf_load_part(residual + to, left);
            if (left >= VL) vf_store(out + to, value);
            else vf_store_part(out + to, value, left);
        }
}

static void UC_ISA(transform_outputs)(const winograd *p, int64_t tile, int64_t row, int64_t first, int64_t end) {
    const int64_t n = tile / (p->across * p->down), y0 = tile / p->across % p->down * TILE;
    const int64_t x0 = tile % p->across * TILE, place = p->span * p->wide;
    const int64_t height = uc_min64(TILE, p->h - y0), width = uc_min64(TILE, p->w - x0);
    for (int64_t channel = first; channel < end; channel += VL) {
        const float *m = p->m + row * p->wide + channel - first;
        const vf bias = vf_load(p->bias + channel);
        vf sums[PLACES], half[TILE * PATCH], y[TILE * TILE];
        for (int k = 0; k < PLACES; k++) sums[k] = vf_load(m + k * place);
        for (int x = 0; x < PATCH; x++) UC_ISA(to_outputs)(sums + x, PATCH, half + x);
        for (int r = 0; r < TILE; r++) UC_ISA(to_outputs)(half + PATCH * r, 1, y + TILE * r);
        for (int i = 0; i < TILE * TILE; i++) y[i] += bias;
        UC_ISA(put_tile)(p, y, ((n * p->h + y0) * p->w + x0) * p->o + channel, height, width, end - channel);
    }
}

/* Weights of outputs first ... end, cut into pieces so that every thread has some. */
static void UC_ISA(weights_piece)(const winograd *p, int64_t piece, int64_t pieces, int64_t first, int64_t end) {
    const int64_t wide = 2 * VL;
    for (int64_t o = first; o < end; o += wide) {
        const int nv = uc_panel_vectors(p->o - o, VL, 3 * p->c);
        const int64_t size = uc_panel_floats(p->c, VL, nv), step = uc_round_up(uc_ceil_div(size, pieces), VL);
        const int64_t from = piece * step, until = uc_min64(from + step, size);
        UC_ISA(transform_weights)(p, o * 9 * p->c, size, p->u + (o - first) * p->c, p->c * p->wide, from, until);
    }
}

static void UC_ISA(products)(const winograd *p, int64_t task, int64_t rows, int64_t first, int64_t end) {
    const int64_t wide = 2 * VL, panels = uc_ceil_div(end - first, wide), k = task / panels;
    const int64_t o = first + task % panels * wide;
    const int nv = uc_panel_vectors(p->o - o, VL, 3 * p->c);
    UC_ISA(product_panel)(p, p->v + k * p->span * p->c, p->u + k * p->c * p->wide + (o - first) * p->c,
                          p->m + k * p->span * p->wide + o - first, rows, nv);
}

/* Threads share every one of the three parts. The inputs of the first outputs serve the others. */
static void UC_ISA(run_at_once)(const winograd *p, int64_t first, int64_t end) {
    const int64_t tasks = PLACES * uc_ceil_div(end - first, 2 * VL), fresh = first == 0 ? p->tiles : 0;
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < fresh; i++) UC_ISA(transform_inputs)(p, i, i);
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < tasks; i++) UC_ISA(products)(p, i, p->tiles, first, end);
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < p->tiles; i++) UC_ISA(transform_outputs)(p, i, i, first, end);
}

/* Each thread takes blocks of tiles through the three parts. */
static void UC_ISA(run_blocks)(const winograd *p, int64_t first, int64_t end) {
    const int64_t tasks = PLACES * uc_ceil_div(end - first, 2 * VL), blocks = uc_ceil_div(p->tiles, p->span);
    winograd own = *p;
    own.v += uc_thread() * PLACES * p->span * (p->c + p->wide);
    own.m = own.v + PLACES * p->span * p->c;
    UC_OMP(for schedule(static))
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t tile = block * p->span, rows = uc_min64(p->span, p->tiles - tile);
        for (int64_t i = 0; i < rows; i++) UC_ISA(transform_inputs)(&own, tile + i, i);
        for (int64_t i = 0; i < tasks; i++) UC_ISA(products)(&own, i, rows, first, end);
        for (int64_t i = 0; i < rows; i++) UC_ISA(transform_outputs)(&own, tile + i, i, first, end);
    }
}

static void UC_ISA(winograd_run)(const uc_launch *l, const void *packed, bool in_blocks) {
    winograd p = winograd_of(l, in_blocks);
    const uc_view *bias = &l->in[UC_CONV_BIAS];
    p.packed = packed;
    memset(p.bias, 0, (size_t)(p.u - p.bias) * sizeof *p.bias);
    if (bias->data) row_read(p.bias, bias->data, bias->dtype, p.o);
    const int threads = uc_threads_for(l, p.tiles * p.c * p.o);
    UC_OMP(parallel num_threads(threads))
    for (int64_t first = 0; first < p.o; first += p.outputs) {
        const int64_t end = uc_min64(first + p.outputs, p.o);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < 8 * threads; i++) UC_ISA(weights_piece)(&p, i, 8 * threads, first, end);
        if (p.at_once) UC_ISA(run_at_once)(&p, first, end);
        else UC_ISA(run_blocks)(&p, first, end);
    }
}

#undef W_A
#undef W_B
#undef W_S
#undef W_R

#ifdef UC_ISA_ONCE
void uc_cpu_winograd_for(uc_isa isa, bool in_blocks, const uc_launch *l, const void *packed) {
    typedef void (*runner)(const uc_launch *, const void *, bool);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(winograd_run);
    variants[isa](l, packed, in_blocks);
}

void uc_cpu_winograd(const uc_launch *l, const void *packed) {
    uc_cpu_winograd_for(uc_cpu_isa(), false, l, packed);
}

static size_t scratch_of(const uc_launch *l, bool in_blocks) {
    const winograd p = winograd_of(l, in_blocks);
    const int64_t spans = p.at_once ? p.span : l->threads * p.span;
    return (size_t)(uc_round_up(p.o, WIDEST_LANES) + uc_round_up(p.c, WIDEST_LANES) +
                    PLACES * (p.c * p.wide + spans * (p.c + p.wide))) * sizeof(float);
}

size_t uc_cpu_winograd_scratch(const uc_launch *l) { return scratch_of(l, false); }
size_t uc_cpu_winograd_blocks_scratch(const uc_launch *l) { return scratch_of(l, true); }

bool uc_cpu_winograd_can(const uc_launch *l) {
    const int64_t *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return l->kind == UC_OP_conv2d && w[2] == 3 && w[3] == 3 && l->attrs.conv2d.stride == 1 &&
           l->attrs.conv2d.pad == 1 && l->in[UC_CONV_X].layout == UC_NHWC && l->in[UC_CONV_X].dtype == UC_F32 &&
           l->out[0].dtype == UC_F32 &&
           (!l->in[UC_CONV_RESIDUAL].shape.rank || l->in[UC_CONV_RESIDUAL].dtype == UC_F32);
}

/* Measured on AVX-512: against oneDNN's direct f32 convolution (64 channels and more) 1.3 to 2.3 times as fast from
 * 16 x 16 pixels on, at 8 x 8 half as fast; against conv2d.c 1.1 to 2 times from 16 channels and 10 outputs on, and 1.5
 * times at 8 x 8. */
bool uc_cpu_winograd_pays(const uc_launch *l, bool library) {
    if (!uc_cpu_winograd_can(l)) return false;
    const int64_t *x = l->in[UC_CONV_X].shape.dim, *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return x[2] * x[3] >= (library ? 256 : 64) && w[1] >= 16 && w[0] >= 10;
}
#endif

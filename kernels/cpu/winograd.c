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
 * of outputs at a time, which costs a few per cent where pictures are large. Where they are small or have many
 * channels, weights are nearly all that there is: then a thread takes a panel and a run of channels at a time, whose
 * transformed weights stay in its L2 cache until they are used. A packed weight
 * (gemm.h) holds, for each panel and each of the 9 taps, a run of numbers whose order does not matter here: what is
 * done to them is done to each alone, and the 36 results are panels of the same order. */
#include "winograd.h"

#include "bf16.h"
#include "gemm.h"

#define UC_FILE "winograd.c"
#include "foreach_isa.h"
#include "simd.h"
#include "tile.h"
#include "winograd_transforms.h"

#ifndef UC_WINOGRAD_SHAPES
#define UC_WINOGRAD_SHAPES
enum {
    SUM_RUN = 256,
    WIDEST_LANES = 32,       /* lanes of any panel */
    AT_ONCE_FLOATS = 333000, /* tiles x channels that are transformed at once where that is all of them: 48 MB */
    AT_ONCE_MOST = 1024,     /* and no more tiles than this */
    FEW_OUTPUTS = 128,       /* outputs at a time then, and in blocks */
    MANY_OUTPUTS = 320,
    BY_PANEL_MOST = 256, /* tiles at a time where weights are taken panel by panel: */
    BY_PANEL_FEW = 128,  /* those of small pictures, up to this many, */
    BY_PANEL_C = 1024,   /* and of pictures with this many channels */
    RUN_FLOATS = SUM_RUN * WIDEST_LANES + 16, /* of a place then; the places of one weight in other sets of the cache */
    BLOCK = 122880, BLOCK_LEAST = 24, BLOCK_MOST = 192 /* tiles x channels of a block otherwise; tiles */
};

typedef struct winograd {
    winograd_picture at;
    const void *packed;
    uc_dtype type;         /* of the packed weight */
    enum {
        IN_BLOCKS, /* of tiles, which threads do by themselves, for many outputs */
        AT_ONCE,   /* all tiles together, for some outputs */
        BY_PANEL,  /* many tiles together, and a panel of outputs by one thread */
    } sharing;
    int64_t span;          /* tiles at a time */
    int64_t outputs, wide; /* output channels at a time; up to whole panels */
    float *bias;           /* [o rounded up], behind it the picture's zeros */
    float *u, *v, *m;      /* [36][c * wide], or by panel [36] of RUN_FLOATS; [36][span][c]; [36][span][wide] */
    int64_t own;           /* floats from one thread's to the next one's: of v and m in blocks, of u and m by panel */
    int64_t floats;        /* of scratch in all */
} winograd;

static winograd winograd_of(const uc_launch *l, bool in_blocks) {
    winograd p = { .at = winograd_picture_of(l), .type = l->in[UC_CONV_WEIGHT].dtype };
    const int64_t c = p.at.c, o = p.at.o, tiles = p.at.tiles;
    if (in_blocks) p.sharing = IN_BLOCKS;
    else if ((tiles <= BY_PANEL_FEW || c >= BY_PANEL_C) && o >= 2 * WIDEST_LANES * l->threads) p.sharing = BY_PANEL;
    else if (tiles <= AT_ONCE_MOST && tiles * uc_max64(c, uc_min64(o, FEW_OUTPUTS)) <= AT_ONCE_FLOATS)
        p.sharing = AT_ONCE;
    static const int64_t outputs[] = { [IN_BLOCKS] = MANY_OUTPUTS, [AT_ONCE] = FEW_OUTPUTS, [BY_PANEL] = WIDEST_LANES };
    p.outputs = uc_min64(o, outputs[p.sharing]);
    p.wide = uc_round_up(p.outputs, WIDEST_LANES);
    const int64_t block = uc_min64(BLOCK / uc_max64(c, p.wide) / 12 * 12, BLOCK_MOST);
    p.span = p.sharing == IN_BLOCKS ? uc_max64(block, BLOCK_LEAST)
             : p.sharing == AT_ONCE ? tiles
                                    : uc_min64(tiles, BY_PANEL_MOST);
    p.bias = l->scratch;
    p.at.zeros = p.bias + uc_round_up(o, WIDEST_LANES);
    float *places = p.bias + uc_round_up(o, WIDEST_LANES) + uc_round_up(c, WIDEST_LANES);
    const int64_t u = PLACES * (p.sharing == BY_PANEL ? RUN_FLOATS : c * p.wide);
    const int64_t v = PLACES * p.span * c, m = PLACES * p.span * p.wide;
    p.u = p.sharing == BY_PANEL ? places + v : places; /* what threads have of their own lies together */
    p.v = p.sharing == BY_PANEL ? places : places + u;
    p.m = places + u + v;
    p.own = p.sharing == BY_PANEL ? u + m : v + m;
    p.floats = places - p.bias + u + v + m + (p.sharing == AT_ONCE ? 0 : (l->threads - 1) * p.own);
    return p;
}

#endif

/* Numbers from ... end of one panel's taps: 9 taps in, 36 places out, `place` apart, from u on. size: of a tap; at: the
 * panel's first number. */
UC_SIMD void UC_ISA(transform_weights_as)(const winograd *p, const uc_dtype type, int64_t at, int64_t size, float *u,
                                          int64_t place, int64_t from, int64_t end) {
    const int64_t bytes = float_bytes(type);
    const char *packed = (const char *)p->packed + at * bytes;
    for (int64_t j = from; j < end; j += VL) {
        vf tap[9], full[PLACES];
        for (int t = 0; t < 9; t++) tap[t] = vf_load_as(packed + (t * size + j) * bytes, type);
        UC_ISA(places_of)(tap, full);
        for (int k = 0; k < PLACES; k++) vf_store(u + k * place + j - from, full[k]);
    }
}

static void UC_ISA(transform_weights)(const winograd *p, int64_t at, int64_t size, float *u, int64_t place,
                                      int64_t from, int64_t end) {
    if (p->type == UC_F32) UC_ISA(transform_weights_as)(p, UC_F32, at, size, u, place, from, end);
    else if (p->type == UC_F16) UC_ISA(transform_weights_as)(p, UC_F16, at, size, u, place, from, end);
    else UC_ISA(transform_weights_as)(p, UC_BF16, at, size, u, place, from, end);
}

UC_SIMD void UC_ISA(transform_inputs_as)(const winograd *p, const uc_dtype type, int64_t tile, int64_t row) {
    const char *at[PLACES];
    const int64_t place = p->span * p->at.c;
    UC_ISA(patch_of)(&p->at, tile, at);
    for (int64_t c = 0; c < p->at.c; c += VL) {
        const int64_t left = p->at.c - c;
        vf d[PLACES];
        UC_ISA(inputs_of)(at, type, p->at.c, c, left, d);
        float *to = p->v + row * p->at.c + c;
        for (int k = 0; k < PLACES; k++) {
            if (left >= VL) vf_store(to + k * place, d[k]);
            else vf_store_part(to + k * place, d[k], left);
        }
    }
}

static void UC_ISA(transform_inputs)(const winograd *p, int64_t tile, int64_t row) {
    if (p->at.type == UC_F32) UC_ISA(transform_inputs_as)(p, UC_F32, tile, row);
    else UC_ISA(transform_inputs_as)(p, UC_BF16, tile, row);
}

/* One tile of one place's product over `run` channels, added to what is there unless they are the first. */
UC_SIMD void UC_ISA(product_tile)(const winograd *p, const float *v, const float *panel, int64_t run, bool first,
                                  float *m, const int rows, const int nv) {
    const int vectors = TILE_VECTORS(nv);
    vf acc[TILE_ROWS * 2];
    for (int i = 0; i < rows * vectors; i++) acc[i] = vf_set(0);
    tile_fma(acc, rows, nv, v, p->at.c, run, panel);
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
WINOGRAD_TILES(8)
#else
WINOGRAD_TILES(6)
#endif
WINOGRAD_TILES(4)
WINOGRAD_TILES(1)
#undef WINOGRAD_TILES
#undef WINOGRAD_TILE

/* The part of what follows a run of a panel that is asked for while rows from ... end of `rows` are done with that run:
 * the first rows would wait for it otherwise. */
UC_SIMD void UC_ISA(prefetch_part)(const float *next, int64_t floats, int64_t from, int64_t end, int64_t rows) {
    const int64_t line = 64 / (int64_t)sizeof(float);
    for (int64_t i = from * floats / rows; i < end * floats / rows; i += line) __builtin_prefetch(next + i, 0, 2);
}

/* Tiles that are multiplied together where `left` are left. Small pictures have 4 or 16 each. */
static int64_t UC_ISA(winograd_rows_at)(int64_t left) {
    if (left >= TILE_ROWS) return TILE_ROWS;
    if (UC_ISA_LANES == 16 && left >= 8) return 8;
    return left >= 4 ? 4 : 1;
}

/* All tiles at hand by `run` channels of a panel of one place, and what follows those asked for meanwhile. */
static void UC_ISA(product_run)(const winograd *p, const float *v, const float *panel, int64_t run, bool first,
                                float *m, int64_t rows, int nv) {
    const int64_t width = nv ? nv * VL : VL / 2;
#define WINOGRAD_CALL(rows)                \
    (nv == 2 ? UC_ISA(winograd_##rows##_2) \
     : nv    ? UC_ISA(winograd_##rows##_1) \
             : UC_ISA(winograd_##rows##_0))(p, v + r * p->at.c, panel, run, first, m + r * p->wide)
    for (int64_t r = 0, step; r < rows; r += step) {
        step = UC_ISA(winograd_rows_at)(rows - r);
        switch (step) {
#if UC_ISA_LANES == 16
        case 12: WINOGRAD_CALL(12); break;
        case 8: WINOGRAD_CALL(8); break;
#else
        case 6: WINOGRAD_CALL(6); break;
#endif
        case 4: WINOGRAD_CALL(4); break;
        default: WINOGRAD_CALL(1); break;
        }
        UC_ISA(prefetch_part)(panel + run * width, run * width, r, r + step, rows);
    }
#undef WINOGRAD_CALL
}

/* All tiles at hand by one panel of one place; a run of the panel stays in the L1 cache for all of them, and the next
 * one, or the panel behind this one, comes into the L2 cache meanwhile. */
static void UC_ISA(product_panel)(const winograd *p, const float *v, const float *panel, float *m, int64_t rows,
                                  int nv) {
    const int64_t width = nv ? nv * VL : VL / 2;
    for (int64_t k = 0; k < p->at.c; k += SUM_RUN)
        UC_ISA(product_run)(p, v + k, panel + k * width, uc_min64(SUM_RUN, p->at.c - k), k == 0, m, rows, nv);
}

static void UC_ISA(transform_outputs)(const winograd *p, int64_t tile, int64_t row, int64_t first, int64_t end) {
    const float *m = p->m + row * p->wide;
    const int64_t place = p->span * p->wide;
    for (int64_t channel = first; channel < end; channel += VL, m += VL) {
        if (p->at.type == UC_F32) UC_ISA(outputs_to)(&p->at, UC_F32, tile, m, place, p->bias, channel, end);
        else UC_ISA(outputs_to)(&p->at, UC_BF16, tile, m, place, p->bias, channel, end);
    }
}

/* Weights of outputs first ... end, cut into pieces so that every thread has some. */
static void UC_ISA(weights_piece)(const winograd *p, int64_t piece, int64_t pieces, int64_t first, int64_t end) {
    const int64_t wide = 2 * VL;
    for (int64_t o = first; o < end; o += wide) {
        const int nv = uc_panel_vectors(p->at.o - o, VL, 3 * p->at.c);
        const int64_t size = uc_panel_floats(p->at.c, VL, nv), step = uc_round_up(uc_ceil_div(size, pieces), VL);
        const int64_t from = piece * step, until = uc_min64(from + step, size);
        UC_ISA(transform_weights)(p, o * 9 * p->at.c, size, p->u + (o - first) * p->at.c + from, p->at.c * p->wide,
                                  from, until);
    }
}

static void UC_ISA(products)(const winograd *p, int64_t task, int64_t rows, int64_t first, int64_t end) {
    const int64_t wide = 2 * VL, panels = uc_ceil_div(end - first, wide), k = task / panels;
    const int64_t o = first + task % panels * wide;
    const int nv = uc_panel_vectors(p->at.o - o, VL, 3 * p->at.c);
    UC_ISA(product_panel)(p, p->v + k * p->span * p->at.c, p->u + k * p->at.c * p->wide + (o - first) * p->at.c,
                          p->m + k * p->span * p->wide + o - first, rows, nv);
}

/* Threads share every one of the three parts. The inputs of the first outputs serve the others. */
static void UC_ISA(run_at_once)(const winograd *p, int64_t first, int64_t end) {
    const int64_t tasks = PLACES * uc_ceil_div(end - first, 2 * VL), fresh = first == 0 ? p->at.tiles : 0;
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < fresh; i++) UC_ISA(transform_inputs)(p, i, i);
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < tasks; i++) UC_ISA(products)(p, i, p->at.tiles, first, end);
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < p->at.tiles; i++) UC_ISA(transform_outputs)(p, i, i, first, end);
}

/* A panel of outputs, from `first` on, of `rows` tiles from `tile` on. */
static void UC_ISA(run_panel)(const winograd *p, int64_t tile, int64_t rows, int64_t first) {
    const int64_t c = p->at.c, end = uc_min64(first + 2 * VL, p->at.o);
    const int nv = uc_panel_vectors(p->at.o - first, VL, 3 * c);
    const int64_t width = nv ? nv * VL : VL / 2;
    for (int64_t k = 0; k < c; k += SUM_RUN) {
        const int64_t run = uc_min64(SUM_RUN, c - k);
        UC_ISA(transform_weights)(p, first * 9 * c, c * width, p->u, RUN_FLOATS, k * width, (k + run) * width);
        for (int64_t place = 0; place < PLACES; place++)
            UC_ISA(product_run)(p, p->v + place * p->span * c + k, p->u + place * RUN_FLOATS, run, k == 0,
                                p->m + place * p->span * p->wide, rows, nv);
    }
    for (int64_t i = 0; i < rows; i++) UC_ISA(transform_outputs)(p, tile + i, i, first, end);
}

static void UC_ISA(run_by_panel)(const winograd *p) {
    winograd own = *p;
    own.u += uc_thread() * p->own;
    own.m += uc_thread() * p->own;
    for (int64_t tile = 0; tile < p->at.tiles; tile += p->span) {
        const int64_t rows = uc_min64(p->span, p->at.tiles - tile);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < rows; i++) UC_ISA(transform_inputs)(p, tile + i, i);
        UC_OMP(for schedule(static))
        for (int64_t first = 0; first < p->at.o; first += 2 * VL) UC_ISA(run_panel)(&own, tile, rows, first);
    }
}

/* Each thread takes blocks of tiles through the three parts. */
static void UC_ISA(run_blocks)(const winograd *p, int64_t first, int64_t end) {
    const int64_t tasks = PLACES * uc_ceil_div(end - first, 2 * VL), blocks = uc_ceil_div(p->at.tiles, p->span);
    winograd own = *p;
    own.v += uc_thread() * p->own;
    own.m += uc_thread() * p->own;
    UC_OMP(for schedule(static))
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t tile = block * p->span, rows = uc_min64(p->span, p->at.tiles - tile);
        for (int64_t i = 0; i < rows; i++) UC_ISA(transform_inputs)(&own, tile + i, i);
        for (int64_t i = 0; i < tasks; i++) UC_ISA(products)(&own, i, rows, first, end);
        for (int64_t i = 0; i < rows; i++) UC_ISA(transform_outputs)(&own, tile + i, i, first, end);
    }
}

static void UC_ISA(winograd_run)(const uc_launch *l, const void *packed, bool in_blocks) {
    winograd p = winograd_of(l, in_blocks);
    const uc_view *bias = &l->in[UC_CONV_BIAS];
    p.packed = packed;
    memset(p.bias, 0, (size_t)(uc_round_up(p.at.o, WIDEST_LANES) + uc_round_up(p.at.c, WIDEST_LANES)) * sizeof *p.bias);
    if (bias->data) row_read(p.bias, bias->data, bias->dtype, p.at.o);
    const int threads = uc_threads_for(l, p.at.tiles * p.at.c * p.at.o);
    if (p.sharing == BY_PANEL) {
        UC_OMP(parallel num_threads(threads))
        UC_ISA(run_by_panel)(&p);
        return;
    }
    UC_OMP(parallel num_threads(threads))
    for (int64_t first = 0; first < p.at.o; first += p.outputs) {
        const int64_t end = uc_min64(first + p.outputs, p.at.o);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < 8 * threads; i++) UC_ISA(weights_piece)(&p, i, 8 * threads, first, end);
        if (p.sharing == AT_ONCE) UC_ISA(run_at_once)(&p, first, end);
        else UC_ISA(run_blocks)(&p, first, end);
    }
}

#ifdef UC_ISA_ONCE
void uc_cpu_winograd_for(uc_isa isa, bool in_blocks, const uc_launch *l, const void *packed) {
    typedef void (*runner)(const uc_launch *, const void *, bool);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(winograd_run);
    variants[isa](l, packed, in_blocks);
}

size_t uc_cpu_winograd_scratch_for(bool in_blocks, const uc_launch *l) {
    return (size_t)winograd_of(l, in_blocks).floats * sizeof(float);
}

void uc_cpu_winograd(const uc_launch *l, const void *packed) {
    if (uc_cpu_winograd_tiles_pays(l)) uc_cpu_winograd_tiles(false, l, packed);
    else uc_cpu_winograd_for(uc_cpu_isa(), false, l, packed);
}

size_t uc_cpu_winograd_scratch(const uc_launch *l) {
    return uc_cpu_winograd_tiles_pays(l) ? uc_cpu_winograd_tiles_scratch(false, l)
                                         : uc_cpu_winograd_scratch_for(false, l);
}

bool uc_cpu_winograd_can(const uc_launch *l) {
    const int64_t *w = l->in[UC_CONV_WEIGHT].shape.dim;
    const uc_dtype type = l->out[0].dtype;
    return l->kind == UC_OP_conv2d && w[2] == 3 && w[3] == 3 && l->attrs.conv2d.stride == 1 &&
           l->attrs.conv2d.pad == 1 && l->in[UC_CONV_X].layout == UC_NHWC && (type == UC_F32 || type == UC_BF16) &&
           l->in[UC_CONV_X].dtype == type &&
           (!l->in[UC_CONV_RESIDUAL].shape.rank || l->in[UC_CONV_RESIDUAL].dtype == type);
}

/* A run in bf16 has products in f32 all the same, unless the processor multiplies bf16 on tiles: its vectors do so at
 * twice the speed of f32 at most, and have four times as much to do.
 * Measured on AVX-512: against oneDNN's direct f32 convolution (64 channels and more) 1.3 to 2.3 times as fast, at 8 x
 * 8 twice with 960 channels and more; against conv2d.c 1.1 to 2 times from 16 channels and 10 outputs on. Products on
 * int8 tiles (gemm.h) keep 8 x 8, where they were not compared with this. */
bool uc_cpu_winograd_pays(const uc_launch *l, bool library) {
    if (!uc_cpu_winograd_can(l)) return false;
    if (l->out[0].dtype == UC_BF16 && uc_cpu_bf16_products() == UC_BF16_TILES) return false;
    const int64_t *x = l->in[UC_CONV_X].shape.dim, *w = l->in[UC_CONV_WEIGHT].shape.dim;
    const bool others_at_8 = library && (w[1] < 256 || uc_cpu_tiles_pay(l));
    return x[2] * x[3] >= (others_at_8 ? 256 : 64) && w[1] >= 16 && w[0] >= 10;
}
#endif

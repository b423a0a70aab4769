/* winograd_tiles.c - Winograd's convolution (winograd.c) with its products on the processor's int8 tiles, in f32's
 * precision.
 *
 * See digit_tiles.h for the products. Transformed inputs and weights lie as the tiles want them: inputs as rows of 64
 * channels for 16 picture tiles, weights as fours of channels for 16 outputs, each digit by itself. They are so large
 * that much of the time goes into bringing them from the L3 cache: hence the order [run][row of tiles][block][digit],
 * in which all is read as it lies, and the fetching ahead. */
#include "winograd.h"

#include "bf16.h"
#include "gemm.h"

#if UC_BF16_CODE

#define UC_ISA_NAME tiles
#define UC_ISA_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,amx-tile,amx-int8,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,amx-tile,amx-int8,avx2,fma,f16c,prefer-vector-width=512")
#endif
#include "simd.h"
#include "digit_tiles.h"
#include "winograd_transforms.h"

enum {
    TILE = 4, PLACES = WINOGRAD_PLACES(TILE),
    RUN = RUN_MOST * CHANNELS,   /* channels */
    X_BLOCK = DIGITS * REGISTER, /* bytes of a block of channels for ROWS tiles, [digit][row][channel] */
    PAD = 320,            /* bytes between places: those of a tile shall not fall into the same sets of the cache */
    TOGETHER = 16,        /* tiles that are transformed before they are split */
    AT_ONCE = 500000,     /* tiles x channels that are transformed at once where that is all of them */
    AT_ONCE_MOST = 256,   /* and no more tiles than this */
    MOST_OUTPUTS = 640,   /* at a time, inputs being transformed anew for each; half of them of MANY_CHANNELS */
    MANY_CHANNELS = 1281,
    BLOCK = 122880, BLOCK_LEAST = 32, BLOCK_MOST = 128 /* tiles x channels of a block otherwise; tiles */
};

static const row_steps steps = { REGISTER, X_BLOCK };

/* A thread's room for the places of TOGETHER tiles, and for sums: new ones and those before. */
enum { THREAD_PLACES = PLACES * TOGETHER * RUN, THREAD_FLOATS = THREAD_PLACES + 2 * LEVELS };

typedef struct split {
    winograd_picture at;
    const void *packed;
    uc_dtype type;                     /* of the packed weight */
    bool at_once;                      /* all tiles together, else in blocks that threads do by themselves */
    int64_t runs;                      /* of channels */
    int64_t span, outputs;             /* picture tiles and output channels at a time */
    int64_t u_place, v_place;          /* bytes from one place to the next */
    float *bias;                       /* [o], behind it the picture's zeros */
    float *u_scale;                    /* [36][outputs / PANEL][runs][PANEL] */
    uint8_t *u;                        /* [36][outputs / PANEL][runs][blocks of the run] of W_BLOCK */
    float *places;                     /* [36][TOGETHER][RUN]: one thread's, here the first's */
    int32_t *sums;                     /* [2][LEVELS], likewise */
    float *v_scale;                    /* [36][runs][span]; of blocks, a thread's, as are v and m */
    uint8_t *v;                        /* [36][runs][span / ROWS][blocks of the run] of X_BLOCK */
    float *m;                          /* [outputs / PANEL][span][36][PANEL] */
    int64_t block_bytes;               /* of the last three */
} split;

static split split_of(const uc_launch *l, bool in_blocks) {
    split p = { .at = winograd_picture_of(l, TILE), .type = l->in[UC_CONV_WEIGHT].dtype };
    const int64_t c = p.at.c, o = p.at.o, tiles = p.at.tiles;
    p.runs = uc_ceil_div(c, RUN);
    p.at_once = !in_blocks && tiles <= AT_ONCE_MOST && tiles * c <= AT_ONCE;
    p.outputs = uc_min64(o, c < MANY_CHANNELS ? MOST_OUTPUTS : MOST_OUTPUTS / 2);
    p.span = tiles;
    if (!p.at_once) { /* as many blocks for each thread */
        const int64_t block = uc_max64(uc_min64(BLOCK / uc_max64(c, p.outputs), BLOCK_MOST), BLOCK_LEAST);
        p.span = uc_ceil_div(tiles, uc_round_up(uc_ceil_div(tiles, block), l->threads));
    }
    p.span = uc_round_up(p.span, ROWS);
    p.u_place = p.outputs * c * DIGITS + PAD;
    p.v_place = p.span * c * DIGITS + PAD;
    const int64_t u_scales = PLACES * p.outputs * p.runs, v_scales = PLACES * p.runs * p.span;
    p.block_bytes = PLACES * p.v_place + (v_scales + PLACES * p.span * p.outputs) * (int64_t)sizeof(float);
    p.bias = l->scratch;
    float *zeros = p.bias + o;
    p.at.zeros = zeros;
    p.u_scale = zeros + c;
    p.u = (uint8_t *)(p.u_scale + u_scales);
    p.places = (float *)(void *)(p.u + PLACES * p.u_place);
    p.sums = (int32_t *)(void *)(p.places + THREAD_PLACES);
    p.v = (uint8_t *)(p.places + l->threads * THREAD_FLOATS);
    p.v_scale = (float *)(void *)(p.v + PLACES * p.v_place);
    p.m = p.v_scale + v_scales;
    return p;
}

size_t uc_cpu_winograd_tiles_scratch(bool in_blocks, const uc_launch *l) {
    const split p = split_of(l, in_blocks);
    const int64_t blocks = p.at_once ? 1 : l->threads;
    return (size_t)(p.v - (uint8_t *)p.bias) + (size_t)(blocks * p.block_bytes);
}

/* Blocks of channels in a run: all but the last have RUN_MOST. */
static int64_t blocks_of(const split *p, int64_t run) { return uc_min64(RUN, p->at.c - run * RUN) / CHANNELS; }

/* `count` tiles: a run of channels to 36 places in f32, then each place into digits. */
static void transform_inputs(const split *p, int64_t tile, int64_t row, int64_t count) {
    const byte_maps maps = row_maps();
    const char *at[TOGETHER][PLACES];
    for (int64_t i = 0; i < count; i++) patch_of_tiles(&p->at, TILE, tile + i, at[i]);
    for (int64_t run = 0; run < p->runs; run++) {
        const int64_t blocks = blocks_of(p, run);
        for (int64_t i = 0; i < count; i++)
            for (int64_t c = 0; c < blocks * CHANNELS; c += VL) {
                vf d[PLACES];
                inputs_of_tiles(TILE, at[i], UC_F32, p->at.c, run * RUN + c, VL, d);
                for (int k = 0; k < PLACES; k++) vf_store(p->places + (k * TOGETHER + i) * RUN + c, d[k]);
            }
        uint8_t *to = p->v + run * RUN * DIGITS * p->span + row / ROWS * blocks * X_BLOCK + row % ROWS * CHANNELS;
        float *scale = p->v_scale + run * p->span + row;
        for (int k = 0; k < PLACES; k++, to += p->v_place, scale += p->runs * p->span)
            for (int64_t i = 0; i < count; i++)
                scale[i] = split_run(p->places + (k * TOGETHER + i) * RUN, blocks, maps, to + i * CHANNELS, steps);
    }
}

/* A channel's weights for OUTPUTS outputs at the 36 places. */
UC_SIMD void weights_at(const split *p, int64_t at, vf places[PLACES]) {
    float number[VL];
    vf taps[9];
    for (int t = 0; t < 9; t++) taps[t] = vf_load(row_in(p->packed, p->type, at + t * p->at.c * PANEL, VL, number));
    places_of_tiles(TILE, taps, places);
}

/* A run of half a panel of the weights of outputs from `first` on: once for the scales, once for the digits. */
static void transform_weights(const split *p, int64_t first, int64_t task) {
    const int64_t half = task % 2, run = task / 2 % p->runs, panel = task / 2 / p->runs, blocks = blocks_of(p, run);
    const int64_t from = ((first / PANEL + panel) * 9 * p->at.c + run * RUN) * PANEL + half * OUTPUTS;
    const byte_maps maps = weight_maps();
    __m512i most[PLACES] = { 0 };
    vf inverse[PLACES], four[4][PLACES];
    for (int64_t c = 0; c < blocks * CHANNELS; c++) {
        weights_at(p, from + c * PANEL, four[0]);
        for (int k = 0; k < PLACES; k++) most[k] = larger(most[k], four[0][k]);
    }
    float *scale = p->u_scale + (panel * p->runs + run) * PANEL + half * OUTPUTS;
    for (int k = 0; k < PLACES; k++, scale += p->outputs * p->runs) {
        vf_store(scale, scale_of((vf)most[k]));
        inverse[k] = inverse_of((vf)most[k]);
    }
    uint8_t *to = p->u + (panel * p->at.c + run * RUN) * PANEL * DIGITS + half * REGISTER;
    for (int64_t c = 0; c < blocks * CHANNELS; c += 4) {
        for (int i = 0; i < 4; i++) weights_at(p, from + (c + i) * PANEL, four[i]);
        uint8_t *line = to + c / CHANNELS * W_BLOCK + c % CHANNELS * OUTPUTS;
        for (int k = 0; k < PLACES; k++, line += p->u_place) {
            const vf weights[4] = { four[0][k], four[1][k], four[2][k], four[3][k] };
            for (int digit = 0; digit < DIGITS; digit++) __builtin_prefetch(line + 2 * digit * REGISTER + 128, 1, 2);
            split_weights_of(weights, inverse[k], maps, line);
        }
    }
}

/* All tiles at hand by one of `panels` panels of one place; a run of the panel stays in the L1 cache for all. */
static void products(const split *p, int64_t place, int64_t panel, int64_t panels, int64_t rows) {
    const uint8_t *u = p->u + place * p->u_place + panel * p->at.c * PANEL * DIGITS;
    const uint8_t *v = p->v + place * p->v_place, *after = v + p->v_place;
    const float *u_scale = p->u_scale + (place * p->outputs / PANEL + panel) * p->runs * PANEL;
    const float *v_scale = p->v_scale + place * p->runs * p->span;
    float *m = p->m + (panel * p->span * PLACES + place) * PANEL;
    const int64_t groups = uc_ceil_div(rows, ROWS), share = uc_round_up(p->v_place / panels, 64);
    const char *inputs = (const char *)after + panel * share;
    ahead next[2] = { { 0 },
                      { inputs, place + 1 < PLACES ? inputs + share : NULL,
                        uc_ceil_div(share, 3 * p->at.c / CHANNELS * groups) } };
    pending before = { .row = ROWS };
    int64_t turn = 0;
    for (int64_t run = 0; run < p->runs; run++) {
        const int64_t blocks = blocks_of(p, run), size = blocks * W_BLOCK;
        next[0] = (ahead){ (const char *)u + size, (const char *)u + 2 * size,
                           uc_ceil_div(size, 3 * blocks * groups) };
        for (int64_t r = 0; r < rows; r += ROWS, turn++) {
            int32_t *sums = p->sums + turn % 2 * LEVELS;
            multiply(v + r / ROWS * blocks * X_BLOCK, steps, u, blocks, sums, &before, next, 2);
            before = (pending){ sums, v_scale + r, u_scale, m + r * PLACES * PANEL, PLACES * PANEL, run > 0, 0 };
        }
        u += size;
        u_scale += PANEL;
        v += p->span / ROWS * blocks * X_BLOCK;
        v_scale += p->span;
    }
    put_rows(&before, ROWS);
}

static void transform_outputs(const split *p, int64_t tile, int64_t row, int64_t first, int64_t end) {
    for (int64_t channel = first; channel < end; channel += VL) {
        const int64_t i = channel - first;
        const float *m = p->m + (i / PANEL * p->span + row) * PLACES * PANEL + i % PANEL;
        outputs_to_tiles(&p->at, TILE, UC_F32, tile, m, PANEL, p->bias, channel, end);
    }
}

/* Threads share every one of the three parts. The inputs of the first outputs serve the others. */
static void run_at_once(const split *p, int64_t first, int64_t end) {
    const int64_t panels = (end - first) / PANEL, fresh = first == 0 ? p->at.tiles : 0;
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < fresh; i += TOGETHER) transform_inputs(p, i, i, uc_min64(TOGETHER, fresh - i));
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < PLACES * panels; i++) products(p, i / panels, i % panels, panels, p->at.tiles);
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < p->at.tiles; i++) transform_outputs(p, i, i, first, end);
}

/* Each thread takes blocks of tiles through the three parts. */
static void run_blocks(const split *p, int64_t first, int64_t end) {
    const int64_t panels = (end - first) / PANEL, blocks = uc_ceil_div(p->at.tiles, p->span);
    UC_OMP(for schedule(static))
    for (int64_t block = 0; block < blocks; block++) {
        const int64_t tile = block * p->span, rows = uc_min64(p->span, p->at.tiles - tile);
        for (int64_t i = 0; i < rows; i += TOGETHER) transform_inputs(p, tile + i, i, uc_min64(TOGETHER, rows - i));
        for (int64_t i = 0; i < PLACES * panels; i++) products(p, i / panels, i % panels, panels, rows);
        for (int64_t i = 0; i < rows; i++) transform_outputs(p, tile + i, i, first, end);
    }
}

/* What one thread does; all of them come here. */
static void run_thread(split p) {
    p.places += uc_thread() * THREAD_FLOATS;
    p.sums += uc_thread() * THREAD_FLOATS;
    if (!p.at_once) {
        const int64_t own = uc_thread() * p.block_bytes;
        p.v += own;
        p.v_scale += own / (int64_t)sizeof(float);
        p.m += own / (int64_t)sizeof(float);
    }
    uc_cpu_tiles(true);
    for (int64_t first = 0; first < p.at.o; first += p.outputs) {
        const int64_t end = uc_min64(first + p.outputs, p.at.o);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < (end - first) / OUTPUTS * p.runs; i++) transform_weights(&p, first, i);
        if (p.at_once) run_at_once(&p, first, end);
        else run_blocks(&p, first, end);
    }
    uc_cpu_tiles(false);
}

void uc_cpu_winograd_tiles(bool in_blocks, const uc_launch *l, const void *packed) {
    split p = split_of(l, in_blocks);
    const uc_view *bias = &l->in[UC_CONV_BIAS];
    p.packed = packed;
    memset(p.bias, 0, (size_t)(p.at.o + p.at.c) * sizeof *p.bias);
    if (bias->data) row_read(p.bias, bias->data, bias->dtype, p.at.o);
    UC_OMP(parallel num_threads(uc_threads_for(l, p.at.tiles * p.at.c * p.at.o)))
    run_thread(p);
}

bool uc_cpu_winograd_tiles_can(const uc_launch *l) {
    const int64_t *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return uc_cpu_winograd_can(l) && l->out[0].dtype == UC_F32 && w[0] % PANEL == 0 && w[1] % CHANNELS == 0 &&
           uc_cpu_int8_tiles();
}

/* Measured on a Sapphire Rapids processor, one thread: 2.9 times as fast as winograd.c at 128 x 128 pixels and 320
 * channels, 1.5 times at 16 x 16 and 960, where weights are transformed for few tiles, and 1.3 times with 64 channels,
 * where most of the time goes into the transforms of pictures. */
bool uc_cpu_winograd_tiles_pays(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim, *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return uc_cpu_winograd_tiles_can(l) && x[2] * x[3] >= 256 && w[0] >= 64;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

bool uc_cpu_winograd_tiles_can(const uc_launch *l) { return (void)l, false; }
bool uc_cpu_winograd_tiles_pays(const uc_launch *l) { return (void)l, false; }
size_t uc_cpu_winograd_tiles_scratch(bool in_blocks, const uc_launch *l) { return (void)l, (void)in_blocks, 0; }
void uc_cpu_winograd_tiles(bool in_blocks, const uc_launch *l, const void *packed) {
    (void)l, (void)packed, (void)in_blocks;
}

#endif

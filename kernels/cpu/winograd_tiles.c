/* winograd_tiles.c - Winograd's convolution (winograd.c) with its products on the processor's bf16 tiles, in f32's
 * precision.
 *
 * See bf16_tiles.h for the products. Sums are taken over runs of channels, and runs are added by vectors: a result's
 * error is less than half of winograd.c's, 0.6e-6 of the results' root mean square.
 *
 * Transformed inputs and weights lie as the tiles want them: inputs as rows of 32 channels for 16 picture tiles,
 * weights as pairs of channels for 16 outputs, each part (high, middle, low) by itself. They are so large that much of
 * the time goes into bringing them from the L3 cache: hence the order [run][part], the places of a few tiles gathered
 * before they are split, and the fetching ahead (from 26 GB/s 1.7 TFLOP/s of bf16 without it and 2.2 with it, where 2.5
 * come from the L2 cache). */
#include "winograd.h"

#include "bf16.h"
#include "gemm.h"

#if UC_BF16_CODE

#define UC_ISA_NAME tiles
#define UC_ISA_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,avx2,fma,f16c,prefer-vector-width=512")
#endif
#include "simd.h"
#include "bf16_tiles.h"
#include "winograd_transforms.h"

enum {
    PAD = 80,             /* words between places: those of a tile shall not fall into the same sets of the cache */
    AT_ONCE = 500000,     /* tiles x channels that are transformed at once where that is all of them */
    AT_ONCE_MOST = 256,   /* and no more tiles than this */
    MOST_OUTPUTS = 640,   /* at a time, inputs being transformed anew for each; half of them of MANY_CHANNELS */
    MANY_CHANNELS = 1281,
    BLOCK = 122880, BLOCK_LEAST = 32, BLOCK_MOST = 192 /* tiles x channels of a block otherwise; tiles */
};

enum { THREAD_WORDS = 2 * ROWS * PANEL + PLACES * ROWS * CHANNELS };

typedef struct split {
    winograd_picture at;
    const void *packed;
    uc_dtype type;                     /* of the packed weight */
    bool at_once;                      /* all tiles together, else in blocks that threads do by themselves */
    int64_t blocks;                    /* of CHANNELS */
    int64_t span, outputs;             /* picture tiles and output channels at a time */
    int64_t u_place, v_place, m_place; /* words from one place to the next */
    float *bias;                       /* [o], behind it the picture's zeros */
    uint32_t *u;                       /* [36][outputs / PANEL][runs][PARTS][RUN][2] of registers */
    float *sums, *places;              /* [2 * ROWS][PANEL], [36][ROWS][CHANNELS]: one thread's, here the first's */
    uint32_t *v;                       /* [36][runs][span / ROWS][PARTS][RUN]; of blocks, a thread's, as is m */
    float *m;                          /* [36][outputs / PANEL][span][PANEL] */
    int64_t block_words;               /* of v and m */
} split;

static split split_of(const uc_launch *l, bool in_blocks) {
    split p = { .at = winograd_picture_of(l), .type = l->in[UC_CONV_WEIGHT].dtype };
    const int64_t c = p.at.c, o = p.at.o, tiles = p.at.tiles;
    p.blocks = c / CHANNELS;
    p.at_once = !in_blocks && tiles <= AT_ONCE_MOST && tiles * c <= AT_ONCE;
    p.outputs = uc_min64(o, c < MANY_CHANNELS ? MOST_OUTPUTS : MOST_OUTPUTS / 2);
    p.span = tiles;
    if (!p.at_once) { /* as many blocks for each thread */
        const int64_t block = uc_max64(uc_min64(BLOCK / uc_max64(c, p.outputs), BLOCK_MOST), BLOCK_LEAST);
        p.span = uc_ceil_div(tiles, uc_round_up(uc_ceil_div(tiles, block), l->threads));
    }
    p.span = uc_round_up(p.span, 2 * ROWS);
    p.u_place = p.outputs * c * PARTS / 2 + PAD;
    p.v_place = p.span * c * PARTS / 2 + PAD;
    p.m_place = p.span * p.outputs + PAD;
    p.block_words = PLACES * (p.v_place + p.m_place);
    p.bias = l->scratch;
    float *zeros = p.bias + o;
    p.at.zeros = zeros;
    p.u = (uint32_t *)(void *)(zeros + c);
    p.sums = (float *)(void *)(p.u + PLACES * p.u_place);
    p.places = p.sums + 2 * ROWS * PANEL;
    p.v = (uint32_t *)(void *)(p.sums + l->threads * THREAD_WORDS);
    p.m = (float *)(void *)(p.v + PLACES * p.v_place);
    return p;
}

size_t uc_cpu_winograd_tiles_scratch(bool in_blocks, const uc_launch *l) {
    const split p = split_of(l, in_blocks);
    return (size_t)(p.at.o + p.at.c + PLACES * p.u_place + l->threads * THREAD_WORDS +
                    (p.at_once ? 1 : l->threads) * p.block_words) * sizeof(float);
}

/* Blocks of channels in the run of `block`: all but the last have RUN. */
static int64_t run_of(const split *p, int64_t block) { return uc_min64(RUN, p->blocks - block / RUN * RUN); }

/* ROWS tiles of a block of channels: to 36 places in f32, then place by place into parts. A tile's numbers would go to
 * 108 pages at once otherwise. */
static void transform_inputs(const split *p, int64_t tile, int64_t row, int64_t count) {
    const float *at[ROWS][PLACES];
    for (int64_t i = 0; i < count; i++) patch_of_tiles(&p->at, tile + i, at[i]);
    for (int64_t block = 0; block < p->blocks; block++) {
        for (int64_t i = 0; i < count; i++)
            for (int64_t c = 0; c < CHANNELS; c += VL) {
                vf d[PLACES];
                inputs_of_tiles(at[i], block * CHANNELS + c, VL, d);
                for (int k = 0; k < PLACES; k++) vf_store(p->places + (k * ROWS + i) * CHANNELS + c, d[k]);
            }
        const int64_t run = run_of(p, block);
        uint32_t *to = p->v + (block / RUN * RUN * PARTS * p->span / ROWS + row / ROWS * PARTS * run + block % RUN) *
                                  WORDS;
        for (int k = 0; k < PLACES; k++, to += p->v_place)
            for (int64_t i = 0; i < count; i++) {
                const float *from = p->places + (k * ROWS + i) * CHANNELS;
                split_row(vf_load(from), vf_load(from + VL), to + i * CHANNELS / 2, run * WORDS);
            }
    }
}

/* Block number `task`, of panel after panel, of the weights of outputs from `first` on; likewise. */
static void transform_weights(const split *p, int64_t first, int64_t task) {
    const int64_t panel = task / p->blocks, block = task % p->blocks, run = run_of(p, block), tap = p->at.c * PANEL;
    uint32_t *to = p->u + ((panel * p->blocks + block / RUN * RUN) * PARTS + block % RUN) * 2 * WORDS;
    for (int64_t half = 0; half < 2; half++, to += WORDS) {
        for (int64_t c = 0; c < CHANNELS; c++) {
            const int64_t at = ((first / PANEL + panel) * 9 * p->at.c + block * CHANNELS + c) * PANEL + half * OUTPUTS;
            float number[VL];
            vf taps[9], full[PLACES];
            for (int t = 0; t < 9; t++) taps[t] = vf_load(row_in(p->packed, p->type, at + t * tap, VL, number));
            places_of_tiles(taps, full);
            for (int k = 0; k < PLACES; k++) vf_store(p->places + (k * CHANNELS + c) * OUTPUTS, full[k]);
        }
        for (int k = 0; k < PLACES; k++)
            for (int64_t pair = 0; pair < CHANNELS / 2; pair++) {
                const float *from = p->places + (k * CHANNELS + 2 * pair) * OUTPUTS;
                split_pair(vf_load(from), vf_load(from + OUTPUTS), to + k * p->u_place + pair * OUTPUTS,
                           run * 2 * WORDS, PARTS);
            }
    }
}

/* All tiles at hand by one of `panels` panels of one place; a run of the panel stays in the L1 cache for all. */
static void products(const split *p, int64_t place, int64_t panel, int64_t panels, int64_t rows) {
    const uint32_t *u = p->u + place * p->u_place + panel * p->blocks * PARTS * 2 * WORDS;
    const uint32_t *v = p->v + place * p->v_place, *after = v + p->v_place;
    float *m = p->m + place * p->m_place + panel * p->span * PANEL;
    const int64_t pairs = uc_ceil_div(rows, 2 * ROWS), share = uc_ceil_div(p->v_place, panels);
    const int64_t steps = 6 * p->blocks * pairs;
    const uint32_t *results = (const uint32_t *)(const void *)(m + p->span * PANEL);
    ahead next[3] = { { 0 },
                      { after + panel * share, place + 1 < PLACES ? after + (panel + 1) * share : NULL,
                        uc_ceil_div(share, steps) },
                      { results, results + rows * PANEL, uc_ceil_div(rows * PANEL, steps) } };
    for (int64_t block = 0; block < p->blocks; block += RUN) {
        const int64_t run = run_of(p, block), words = run * PARTS * 2 * WORDS;
        next[0] = (ahead){ u + words, u + 2 * words, uc_ceil_div(words, 6 * run * pairs) };
        for (int64_t r = 0; r < rows; r += 2 * ROWS) {
            const operand x = { v + r / ROWS * PARTS * run * WORDS, run * WORDS, WORDS, PARTS * run * WORDS, PARTS };
            const operand w = { u, run * 2 * WORDS, 2 * WORDS, WORDS, PARTS };
            float *to = m + r * PANEL;
            multiply(x, w, run, block ? p->sums : to, next, 3);
            for (int64_t i = 0; block && i < 2 * ROWS * PANEL; i += VL)
                vf_store(to + i, vf_load(to + i) + vf_load(p->sums + i));
        }
        u += words;
        v += p->span / ROWS * PARTS * run * WORDS;
    }
}

static void transform_outputs(const split *p, int64_t tile, int64_t row, int64_t first, int64_t end) {
    for (int64_t channel = first; channel < end; channel += VL) {
        const int64_t i = channel - first;
        outputs_to_tiles(&p->at, tile, p->m + (i / PANEL * p->span + row) * PANEL + i % PANEL, p->m_place, p->bias,
                         channel, end);
    }
}

/* Threads share every one of the three parts. The inputs of the first outputs serve the others. */
static void run_at_once(const split *p, int64_t first, int64_t end) {
    const int64_t panels = (end - first) / PANEL, fresh = first == 0 ? p->at.tiles : 0;
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < fresh; i += ROWS) transform_inputs(p, i, i, uc_min64(ROWS, fresh - i));
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
        for (int64_t i = 0; i < rows; i += ROWS) transform_inputs(p, tile + i, i, uc_min64(ROWS, rows - i));
        for (int64_t i = 0; i < PLACES * panels; i++) products(p, i / panels, i % panels, panels, rows);
        for (int64_t i = 0; i < rows; i++) transform_outputs(p, tile + i, i, first, end);
    }
}

/* What one thread does; all of them come here. */
static void run_thread(split p) {
    p.sums += uc_thread() * THREAD_WORDS;
    p.places += uc_thread() * THREAD_WORDS;
    if (!p.at_once) {
        p.v += uc_thread() * p.block_words;
        p.m += uc_thread() * p.block_words;
    }
    uc_cpu_tiles(true);
    for (int64_t first = 0; first < p.at.o; first += p.outputs) {
        const int64_t end = uc_min64(first + p.outputs, p.at.o);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < (end - first) / PANEL * p.blocks; i++) transform_weights(&p, first, i);
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
    return uc_cpu_winograd_can(l) && w[0] % PANEL == 0 && w[1] % CHANNELS == 0 &&
           uc_cpu_bf16_products() == UC_BF16_TILES;
}

/* Measured on a Sapphire Rapids processor: 1.1 to 1.4 times as fast from 64 x 64 pixels on. Slower
 * below, where weights are transformed for few tiles, and with fewer channels, where most of the time goes into the
 * transforms of pictures. */
bool uc_cpu_winograd_tiles_pays(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim, *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return uc_cpu_winograd_tiles_can(l) && x[2] * x[3] >= 4096 && w[1] >= 128 && w[0] >= 128;
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

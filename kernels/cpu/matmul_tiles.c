/* matmul_tiles.c - linear layers and convolutions of 1 x 1, and of 3 x 3 on small pictures, on the processor's bf16
 * tiles in f32's precision (bf16_tiles.h): of the decoder and the upsamplers, what winograd.c does not do.
 *
 * A wave of rows (pixels, tokens) is split into parts once, shared by all threads; then each thread takes groups of
 * output channels, splits their weights a run of channels at a time, for all rows of the wave, and adds the runs' sums.
 * A 3 x 3 convolution is nine such products whose rows begin elsewhere: a picture lies with a border of zeros, two
 * pixels wider than it is, so that 16 neighbours in memory are 16 rows for every tap; what falls between two lines of
 * the picture is computed and not used. A weight in f16 has two parts, exactly: five products instead of six. */
#include "gemm.h"

#include "bf16.h"

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

enum {
    WAVE_ROWS = 512,
    GROUP = 4, /* panels that a thread takes together */
    LINE_WORDS = CHANNELS / 2,
    PAD = 80 /* words between parts, which shall not fall into the same sets of the cache */
};

typedef struct tiled {
    const uc_launch *l;
    const void *packed;
    uc_dtype type;            /* of the packed weight */
    int64_t c, o, blocks;     /* channels, output channels, blocks of CHANNELS */
    int64_t side, taps;       /* of the filter: 1 or 3; its square */
    int64_t images, h, w;     /* a linear layer's rows are images of one pixel */
    int64_t grid, rows;       /* of an image: pixels with border; rows that are computed, pairs of registers */
    int64_t together;         /* images of a wave */
    int64_t x_part, x_block;  /* words between parts, between blocks */
    int parts;                /* of a weight */
    uint32_t *x;              /* [blocks][PARTS][together * grid and a rest][CHANNELS] */
    uint32_t *u;              /* of a thread, here the first: [RUN][parts][2] of registers */
    float *m, *sums;          /* of a thread: [GROUP][together * rows][PANEL]; [2 * ROWS][PANEL] */
} tiled;

static int64_t u_words(const tiled *p) { return RUN * p->parts * 2 * WORDS; }
static int64_t thread_words(const tiled *p) {
    return u_words(p) + GROUP * p->together * p->rows * PANEL + 2 * ROWS * PANEL;
}

static tiled tiled_of(const uc_launch *l) {
    const uc_view *x = &l->in[0], *w = &l->in[1];
    tiled p = { .l = l, .type = w->dtype, .c = w->shape.dim[1], .o = w->shape.dim[0], .side = 1, .h = 1, .w = 1 };
    p.images = uc_shape_count(x->shape) / p.c;
    if (l->kind == UC_OP_conv2d && w->shape.dim[2] == 3) {
        p.side = 3;
        p.images = x->shape.dim[0];
        p.h = x->shape.dim[2];
        p.w = x->shape.dim[3];
    }
    p.taps = p.side * p.side;
    p.blocks = p.c / CHANNELS;
    p.parts = p.type == UC_F32 ? PARTS : LOW;
    const int64_t border = p.side - 1;
    p.grid = (p.h + border) * (p.w + border);
    if (p.side == 1) { /* all rows are one picture's */
        p.together = 1;
        p.rows = uc_round_up(uc_min64(p.images, WAVE_ROWS), 2 * ROWS);
        p.grid = p.rows;
    } else {
        p.rows = uc_round_up(p.h * (p.w + border), 2 * ROWS);
        p.together = uc_min64(p.images, uc_max64(WAVE_ROWS / p.rows, 1));
    }
    const int64_t last = (p.together - 1) * p.grid + p.rows + border * (p.w + border) + border;
    p.x_part = uc_max64(last, p.together * p.grid) * LINE_WORDS + PAD;
    p.x_block = PARTS * p.x_part;
    p.x = l->scratch;
    p.u = p.x + p.blocks * p.x_block;
    p.m = (float *)(void *)(p.u + u_words(&p));
    p.sums = p.m + GROUP * p.together * p.rows * PANEL;
    return p;
}

size_t uc_cpu_tiles_scratch(const uc_launch *l) {
    const tiled p = tiled_of(l);
    return (size_t)(p.blocks * p.x_block + l->threads * thread_words(&p)) * sizeof(uint32_t);
}

/* A block of channels of the wave that begins with image (or row) `first`; `count` of them. */
static void split_inputs(const tiled *p, int64_t block, int64_t first, int64_t count) {
    uint32_t *to = p->x + block * p->x_block;
    const float *from = (const float *)p->l->in[0].data + block * CHANNELS;
    if (p->side > 1)
        for (int part = HIGH; part < PARTS; part++)
            memset(to + part * p->x_part, 0, (size_t)p->x_part * sizeof *to);
    const int64_t lines = p->side > 1 ? p->h : 1, line = p->side > 1 ? p->w : count, images = p->side > 1 ? count : 1;
    const int64_t border = p->side / 2, wide = line + 2 * border;
    for (int64_t i = 0; i < images * lines; i++) {
        const int64_t image = i / lines, y = i % lines;
        uint32_t *pixel = to + (image * p->grid + (y + border) * wide + border) * LINE_WORDS;
        const float *x = from + (first * lines + i) * line * p->c;
        if (p->side == 1) x = from + first * p->c;
        for (int64_t j = 0; j < line; j++, pixel += LINE_WORDS, x += p->c)
            split_row(vf_load(x), vf_load(x + VL), pixel, p->x_part);
    }
}

/* `count` blocks from number `block` on, of all taps' blocks, of the panel at output o. */
static void split_weights(const tiled *p, uint32_t *u, int64_t o, int64_t block, int64_t count) {
    const int64_t part = 2 * WORDS;
    float number[2 * PANEL];
    for (int64_t j = 0; j < count; j++, u += p->parts * part)
        for (int64_t pair = 0; pair < CHANNELS / 2; pair++) {
            const int64_t at = o * p->taps * p->c + ((block + j) * CHANNELS + 2 * pair) * PANEL;
            const float *w = row_in(p->packed, p->type, at, 2 * PANEL, number);
            for (int half = 0; half < 2; half++)
                split_pair(vf_load(w + half * VL), vf_load(w + PANEL + half * VL),
                           u + half * WORDS + pair * OUTPUTS, part, p->parts);
        }
}

/* A run of a panel for all rows of `images` images. */
static void run_of_panel(const tiled *p, const uint32_t *u, float *m, float *sums, int64_t block, int64_t count,
                         int64_t images) {
    const int64_t tap = block / p->blocks, wide = p->w + p->side - 1;
    const int64_t shift = tap / p->side * wide + tap % p->side;
    const operand w = { u, 2 * WORDS, p->parts * 2 * WORDS, WORDS, p->parts };
    for (int64_t i = 0; i < images; i++)
        for (int64_t r = 0; r < p->rows; r += 2 * ROWS, m += 2 * ROWS * PANEL) {
            const uint32_t *at = p->x + block % p->blocks * p->x_block + (i * p->grid + r + shift) * LINE_WORDS;
            const operand x = { at, p->x_part, p->x_block, WORDS, PARTS };
            multiply(x, w, count, block ? sums : m, NULL, 0);
            for (int64_t j = 0; block && j < 2 * ROWS * PANEL; j += VL)
                vf_store(m + j, vf_load(m + j) + vf_load(sums + j));
        }
}

/* One row's outputs of a panel: bias, activation, residual. */
static void finish_row(const tiled *p, const float *m, int64_t at, const float *bias, uc_act act) {
    const uc_view *residual = &p->l->in[UC_MATMUL_RESIDUAL], *y = &p->l->out[0];
    float row[PANEL], before[PANEL];
    for (int j = 0; j < PANEL; j += VL) vf_store(row + j, vf_act(vf_load(m + j) + vf_load(bias + j), act));
    if (residual->data) {
        const float *add = row_in(residual->data, residual->dtype, at, PANEL, before);
        for (int j = 0; j < PANEL; j += VL) vf_store(row + j, vf_load(row + j) + vf_load(add + j));
    }
    row_out(uc_at_mut(y->data, y->dtype, at), y->dtype, row, PANEL);
}

static void finish_panel(const tiled *p, const float *m, int64_t o, int64_t first, int64_t count) {
    const uc_view *given = &p->l->in[UC_MATMUL_BIAS];
    const uc_act act = p->l->kind == UC_OP_matmul ? p->l->attrs.matmul.act : UC_ACT_NONE;
    const int64_t images = p->side > 1 ? count : 1, pixels = p->side > 1 ? p->h * p->w : count, wide = p->w + 2;
    float bias[PANEL] = { 0 };
    if (given->data) row_read(bias, uc_at(given->data, given->dtype, o), given->dtype, PANEL);
    for (int64_t i = 0; i < images; i++, m += p->rows * PANEL)
        for (int64_t pixel = 0; pixel < pixels; pixel++) {
            const int64_t row = p->side > 1 ? pixel / p->w * wide + pixel % p->w : pixel;
            const int64_t at = p->side > 1 ? (first + i) * pixels + pixel : first + pixel;
            finish_row(p, m + row * PANEL, at * p->o + o, bias, act);
        }
}

/* Panels of outputs from `first_output` on, for the wave of `count` images (or rows) from `first` on. */
static void do_group(const tiled *p, int64_t first_output, int64_t first, int64_t count) {
    uint32_t *u = p->u + uc_thread() * thread_words(p);
    float *m = p->m + uc_thread() * thread_words(p), *sums = p->sums + uc_thread() * thread_words(p);
    const int64_t end = uc_min64(first_output + GROUP * PANEL, p->o), images = p->side > 1 ? count : 1;
    const int64_t panel = p->together * p->rows * PANEL;
    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t block = 0; block < p->blocks; block += RUN) {
            const int64_t run = uc_min64(RUN, p->blocks - block), at = tap * p->blocks + block;
            for (int64_t o = first_output; o < end; o += PANEL) {
                split_weights(p, u, o, at, run);
                run_of_panel(p, u, m + (o - first_output) / PANEL * panel, sums, at, run, images);
            }
        }
    for (int64_t o = first_output; o < end; o += PANEL)
        finish_panel(p, m + (o - first_output) / PANEL * panel, o, first, count);
}

/* What one thread does; all of them come here. */
static void run_thread(const tiled *p) {
    const int64_t wave = p->side > 1 ? p->together : p->rows, groups = uc_ceil_div(p->o, GROUP * PANEL);
    uc_cpu_tiles(true);
    for (int64_t first = 0; first < p->images; first += wave) {
        const int64_t count = uc_min64(wave, p->images - first);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < p->blocks; i++) split_inputs(p, i, first, count);
        UC_OMP(for schedule(static))
        for (int64_t i = 0; i < groups; i++) do_group(p, i * GROUP * PANEL, first, count);
    }
    uc_cpu_tiles(false);
}

void uc_cpu_tiles_packed(const uc_launch *l, const void *packed) {
    tiled p = tiled_of(l);
    p.packed = packed;
    UC_OMP(parallel num_threads(uc_threads_for(l, p.images * p.h * p.w * p.c * p.o)))
    run_thread(&p);
}

bool uc_cpu_tiles_can(const uc_launch *l) {
    const uc_shape *w = &l->in[1].shape;
    if (l->in[0].dtype != UC_F32 || uc_cpu_bf16_products() != UC_BF16_TILES) return false;
    if (w->dim[0] % PANEL || w->dim[1] % CHANNELS) return false;
    if (l->kind == UC_OP_matmul) return true;
    const int64_t side = w->dim[2];
    return l->kind == UC_OP_conv2d && l->in[0].layout == UC_NHWC && w->dim[3] == side && (side == 1 || side == 3) &&
           l->attrs.conv2d.stride == 1 && l->attrs.conv2d.pad == side / 2;
}

/* Measured on a Sapphire Rapids processor: linear layers 1.2 to 1.5 times as fast as matmul.c's, convolutions at 8 x 8
 * 1.4 to 2 times as fast as oneDNN's; at 16 x 16 winograd.c is as fast, and 1 x 1 on large pictures is bound by
 * memory. At 160 channels threads wait for each other longer than they save. */
bool uc_cpu_tiles_pay(const uc_launch *l) {
    if (!uc_cpu_tiles_can(l)) return false;
    const uc_shape *x = &l->in[0].shape, *w = &l->in[1].shape;
    if (w->dim[0] < 256 || w->dim[1] < 256) return false;
    if (l->kind == UC_OP_matmul) return x->rank == 3 && x->dim[1] >= 32;
    const int64_t pixels = x->dim[2] * x->dim[3];
    return pixels >= 32 && pixels <= (w->dim[2] == 1 ? 1024 : 128);
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

bool uc_cpu_tiles_can(const uc_launch *l) { return (void)l, false; }
bool uc_cpu_tiles_pay(const uc_launch *l) { return (void)l, false; }
size_t uc_cpu_tiles_scratch(const uc_launch *l) { return (void)l, 0; }
void uc_cpu_tiles_packed(const uc_launch *l, const void *packed) { (void)l, (void)packed; }

#endif

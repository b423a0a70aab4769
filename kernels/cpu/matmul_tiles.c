/* matmul_tiles.c - linear layers and convolutions of 1 x 1, and of 3 x 3 on small pictures, on the processor's int8
 * tiles in f32's precision (digit_tiles.h): of the decoder and the upsamplers, what winograd.c does not do.
 *
 * A wave of rows (pixels, tokens) is split into digits once, shared by all threads; then each thread takes groups of
 * output channels, splits their weights a run of channels at a time, for all rows of the wave, and adds the runs'
 * results. A 3 x 3 convolution is nine such products whose rows begin elsewhere: a picture lies with a border of zeros,
 * two pixels wider than it is, so that 16 neighbours in memory are 16 rows for every tap; what falls between two lines
 * of the picture is computed and not used. */
#include "gemm.h"

#include "bf16.h"

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

enum {
    WAVE_ROWS = 512,
    GROUP = 4,              /* panels that a thread takes together */
    PAD = 320,              /* bytes between digits, which shall not fall into the same sets of the cache */
};

/* A thread's room for a run of a panel's weights, their scales, and sums: new ones and those before. */
enum { U_BYTES = RUN_MOST * W_BLOCK, THREAD_BYTES = U_BYTES + (PANEL + 2 * LEVELS) * sizeof(float) };

typedef struct tiled {
    const uc_launch *l;
    const void *packed;
    uc_dtype type;            /* of the packed weight */
    int64_t c, o, blocks;     /* channels, output channels, blocks of CHANNELS */
    int64_t runs;             /* of RUN_MOST blocks */
    int64_t side, taps;       /* of the filter: 1 or 3; its square */
    int64_t images, h, w;     /* a linear layer's rows are images of one pixel */
    int64_t grid, rows;       /* of an image: pixels with border; rows that are computed, whole registers */
    int64_t together;         /* images of a wave */
    int64_t scales;           /* rows of a wave, with borders and a rest */
    row_steps steps;          /* of x */
    uint8_t *x;               /* [blocks][DIGITS][scales][CHANNELS] */
    float *x_scale;           /* [runs][scales] */
    uint8_t *u;               /* of a thread, here the first: [RUN_MOST] of W_BLOCK, and what follows it */
    float *m;                 /* of a thread: [GROUP][together * rows][PANEL] */
} tiled;

static int64_t m_floats(const tiled *p) { return GROUP * p->together * p->rows * PANEL; }

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
    p.runs = uc_ceil_div(p.blocks, RUN_MOST);
    const int64_t border = p.side - 1;
    p.grid = (p.h + border) * (p.w + border);
    if (p.side == 1) { /* all rows are one picture's */
        p.together = 1;
        p.rows = uc_round_up(uc_min64(p.images, WAVE_ROWS), ROWS);
        p.grid = p.rows;
    } else {
        p.rows = uc_round_up(p.h * (p.w + border), ROWS);
        p.together = uc_min64(p.images, uc_max64(WAVE_ROWS / p.rows, 1));
    }
    const int64_t last = (p.together - 1) * p.grid + p.rows + border * (p.w + border) + border;
    p.scales = uc_round_up(uc_max64(last, p.together * p.grid), ROWS);
    p.steps.digit = p.scales * CHANNELS + PAD;
    p.steps.block = DIGITS * p.steps.digit;
    p.x = l->scratch;
    p.x_scale = (float *)(void *)(p.x + p.blocks * p.steps.block);
    p.u = (uint8_t *)(p.x_scale + p.runs * p.scales);
    p.m = (float *)(void *)(p.u + l->threads * THREAD_BYTES);
    return p;
}

size_t uc_cpu_tiles_scratch(const uc_launch *l) {
    const tiled p = tiled_of(l);
    return (size_t)((const char *)p.m - (const char *)l->scratch) + (size_t)(l->threads * m_floats(&p)) * sizeof(float);
}

/* A run of channels of the wave that begins with image (or row) `first`; `count` of them. */
static void split_inputs(const tiled *p, int64_t run, int64_t first, int64_t count) {
    const byte_maps maps = row_maps();
    const int64_t block = run * RUN_MOST, blocks = uc_min64(RUN_MOST, p->blocks - block);
    uint8_t *to = p->x + block * p->steps.block;
    float *scale = p->x_scale + run * p->scales;
    const float *from = (const float *)p->l->in[0].data + block * CHANNELS;
    if (p->side > 1) {
        memset(to, 0, (size_t)(blocks * p->steps.block));
        memset(scale, 0, (size_t)p->scales * sizeof *scale);
    }
    const int64_t lines = p->side > 1 ? p->h : 1, line = p->side > 1 ? p->w : count, images = p->side > 1 ? count : 1;
    const int64_t border = p->side / 2, wide = line + 2 * border;
    for (int64_t i = 0; i < images * lines; i++) {
        const int64_t image = i / lines, y = i % lines;
        int64_t pixel = image * p->grid + (y + border) * wide + border;
        const float *x = from + (p->side > 1 ? (first * lines + i) * line : first) * p->c;
        for (int64_t j = 0; j < line; j++, pixel++, x += p->c)
            scale[pixel] = split_run(x, blocks, maps, to + pixel * CHANNELS, p->steps);
    }
}

/* `count` blocks from number `block` on, of all taps' blocks, of the panel at output o: once for the scales, once for
 * the digits. */
static void split_weights(const tiled *p, uint8_t *u, float *u_scale, int64_t o, int64_t block, int64_t count) {
    const byte_maps maps = weight_maps();
    const int64_t at = o * p->taps * p->c + block * CHANNELS * PANEL;
    float number[4 * PANEL];
    __m512i most[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() };
    for (int64_t c = 0; c < count * CHANNELS; c++) {
        const float *w = row_in(p->packed, p->type, at + c * PANEL, PANEL, number);
        for (int half = 0; half < 2; half++) most[half] = larger(most[half], vf_load(w + half * OUTPUTS));
    }
    for (int half = 0; half < 2; half++) vf_store(u_scale + half * OUTPUTS, scale_of((vf)most[half]));
    for (int64_t c = 0; c < count * CHANNELS; c += 4) {
        const float *w = row_in(p->packed, p->type, at + c * PANEL, 4 * PANEL, number);
        uint8_t *line = u + c / CHANNELS * W_BLOCK + c % CHANNELS * OUTPUTS;
        for (int half = 0; half < 2; half++, w += OUTPUTS) {
            const vf four[4] = { vf_load(w), vf_load(w + PANEL), vf_load(w + 2 * PANEL), vf_load(w + 3 * PANEL) };
            split_weights_of(four, inverse_of((vf)most[half]), maps, line + half * REGISTER);
        }
    }
}

/* A run of a panel for all rows of `images` images. */
static void run_of_panel(const tiled *p, const uint8_t *u, float *m, int64_t block, int64_t count, int64_t images) {
    const float *u_scale = (const float *)(const void *)(u + U_BYTES);
    int32_t *sums = (int32_t *)(void *)(u_scale + PANEL);
    const int64_t tap = block / p->blocks, wide = p->w + p->side - 1, first = block % p->blocks;
    const int64_t shift = tap / p->side * wide + tap % p->side;
    pending before = { .row = ROWS };
    int64_t turn = 0;
    for (int64_t i = 0; i < images; i++)
        for (int64_t r = 0; r < p->rows; r += ROWS, m += ROWS * PANEL, turn++) {
            const int64_t row = i * p->grid + r + shift;
            int32_t *now = sums + turn % 2 * LEVELS;
            multiply(p->x + first * p->steps.block + row * CHANNELS, p->steps, u, count, now, &before, NULL, 0);
            before = (pending){ now, p->x_scale + first / RUN_MOST * p->scales + row, u_scale, m, PANEL, block > 0, 0 };
        }
    put_rows(&before, ROWS);
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
    uint8_t *u = p->u + uc_thread() * THREAD_BYTES;
    float *u_scale = (float *)(void *)(u + U_BYTES), *m = p->m + uc_thread() * m_floats(p);
    const int64_t end = uc_min64(first_output + GROUP * PANEL, p->o), images = p->side > 1 ? count : 1;
    const int64_t panel = p->together * p->rows * PANEL;
    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t block = 0; block < p->blocks; block += RUN_MOST) {
            const int64_t run = uc_min64(RUN_MOST, p->blocks - block), at = tap * p->blocks + block;
            for (int64_t o = first_output; o < end; o += PANEL) {
                split_weights(p, u, u_scale, o, at, run);
                run_of_panel(p, u, m + (o - first_output) / PANEL * panel, at, run, images);
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
        for (int64_t i = 0; i < p->runs; i++) split_inputs(p, i, first, count);
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
    if (l->in[0].dtype != UC_F32 || !uc_cpu_int8_tiles()) return false;
    if (w->dim[0] % PANEL || w->dim[1] % CHANNELS) return false;
    if (l->kind == UC_OP_matmul) return true;
    const int64_t side = w->dim[2];
    return l->kind == UC_OP_conv2d && l->in[0].layout == UC_NHWC && w->dim[3] == side && (side == 1 || side == 3) &&
           l->attrs.conv2d.stride == 1 && l->attrs.conv2d.pad == side / 2;
}

/* Measured on a Sapphire Rapids processor: linear layers 1.8 to 2.2 times as fast as matmul.c's, convolutions at 8 x 8
 * 2 to 3 times as fast as oneDNN's; at 16 x 16 Winograd's is as fast, and 1 x 1 on large pictures is bound by memory.
 * At 160 channels threads wait for each other longer than they save. */
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

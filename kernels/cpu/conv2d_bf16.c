/* conv2d_bf16.c - 3 x 3 convolution of stride 1 and padding 1 on the processor's bf16 tiles, channels innermost: of a
 * run in bf16 most of the arithmetic of the decoder and the upsamplers.
 *
 * A task takes a band, some lines of a picture (or a few small pictures), and copies it block of 32 channels by block,
 * with a border of zeros: 16 neighbours of a line are then 16 rows of a register for each of the nine taps, 64 bytes
 * apart wherever they are. Two registers of pixels by two of outputs are multiplied through a run of blocks and all
 * their taps before the sums leave the registers; a run of weights stays in the L2 cache for the whole band, a run of
 * the band for a group of outputs. What follows the sums (bias, residual, rounding) is done a row at a time between the
 * next products, and its memory asked for a run ahead. A pixel's sums are taken in an order that depends on the number
 * of channels alone. */
#include "conv2d_bf16.h"

#include "bf16.h"

#if UC_BF16_CODE

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target( \
    "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,prefer-vector-width=512")
#endif

enum {
    ROWS = 16, CHANNELS = 32, OUTPUTS = 16, /* of a register: pixels by channels by outputs */
    PANEL = 2 * OUTPUTS,
    TAPS = 9,
    LINE = 64,                            /* bytes of a row of any register */
    REGISTER = ROWS * LINE,               /* its bytes */
    RUN_MOST = 10,                        /* blocks of CHANNELS */
    GROUP = 5,                            /* panels that share a run of the band */
    BAND = 512,                           /* pixels, about */
    SUMS = 2 * ROWS * PANEL,              /* of two registers by two */
    APART = 5 * LINE                      /* between blocks, which shall not fall into the same sets of the cache */
};

typedef struct conv {
    const uc_launch *l;
    const char *packed;
    int64_t c, o, h, w, blocks, panels;
    int64_t run;                  /* blocks of a run */
    int64_t lines, images, bands; /* lines of an image and images in a band; bands of all images */
    int64_t line_tiles;           /* registers that cover a line */
    int64_t pitch, block_bytes;   /* bytes from line to line, from block to block */
    float *bias;                  /* [o] */
    char *own;                    /* of a thread, here the first: the band, sums of GROUP panels, sums at hand */
    int64_t band_bytes, sums_bytes, own_bytes;
} conv;

static conv conv_of(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim;
    conv p = { .l = l, .c = x[1], .o = l->out[0].shape.dim[1], .h = x[2], .w = x[3] };
    p.blocks = p.c / CHANNELS;
    p.panels = p.o / PANEL;
    p.run = uc_ceil_div(p.blocks, uc_ceil_div(p.blocks, RUN_MOST));
    p.lines = uc_min64(p.h, uc_max64(BAND / p.w, 2));
    p.images = p.lines < p.h ? 1 : uc_min64(x[0], uc_max64(BAND / (p.h * p.w), 1));
    p.bands = p.lines < p.h ? x[0] * uc_ceil_div(p.h, p.lines) : uc_ceil_div(x[0], p.images);
    p.line_tiles = uc_ceil_div(p.w, ROWS);
    p.pitch = (p.w + 2) * LINE;
    /* behind the last line lies what its last register reads and nobody uses */
    p.block_bytes = p.images * (p.lines + 2) * p.pitch + REGISTER + APART;
    p.band_bytes = p.blocks * p.block_bytes;
    p.sums_bytes = uc_round_up(p.images * p.lines * p.line_tiles, 2) / 2 * SUMS * (int64_t)sizeof(float);
    p.own_bytes = p.band_bytes + GROUP * p.sums_bytes + 2 * SUMS * (int64_t)sizeof(float);
    p.bias = l->scratch;
    p.own = (char *)l->scratch + uc_round_up(p.o * (int64_t)sizeof(float), LINE);
    return p;
}

size_t uc_cpu_conv2d_bf16_scratch(const uc_launch *l) {
    const conv p = conv_of(l);
    return (size_t)(p.own - (char *)l->scratch + l->threads * p.own_bytes);
}

/* ---- weights: [panel][block][tap], two registers of 16 pairs of channels by 16 outputs each ---------------------- */

size_t uc_cpu_conv2d_bf16_packed_bytes(const uc_view *w) {
    return (size_t)(w->shape.dim[0] * w->shape.dim[1] * TAPS) * sizeof(uint16_t);
}

void uc_cpu_conv2d_bf16_pack(void *packed, const uc_view *weight, int threads) {
    const int64_t o = weight->shape.dim[0], c = weight->shape.dim[1], blocks = c / CHANNELS;
    (void)threads; /* without OpenMP */
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t output = 0; output < o; output++)
        for (int64_t block = 0; block < blocks; block++) {
            uint16_t filter[CHANNELS * TAPS];
            uc_convert(filter, UC_BF16, uc_at(weight->data, weight->dtype, (output * c + block * CHANNELS) * TAPS),
                       weight->dtype, CHANNELS * TAPS);
            uint16_t *to = (uint16_t *)packed +
                           ((output / PANEL * blocks + block) * TAPS * 2 + output % PANEL / OUTPUTS) * REGISTER / 2 +
                           output % OUTPUTS * 2;
            for (int64_t i = 0; i < CHANNELS; i++)
                for (int64_t tap = 0; tap < TAPS; tap++)
                    to[tap * REGISTER + i / 2 * PANEL + i % 2] = filter[i * TAPS + tap];
        }
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

/* Line `line` of the bordered band from the picture's line y of an image; zeros beyond the picture. */
static void copy_line(const conv *p, int64_t image, int64_t y, char *to) {
    const bool inside = y >= 0 && y < p->h;
    for (int64_t block = 0; block < p->blocks; block++) {
        char *line = to + block * p->block_bytes;
        memset(line, 0, (size_t)(inside ? LINE : p->pitch));
        memset(line + p->pitch - LINE, 0, LINE);
    }
    if (!inside) return;
    const uint16_t *from = (const uint16_t *)p->l->in[UC_CONV_X].data + (image * p->h + y) * p->w * p->c;
    for (int64_t x = 0; x < p->w; x++) {
        to += LINE;
        for (int64_t block = 0; block < p->blocks; block++, from += CHANNELS)
            _mm512_storeu_si512(to + block * p->block_bytes, _mm512_loadu_si512(from));
    }
}

/* A register's pixels: where they begin in the band and in a picture, and how many there are. */
typedef struct pixels { const char *at; int64_t first, count; } pixels;

/* Register number `tile` of a band of `lines` lines that begins at line y of an image; none has no pixels. */
static pixels pixels_of(const conv *p, const char *band, int64_t image, int64_t y, int64_t lines, int64_t tile) {
    const int64_t line = tile / p->line_tiles, x = tile % p->line_tiles * ROWS, within = line / lines;
    if (line >= lines * p->images) return (pixels){ band, 0, 0 };
    return (pixels){ band + (within * (lines + 2) + line % lines) * p->pitch + x * LINE,
                     ((image + within) * p->h + y + line % lines) * p->w + x, uc_min64(ROWS, p->w - x) };
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

/* What follows the sums of two registers by two: rows from `row` on of both are still to be done. */
typedef struct rest {
    const float *sums;
    const float *bias;
    const char *residual[2]; /* or NULL; of each register's first pixel */
    char *y[2];
    int64_t step, count[2]; /* bytes from pixel to pixel */
    int row;
} rest;

static inline __attribute__((always_inline)) __m512 from_bf16(__m256i bits) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

static inline __attribute__((always_inline)) void finish_row(rest *r) {
    const int half = r->row / ROWS, row = r->row % ROWS;
    r->row++;
    if (row >= r->count[half]) return;
    const float *sums = r->sums + half * ROWS * PANEL + row * OUTPUTS;
    __m512 low = _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_loadu_ps(r->bias));
    __m512 high = _mm512_add_ps(_mm512_loadu_ps(sums + ROWS * OUTPUTS), _mm512_loadu_ps(r->bias + OUTPUTS));
    if (r->residual[half]) {
        const __m512i add = _mm512_loadu_si512(r->residual[half] + row * r->step);
        low = _mm512_add_ps(low, from_bf16(_mm512_castsi512_si256(add)));
        high = _mm512_add_ps(high, from_bf16(_mm512_extracti64x4_epi64(add, 1)));
    }
    _mm512_storeu_si512(r->y[half] + row * r->step, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* Brings what a row will need into the L2 cache. */
static inline __attribute__((always_inline)) void fetch_row(const rest *r, int row) {
    const int half = row / ROWS;
    const int64_t at = row % ROWS * r->step;
    if (row % ROWS >= r->count[half]) return;
    __builtin_prefetch(r->y[half] + at, 1, 2);
    if (r->residual[half]) __builtin_prefetch(r->residual[half] + at, 0, 2);
}

/* Two registers of pixels through `run` blocks of weights, added to `before` unless that is NULL. Meanwhile rows of
 * `last` are finished and, when these are the last products of their sums, those of `next` are brought near. */
static void multiply(const conv *p, const char *x0, const char *x1, const char *w, int64_t run, const float *before,
                     float *to, rest *last, const rest *next) {
    enum { HALF = ROWS * OUTPUTS };
    int row = next ? 0 : 2 * ROWS;
    __asm__ volatile("" ::: "memory"); /* a register's load says nothing to the compiler of the memory that it reads */
    if (before) {
        _tile_loadd(0, before, LINE);
        _tile_loadd(1, before + HALF, LINE);
        _tile_loadd(2, before + 2 * HALF, LINE);
        _tile_loadd(3, before + 3 * HALF, LINE);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t block = 0; block < run; block++, x0 += p->block_bytes, x1 += p->block_bytes)
        for (int64_t y = 0; y < 3; y++)
            for (int64_t x = 0; x < 3; x++, w += 2 * REGISTER) {
                if (row < 2 * ROWS) fetch_row(next, row++);
                if (last->row < 2 * ROWS) finish_row(last);
                _tile_loadd(4, x0 + y * p->pitch + x * LINE, LINE);
                _tile_loadd(6, w, LINE);
                _tile_loadd(7, w + REGISTER, LINE);
                _tile_loadd(5, x1 + y * p->pitch + x * LINE, LINE);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
    _tile_stored(0, to, LINE);
    _tile_stored(1, to + HALF, LINE);
    _tile_stored(2, to + 2 * HALF, LINE);
    _tile_stored(3, to + 3 * HALF, LINE);
    __asm__ volatile("" ::: "memory");
}

static rest rest_of(const conv *p, const float *sums, int64_t panel, const pixels at[2]) {
    const uc_view *residual = &p->l->in[UC_CONV_RESIDUAL];
    rest r = { .sums = sums, .bias = p->bias + panel * PANEL, .step = p->o * 2 };
    for (int half = 0; half < 2; half++) {
        const int64_t first = (at[half].first * p->o + panel * PANEL) * 2;
        r.y[half] = (char *)p->l->out[0].data + first;
        r.residual[half] = residual->data ? (const char *)residual->data + first : NULL;
        r.count[half] = at[half].count;
    }
    return r;
}

static void finish(rest *r) {
    while (r->row < 2 * ROWS) finish_row(r);
}

/* Panels first ... end, at most GROUP, of the band that begins at line y of an image. */
static void do_group(const conv *p, char *band, int64_t image, int64_t y, int64_t lines, int64_t first, int64_t end) {
    float *sums = (float *)(void *)(band + p->band_bytes), *at_hand = sums + GROUP * p->sums_bytes / 4;
    const int64_t tiles = p->images * lines * p->line_tiles;
    rest last = { .row = 2 * ROWS };
    for (int64_t block = 0; block < p->blocks; block += p->run) {
        const int64_t run = uc_min64(p->run, p->blocks - block);
        const bool whole = block + run == p->blocks;
        for (int64_t panel = first; panel < end; panel++) {
            const char *w = p->packed + (panel * p->blocks + block) * TAPS * 2 * REGISTER;
            float *kept = sums + (panel - first) * p->sums_bytes / 4;
            for (int64_t tile = 0; tile < tiles; tile += 2, kept += SUMS) {
                const pixels at[2] = { pixels_of(p, band, image, y, lines, tile),
                                       pixels_of(p, band, image, y, lines, tile + 1) };
                float *to = whole ? at_hand + tile / 2 % 2 * SUMS : kept;
                rest next = { .row = 2 * ROWS };
                if (whole) next = rest_of(p, to, panel, at);
                multiply(p, at[0].at + block * p->block_bytes, at[1].at + block * p->block_bytes, w, run,
                         block ? kept : NULL, to, &last, whole ? &next : NULL);
                finish(&last);
                if (whole) last = next;
            }
            finish(&last);
        }
    }
}

/* A band, and of its outputs part number `part` of `parts`. */
static void do_band(const conv *p, int64_t band, int64_t part, int64_t parts) {
    const int64_t per_image = uc_ceil_div(p->h, p->lines), image = p->lines < p->h ? band / per_image : band * p->images;
    const int64_t y = p->lines < p->h ? band % per_image * p->lines : 0, lines = uc_min64(p->lines, p->h - y);
    const int64_t end = p->panels * (part + 1) / parts;
    conv own = *p;
    own.images = uc_min64(p->images, p->l->in[UC_CONV_X].shape.dim[0] - image);
    char *copy = p->own + uc_thread() * p->own_bytes;
    for (int64_t i = 0; i < own.images; i++)
        for (int64_t line = 0; line < lines + 2; line++)
            copy_line(p, image + i, y + line - 1, copy + (i * (lines + 2) + line) * p->pitch);
    for (int64_t panel = p->panels * part / parts; panel < end; panel += GROUP)
        do_group(&own, copy, image, y, lines, panel, uc_min64(panel + GROUP, end));
}

/* Bands are cut by outputs where there are too few of them for all threads. */
static int64_t parts_of(const conv *p, int64_t threads) {
    int64_t parts = 1;
    while (p->bands * parts < 8 * threads && p->bands * parts % threads && parts < p->panels) parts++;
    return parts;
}

void uc_cpu_conv2d_bf16(const uc_launch *l, const void *packed) {
    conv p = conv_of(l);
    const uc_view *bias = &l->in[UC_CONV_BIAS];
    p.packed = packed;
    memset(p.bias, 0, (size_t)p.o * sizeof *p.bias);
    if (bias->data) uc_convert(p.bias, UC_F32, bias->data, bias->dtype, p.o);
    const int threads = uc_threads_for(l, p.bands * p.lines * p.w * p.c * p.o);
    const int64_t parts = parts_of(&p, threads);
    UC_OMP(parallel num_threads(threads))
    {
        uc_cpu_tiles(true);
        UC_OMP(for schedule(static))
        for (int64_t task = 0; task < p.bands * parts; task++) do_band(&p, task / parts, task % parts, parts);
        uc_cpu_tiles(false);
    }
}

bool uc_cpu_conv2d_bf16_can(const uc_launch *l) {
    if (l->kind != UC_OP_conv2d || uc_cpu_bf16_products() != UC_BF16_TILES) return false;
    const int64_t *w = l->in[UC_CONV_WEIGHT].shape.dim;
    const uc_view *residual = &l->in[UC_CONV_RESIDUAL];
    return w[2] == 3 && w[3] == 3 && l->attrs.conv2d.stride == 1 && l->attrs.conv2d.pad == 1 &&
           l->in[UC_CONV_X].layout == UC_NHWC && l->in[UC_CONV_X].dtype == UC_BF16 && l->out[0].dtype == UC_BF16 &&
           (!residual->shape.rank || residual->dtype == UC_BF16) && w[0] % PANEL == 0 && w[1] % CHANNELS == 0;
}

/* Measured on an Emerald Rapids processor in turns with oneDNN: 1.1 to 2.4 times as fast, most where weights are many;
 * with fewer channels no faster, and slower on small pictures. */
bool uc_cpu_conv2d_bf16_pays(const uc_launch *l) {
    return uc_cpu_conv2d_bf16_can(l) && l->in[UC_CONV_WEIGHT].shape.dim[1] >= 256;
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#else

bool uc_cpu_conv2d_bf16_can(const uc_launch *l) { return (void)l, false; }
bool uc_cpu_conv2d_bf16_pays(const uc_launch *l) { return (void)l, false; }
size_t uc_cpu_conv2d_bf16_packed_bytes(const uc_view *w) { return (void)w, 0; }
void uc_cpu_conv2d_bf16_pack(void *packed, const uc_view *w, int threads) { (void)packed, (void)w, (void)threads; }
size_t uc_cpu_conv2d_bf16_scratch(const uc_launch *l) { return (void)l, 0; }
void uc_cpu_conv2d_bf16(const uc_launch *l, const void *packed) { (void)l, (void)packed; }

#endif

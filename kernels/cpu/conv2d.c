/* conv2d.c - 2-D convolution with bias and residual, channels innermost: nearly all the arithmetic of the decoder
 * and the upsamplers, where no library does it.
 *
 * A task is a band of output rows by a group of panels of output channels (see gemm.h). The band's input rows are
 * copied into a buffer as f32 with their padding, if they need either; then the inputs under one row of the filter
 * are contiguous in memory, and a tile of neighbouring output pixels is a matrix product whose rows lie stride *
 * channels apart (tile.h). */
#include "gemm.h"

#define UC_FILE "conv2d.c"
#include "foreach_isa.h"
#include "simd.h"
#include "tile.h"

#ifndef UC_CONV_SHAPES
#define UC_CONV_SHAPES
enum { BAND_FLOATS = 65536, CONV_PANEL_GROUP = 4, WIDEST = 32 /* lanes of any panel */ };

typedef struct conv {
    const uc_launch *l;
    const void *packed;
    const float *bias; /* f32, zeros where there is none, up to a whole vector */
    bool plain_f32;    /* result and residual */
    bool in_place;     /* the input needs neither padding nor conversion */
    int64_t batch, c, h, w, o, oh, ow, kh, kw, stride, pad;
    int64_t row;       /* floats of a padded input row */
    int64_t band;      /* output rows of a task */
    int64_t band_rows; /* its input rows */
} conv;

#endif

/* Sizes; the same function for every instruction set. */
static inline conv UC_ISA(conv_of)(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim, *k = l->in[UC_CONV_WEIGHT].shape.dim, *y = l->out[0].shape.dim;
    conv p = { .l = l,
               .batch = x[0],
               .c = x[1],
               .h = x[2],
               .w = x[3],
               .o = y[1],
               .oh = y[2],
               .ow = y[3],
               .kh = k[2],
               .kw = k[3],
               .stride = l->attrs.conv2d.stride,
               .pad = l->attrs.conv2d.pad };
    p.row = (p.w + 2 * p.pad) * p.c;
    const int64_t fits = BAND_FLOATS / p.row;
    p.band = fits > p.kh ? (fits - p.kh) / p.stride + 1 : 1;
    p.band = uc_min64(p.band, p.oh);
    p.band_rows = (p.band - 1) * p.stride + p.kh;
    p.in_place = p.pad == 0 && l->in[UC_CONV_X].dtype == UC_F32;
    return p;
}

/* Input rows first ... first + band_rows, with zeros where the picture ends. */
static void UC_ISA(fill_band)(const conv *p, int64_t n, int64_t first, float *band) {
    const uc_view *x = &p->l->in[UC_CONV_X];
    const int64_t edge = p->pad * p->c, inner = p->w * p->c;
    for (int64_t r = 0; r < p->band_rows; r++, band += p->row) {
        const int64_t y = first + r;
        if (y < 0 || y >= p->h) {
            memset(band, 0, (size_t)p->row * sizeof *band);
            continue;
        }
        memset(band, 0, (size_t)edge * sizeof *band);
        memset(band + edge + inner, 0, (size_t)edge * sizeof *band);
        row_read(band + edge, (const char *)x->data + (size_t)((n * p->h + y) * inner) * uc_dtype_size(x->dtype),
                 x->dtype, inner);
    }
}

/* Results of `rows` pixels of one panel, where nothing needs conversion; at is the first one's element (its channel
 * 0). */
UC_SIMD void UC_ISA(finish_f32)(const conv *p, const vf *acc, const int rows, const int vectors, int64_t at,
                                int64_t channel, const vf *bias) {
    const float *residual = p->l->in[UC_CONV_RESIDUAL].data;
    float *y = p->l->out[0].data;
    for (int v = 0; v < vectors; v++) {
        const int64_t n = p->o - channel - v * VL, first = at + channel + v * VL;
        for (int r = 0; r < rows; r++) {
            const int64_t to = first + r * p->o;
            vf value = acc[r * vectors + v] + bias[v];
            if (residual) value += n >= VL ? vf_load(residual + to) : vf_load_part(residual + to, n);
            if (n >= VL) vf_store(y + to, value);
            else vf_store_part(y + to, value, n);
        }
    }
}

static void UC_ISA(finish_any)(const conv *p, const vf *acc, int rows, int vectors, int64_t at, int64_t channel,
                               const vf *bias) {
    const uc_view *residual = &p->l->in[UC_CONV_RESIDUAL], *y = &p->l->out[0];
    const int64_t width = uc_min64(vectors * VL, p->o - channel);
    float row[2 * VL], before[2 * VL];
    for (int r = 0; r < rows; r++, at += p->o) {
        for (int v = 0; v < vectors; v++) vf_store(row + v * VL, acc[r * vectors + v] + bias[v]);
        if (residual->data) {
            const float *add = row_in(residual->data, residual->dtype, at + channel, width, before);
            for (int64_t i = 0; i < width; i++) row[i] += add[i];
        }
        row_out(uc_at_mut(y->data, y->dtype, at + channel), y->dtype, row, width);
    }
}

UC_SIMD void UC_ISA(conv_tile)(const conv *p, const float *x, const float *panel, const int rows, const int nv,
                               int64_t at, int64_t channel) {
    enum { MOST = TILE_ROWS * 2 };
    const int vectors = TILE_VECTORS(nv);
    vf acc[MOST], bias[2];
    for (int i = 0; i < rows * vectors; i++) acc[i] = vf_set(0);
    const int64_t k = p->kw * p->c, floats = nv ? k * nv * VL : k * VL / 2;
    for (int64_t y = 0; y < p->kh; y++)
        tile_fma(acc, rows, nv, x + y * p->row, p->stride * p->c, k, panel + y * floats);
    tile_fold(acc, rows, nv);
    for (int v = 0; v < vectors; v++) bias[v] = vf_load(p->bias + channel + v * VL);
    if (p->plain_f32) UC_ISA(finish_f32)(p, acc, rows, vectors, at, channel, bias);
    else UC_ISA(finish_any)(p, acc, rows, vectors, at, channel, bias);
}

#define CONV_TILE(rows, nv)                                                               \
    __attribute__((noinline)) static void UC_ISA(conv_##rows##_##nv)(                     \
        const conv *p, const float *x, const float *panel, int64_t at, int64_t channel) { \
        UC_ISA(conv_tile)(p, x, panel, rows, nv, at, channel);                            \
    }
#define CONV_TILES(rows) CONV_TILE(rows, 0) CONV_TILE(rows, 1) CONV_TILE(rows, 2)
#if UC_ISA_LANES == 16
CONV_TILES(12)
#endif
CONV_TILES(6)
CONV_TILES(3)
CONV_TILES(1)
#undef CONV_TILES
#undef CONV_TILE

/* One output row of one panel; x is the band's row under the filter's first. */
static void UC_ISA(conv_row)(const conv *p, const float *x, const float *panel, int64_t at, int64_t channel) {
    const int nv = uc_panel_vectors(p->o - channel, VL, p->kw * p->c);
#define CONV_CALL(rows)                \
    (nv == 2 ? UC_ISA(conv_##rows##_2) \
     : nv    ? UC_ISA(conv_##rows##_1) \
             : UC_ISA(conv_##rows##_0))(p, from, panel, to, channel)
    for (int64_t i = 0, step; i < p->ow; i += step) {
        step = tile_rows_at(p->ow - i);
        const float *from = x + i * p->stride * p->c;
        const int64_t to = at + i * p->o;
        switch (step) {
#if UC_ISA_LANES == 16
        case 12: CONV_CALL(12); break;
#endif
        case 6: CONV_CALL(6); break;
        case 3: CONV_CALL(3); break;
        default: CONV_CALL(1); break;
        }
    }
#undef CONV_CALL
}

static void UC_ISA(conv2d_run)(const uc_launch *l, const void *packed, float *tmp) {
    conv p = UC_ISA(conv_of)(l);
    const uc_view *given = &l->in[UC_CONV_BIAS], *residual = &l->in[UC_CONV_RESIDUAL];
    const int64_t wide = uc_round_up(p.o, WIDEST);
    float *bias = tmp;
    memset(bias, 0, (size_t)wide * sizeof *bias);
    if (given->data) row_read(bias, given->data, given->dtype, p.o);
    tmp += wide;
    p.packed = packed;
    p.bias = bias;
    p.plain_f32 = l->out[0].dtype == UC_F32 && (!residual->data || residual->dtype == UC_F32);
    const int64_t k = p.kh * p.kw * p.c, room = (int64_t)uc_cpu_panel_floats(&l->in[UC_CONV_WEIGHT]);
    const int64_t bands = uc_ceil_div(p.oh, p.band), group = CONV_PANEL_GROUP * 2 * VL;
    const int64_t groups = uc_ceil_div(p.o, group);
    UC_OMP(parallel for num_threads(uc_threads_for(l, p.batch * p.oh * p.ow * p.o * p.c)) schedule(static))
    for (int64_t task = 0; task < p.batch * bands * groups; task++) {
        const int64_t n = task / (bands * groups), first = task / groups % bands * p.band;
        const int64_t begin = task % groups * group, end = uc_min64(begin + group, p.o);
        const int64_t last = uc_min64(first + p.band, p.oh);
        float *own = tmp + uc_thread() * (room + (p.in_place ? 0 : p.band_rows * p.row)), *copy = own + room;
        const float *band = copy;
        if (p.in_place) band = (const float *)l->in[UC_CONV_X].data + (n * p.h + first * p.stride) * p.row;
        else UC_ISA(fill_band)(&p, n, first * p.stride - p.pad, copy);
        for (int64_t channel = begin; channel < end; channel += 2 * VL) {
            const int nv = uc_panel_vectors(p.o - channel, VL, p.kw * p.c);
            const int64_t floats = uc_panel_floats(k, VL, nv);
            const float *panel = row_in(packed, l->in[UC_CONV_WEIGHT].dtype, channel * k, floats, own);
            for (int64_t y = first; y < last; y++) {
                const float *x = band + (y - first) * p.stride * p.row;
                UC_ISA(conv_row)(&p, x, panel, (n * p.oh + y) * p.ow * p.o, channel);
            }
        }
    }
}

static void UC_ISA(conv2d)(const uc_launch *l) {
    const uc_view *weight = &l->in[UC_CONV_WEIGHT];
    void *packed = l->scratch;
    uc_cpu_pack_for(UC_ISA_LANES == 16  ? UC_ISA_AVX512
                    : UC_ISA_LANES == 8 ? UC_ISA_AVX2
                                        : UC_ISA_BASE,
                    packed, weight, l->threads);
    UC_ISA(conv2d_run)(l, packed, (float *)packed + uc_cpu_packed_bytes(weight) / sizeof(float));
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(conv2d, conv2d)

void uc_cpu_conv2d_packed(const uc_launch *l, const void *packed) {
    typedef void (*runner)(const uc_launch *, const void *, float *);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(conv2d_run);
    if (uc_cpu_tiles_pay(l)) uc_cpu_tiles_packed(l, packed);
    else variants[uc_cpu_isa()](l, packed, l->scratch);
}

static size_t plain_scratch(const uc_launch *l) {
    const conv p = UC_ISA(conv_of)(l);
    const int64_t panel = (int64_t)uc_cpu_panel_floats(&l->in[UC_CONV_WEIGHT]);
    const int64_t own = panel + (p.in_place ? 0 : p.band_rows * p.row);
    return (size_t)(uc_round_up(p.o, WIDEST) + l->threads * own) * sizeof(float);
}

size_t uc_cpu_conv2d_packed_scratch(const uc_launch *l) {
    return uc_cpu_tiles_pay(l) ? uc_cpu_tiles_scratch(l) : plain_scratch(l);
}

size_t uc_cpu_conv2d_scratch(const uc_launch *l) {
    return uc_cpu_packed_bytes(&l->in[UC_CONV_WEIGHT]) + plain_scratch(l);
}
#endif

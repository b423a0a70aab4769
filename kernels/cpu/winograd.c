/* winograd.c - 3 x 3 convolution of stride 1 and padding 1 by Winograd's minimal filtering F(4 x 4, 3 x 3) and, for
 * large pictures, F(6 x 6, 3 x 3), channels innermost: the decoder's and the upsamplers' dearest operation in f32.
 *
 *   Y = A^T [ (G g G^T) * (B^T d B) ] A          Lavin and Gray, "Fast algorithms for convolutional neural networks"
 *
 * for each tile of 4 x 4 outputs from 6 x 6 inputs: 36 multiplications where the direct form has 144; of 6 x 6 from 8 x
 * 8: 64 for 324. Summed over input channels that is a matrix product for each of these places, [tiles, channels] by
 * [channels, outputs].
 *
 * The polynomial's points decide how roundings grow. For F(4 x 4) they are 0, +-5/8, +-3/2 and infinity, which give
 * less than half of the error of the textbook's 0, +-1, +-2; for F(6 x 6) the textbook's 0, +-1/2, +-1, +-2 are the
 * best. Sums over channels are taken in short runs. A result's error is then at most 1.4e-6 of the results' root mean
 * square with F(4 x 4), 5.3e-6 with F(6 x 6) (1e-5 at a tile's corners), where conv2d.c's one long sum has 0.9e-6 at
 * 320 channels and 2.6e-6 at 2560.
 *
 * Transformed weights take four times their memory, seven times with 6 x 6, inputs and sums about twice theirs. So
 * threads transform weights together, for some outputs and, of many channels, for a run of them; then each multiplies
 * them by some tiles of its own, whose sums stay at hand until the last run is done. Where tiles are few, weights are
 * nearly all that there is: then a thread takes a panel of them at a time, which stays in its L2 cache until it is
 * used. A packed weight (gemm.h) holds, for each panel and each of the 9 taps, a run of numbers whose order does not
 * matter here: what is done to them is done to each alone, and the results at the places are panels of the same
 * order. */
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
    WIDEST_LANES = 32,    /* lanes of any panel */
    SUM_RUN = 256,        /* channels whose products are summed before they are added to those before; */
    LARGE_SUM_RUN = 128,  /* of tiles of 6 x 6, which magnify roundings four times as much */
    WHOLE = 1024,         /* up to so many channels go through together, */
    DEPTH = 256,          /* of more, and by panel, so many at a time */
    OUTPUTS = 640,        /* at a time */
    SPAN = 128,           /* tiles of a thread at a time: half as many as channels, up to so many */
    SPAN_LEAST = 64,      /* but no fewer, */
    SPAN_MOST = 256,      /* and so many where weights are transformed anew for them */
    BY_PANEL_TILES = 128, /* up to so many tiles weights are taken panel by panel */
    LARGE = 64,           /* pixels along each side, from which tiles are 6 x 6 */
    APART = 16            /* floats between places, that they do not fall into the same sets of the cache */
};
_Static_assert(DEPTH % SUM_RUN == 0 && DEPTH % LARGE_SUM_RUN == 0, "sums are the same however work is shared");

typedef struct winograd {
    winograd_picture at;
    const void *packed;
    uc_dtype type; /* of the packed weight */
    bool by_panel;
    int64_t places, depth;             /* of a tile; channels at a time, */
    int64_t sum_run;                   /* and of those that are summed in registers */
    int64_t span;                      /* tiles at a time: of a thread, by panel all of them */
    int64_t outputs, wide;             /* output channels at a time; up to whole panels */
    int64_t v_row;                     /* floats from one tile to the next in v: depth, by panel c */
    int64_t u_place, v_place, m_place; /* floats from one place to the next */
    float *bias;                       /* [o rounded up], behind it the picture's zeros */
    float *u;                          /* [places][panels][depth][channels of the panel] */
    float *v, *m;                      /* [places][span][v_row]; [places][span][wide] */
    int64_t own;                       /* floats from one thread's to the next one's: of v and m, by panel of u and m */
    int64_t floats;                    /* of scratch in all */
} winograd;

static int64_t span_of(const winograd *p) {
    if (p->by_panel) return p->at.tiles;
    const int64_t share = uc_ceil_div(p->at.tiles, p->at.l->threads);
    if (p->depth < p->at.c) return uc_min64(share, SPAN_MOST);
    return uc_min64(share, uc_max64(uc_min64(p->at.c / 2, SPAN), SPAN_LEAST));
}

static bool is_large(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim;
    return x[2] >= LARGE && x[3] >= LARGE;
}

static winograd winograd_of(const uc_launch *l, bool by_tiles) {
    const bool large = is_large(l);
    winograd p = { .at = winograd_picture_of(l, large ? 6 : 4), .type = l->in[UC_CONV_WEIGHT].dtype };
    const int64_t c = p.at.c, o = p.at.o;
    p.by_panel = !large && !by_tiles && p.at.tiles <= BY_PANEL_TILES && o >= 2 * WIDEST_LANES * l->threads;
    p.places = WINOGRAD_PLACES(p.at.tile);
    p.depth = p.by_panel || c > WHOLE ? uc_min64(c, DEPTH) : c;
    p.sum_run = large ? LARGE_SUM_RUN : SUM_RUN;
    p.span = span_of(&p);
    p.outputs = uc_min64(o, p.by_panel ? WIDEST_LANES : OUTPUTS);
    p.wide = uc_round_up(p.outputs, WIDEST_LANES);
    p.v_row = p.by_panel ? c : p.depth;
    p.u_place = p.depth * p.wide + APART;
    p.v_place = p.span * p.v_row + APART;
    p.m_place = p.span * p.wide + APART;
    p.bias = l->scratch;
    p.at.zeros = p.bias + uc_round_up(o, WIDEST_LANES);
    float *pieces = p.bias + uc_round_up(o, WIDEST_LANES) + uc_round_up(c, WIDEST_LANES);
    const int64_t u = p.places * p.u_place, v = p.places * p.v_place, m = p.places * p.m_place;
    p.u = p.by_panel ? pieces + v : pieces; /* what threads have of their own lies together */
    p.v = p.by_panel ? pieces : pieces + u;
    p.m = pieces + u + v;
    p.own = p.by_panel ? u + m : v + m;
    p.floats = pieces - p.bias + u + v + m + (l->threads - 1) * p.own;
    return p;
}

#endif

/* Numbers from ... end of one panel's taps: 9 taps in, a number for each place out, from u on. size: of a tap; at: the
 * panel's first number. */
UC_SIMD void UC_ISA(transform_weights_as)(const winograd *p, const int tile, const uc_dtype type, int64_t at,
                                          int64_t size, float *u, int64_t from, int64_t end) {
    const int64_t bytes = float_bytes(type);
    const char *packed = (const char *)p->packed + at * bytes;
    for (int64_t j = from; j < end; j += VL) {
        vf tap[9], full[WINOGRAD_MOST_PLACES];
        for (int t = 0; t < 9; t++) tap[t] = vf_load_as(packed + (t * size + j) * bytes, type);
        UC_ISA(places_of)(tile, tap, full);
        for (int k = 0; k < WINOGRAD_PLACES(tile); k++) vf_store(u + k * p->u_place + j - from, full[k]);
    }
}

static void UC_ISA(transform_weights)(const winograd *p, int64_t at, int64_t size, float *u, int64_t from,
                                      int64_t end) {
#define WINOGRAD_WEIGHTS(type)                                                          \
    (p->at.tile == 4 ? UC_ISA(transform_weights_as)(p, 4, type, at, size, u, from, end) \
                     : UC_ISA(transform_weights_as)(p, 6, type, at, size, u, from, end))
    if (p->type == UC_F32) WINOGRAD_WEIGHTS(UC_F32);
    else if (p->type == UC_F16) WINOGRAD_WEIGHTS(UC_F16);
    else WINOGRAD_WEIGHTS(UC_BF16);
#undef WINOGRAD_WEIGHTS
}

/* Channels from ... end of tile i, which is the row-th of those at hand. */
UC_SIMD void UC_ISA(transform_inputs_as)(const winograd *p, const int tile, const uc_dtype type, int64_t i, int64_t row,
                                         int64_t from, int64_t end) {
    const char *at[WINOGRAD_MOST_PLACES];
    UC_ISA(patch_of)(&p->at, tile, i, at);
    for (int64_t c = from; c < end; c += VL) {
        const int64_t left = end - c;
        vf d[WINOGRAD_MOST_PLACES];
        UC_ISA(inputs_of)(tile, at, type, p->at.c, c, left, d);
        float *to = p->v + row * p->v_row + c - from;
        for (int k = 0; k < WINOGRAD_PLACES(tile); k++) {
            if (left >= VL) vf_store(to + k * p->v_place, d[k]);
            else vf_store_part(to + k * p->v_place, d[k], left);
        }
    }
}

static void UC_ISA(transform_inputs)(const winograd *p, int64_t i, int64_t row, int64_t from, int64_t end) {
#define WINOGRAD_INPUTS(type)                                                     \
    (p->at.tile == 4 ? UC_ISA(transform_inputs_as)(p, 4, type, i, row, from, end) \
                     : UC_ISA(transform_inputs_as)(p, 6, type, i, row, from, end))
    if (p->at.type == UC_F32) WINOGRAD_INPUTS(UC_F32);
    else WINOGRAD_INPUTS(UC_BF16);
#undef WINOGRAD_INPUTS
}

/* One tile of one place's product over `run` channels, added to what is there unless they are the first. */
UC_SIMD void UC_ISA(product_tile)(const winograd *p, const float *v, const float *panel, int64_t run, bool first,
                                  float *m, const int rows, const int nv) {
    const int vectors = TILE_VECTORS(nv);
    vf acc[TILE_ROWS * 2];
    for (int i = 0; i < rows * vectors; i++) {
        __builtin_prefetch(m + i / vectors * p->wide + i % vectors * VL, 1, 3);
        acc[i] = vf_set(0);
    }
    tile_fma(acc, rows, nv, v, p->v_row, run, panel);
    tile_fold(acc, rows, nv);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vectors; i++) {
            float *to = m + r * p->wide + i * VL;
            vf_store(to, first ? acc[r * vectors + i] : vf_load(to) + acc[r * vectors + i]);
        }
}

#if UC_ISA_LANES == 16
#define WINOGRAD_EACH_ROWS(what) \
    what(1) what(2) what(3) what(4) what(5) what(6) what(7) what(8) what(9) what(10) what(11) what(12)
#else
#define WINOGRAD_EACH_ROWS(what) what(1) what(2) what(3) what(4) what(5) what(6)
#endif
#define WINOGRAD_TILE(rows, nv)                                                                     \
    __attribute__((noinline)) static void UC_ISA(winograd_##rows##_##nv)(                           \
        const winograd *p, const float *v, const float *panel, int64_t run, bool first, float *m) { \
        UC_ISA(product_tile)(p, v, panel, run, first, m, rows, nv);                                 \
    }
#define WINOGRAD_TILES(rows) WINOGRAD_TILE(rows, 0) WINOGRAD_TILE(rows, 1) WINOGRAD_TILE(rows, 2)
WINOGRAD_EACH_ROWS(WINOGRAD_TILES)
#undef WINOGRAD_TILES
#undef WINOGRAD_TILE

/* The part of what follows a run of a panel that is asked for while rows from ... end of `rows` are done with that run:
 * the first rows would wait for it otherwise. */
UC_SIMD void UC_ISA(prefetch_part)(const float *next, int64_t floats, int64_t from, int64_t end, int64_t rows) {
    const int64_t line = 64 / (int64_t)sizeof(float);
    for (int64_t i = from * floats / rows; i < end * floats / rows; i += line) __builtin_prefetch(next + i, 0, 2);
}

/* All tiles at hand by `run` channels of a panel of one place, and what follows those asked for meanwhile; sum_run of
 * them at a time, which stay in the L1 cache. Tiles are multiplied together in numbers as even as can be. */
static void UC_ISA(product_run)(const winograd *p, const float *v, const float *panel, int64_t run, bool first,
                                float *m, int64_t rows, int nv) {
    const int64_t width = uc_panel_floats(1, VL, nv);
#define WINOGRAD_CASE(rows)                                                                            \
    case rows:                                                                                         \
        (nv == 2 ? UC_ISA(winograd_##rows##_2)                                                         \
         : nv    ? UC_ISA(winograd_##rows##_1)                                                         \
                 : UC_ISA(winograd_##rows##_0))(p, v + r * p->v_row, panel, sum, first, m + r * p->wide); \
        break;
    for (int64_t sum; run > 0; run -= sum, v += sum, panel += sum * width, first = false) {
        sum = uc_min64(run, p->sum_run);
        for (int64_t r = 0, step; r < rows; r += step) {
            step = uc_ceil_div(rows - r, uc_ceil_div(rows - r, TILE_ROWS));
            switch (step) { WINOGRAD_EACH_ROWS(WINOGRAD_CASE) }
            UC_ISA(prefetch_part)(panel + sum * width, sum * width, r, r + step, rows);
        }
    }
#undef WINOGRAD_CASE
}
#undef WINOGRAD_EACH_ROWS

static void UC_ISA(transform_outputs)(const winograd *p, int64_t tile, int64_t row, int64_t first, int64_t end) {
    const float *m = p->m + row * p->wide;
#define WINOGRAD_OUTPUTS(type)                                                                         \
    (p->at.tile == 4 ? UC_ISA(outputs_to)(&p->at, 4, type, tile, m, p->m_place, p->bias, channel, end) \
                     : UC_ISA(outputs_to)(&p->at, 6, type, tile, m, p->m_place, p->bias, channel, end))
    for (int64_t channel = first; channel < end; channel += VL, m += VL) {
        if (p->at.type == UC_F32) WINOGRAD_OUTPUTS(UC_F32);
        else WINOGRAD_OUTPUTS(UC_BF16);
    }
#undef WINOGRAD_OUTPUTS
}

/* A panel of outputs, from `first` on, of all tiles. */
static void UC_ISA(run_panel)(const winograd *p, int64_t first) {
    const int64_t c = p->at.c, end = uc_min64(first + 2 * VL, p->at.o);
    const int nv = uc_panel_vectors(p->at.o - first, VL, 3 * c);
    const int64_t width = uc_panel_floats(1, VL, nv);
    for (int64_t k = 0; k < c; k += p->depth) {
        const int64_t run = uc_min64(p->depth, c - k);
        UC_ISA(transform_weights)(p, first * 9 * c, c * width, p->u, k * width, (k + run) * width);
        for (int64_t place = 0; place < p->places; place++)
            UC_ISA(product_run)(p, p->v + place * p->v_place + k, p->u + place * p->u_place, run, k == 0,
                                p->m + place * p->m_place, p->at.tiles, nv);
    }
    for (int64_t i = 0; i < p->at.tiles; i++) UC_ISA(transform_outputs)(p, i, i, first, end);
}

static void UC_ISA(run_by_panel)(winograd p) {
    p.u += uc_thread() * p.own;
    p.m += uc_thread() * p.own;
    UC_OMP(for schedule(static))
    for (int64_t i = 0; i < p.at.tiles; i++) UC_ISA(transform_inputs)(&p, i, i, 0, p.at.c);
    UC_OMP(for schedule(static))
    for (int64_t first = 0; first < p.at.o; first += 2 * VL) UC_ISA(run_panel)(&p, first);
}

/* A part of the weights for outputs first ... end and `run` channels from k on, of which there are `parts` for each
 * panel. */
static void UC_ISA(weights_part)(const winograd *p, int64_t part, int64_t parts, int64_t first, int64_t k,
                                 int64_t run) {
    const int64_t o = part / parts * 2 * VL, c = p->at.c;
    const int nv = uc_panel_vectors(p->at.o - first - o, VL, 3 * c);
    const int64_t width = uc_panel_floats(1, VL, nv), step = uc_round_up(uc_ceil_div(run * width, parts), VL);
    const int64_t from = uc_min64(part % parts * step, run * width), until = uc_min64(from + step, run * width);
    UC_ISA(transform_weights)(p, (first + o) * 9 * c, c * width, p->u + o * p->depth + from, k * width + from,
                              k * width + until);
}

/* A run of channels from k on of `rows` tiles from `tile` on, for outputs first ... end. */
static void UC_ISA(run_tiles)(const winograd *p, int64_t tile, int64_t rows, int64_t first, int64_t end, int64_t k,
                              int64_t run) {
    for (int64_t i = 0; i < rows; i++) UC_ISA(transform_inputs)(p, tile + i, i, k, k + run);
    for (int64_t place = 0; place < p->places; place++)
        for (int64_t o = first; o < end; o += 2 * VL)
            UC_ISA(product_run)(p, p->v + place * p->v_place, p->u + place * p->u_place + (o - first) * p->depth, run,
                                k == 0, p->m + place * p->m_place + o - first, rows,
                                uc_panel_vectors(p->at.o - o, VL, 3 * p->at.c));
}

/* Weights that are one piece serve all tiles; others are transformed anew for each round of tiles. */
static void UC_ISA(run_by_tiles)(winograd p) {
    const int64_t c = p.at.c, team = uc_team(), rounds = uc_ceil_div(p.at.tiles, team * p.span);
    p.v += uc_thread() * p.own;
    p.m += uc_thread() * p.own;
    for (int64_t first = 0; first < p.at.o; first += p.outputs) {
        const int64_t end = uc_min64(first + p.outputs, p.at.o), parts = uc_ceil_div(end - first, 2 * VL) * team;
        for (int64_t round = 0; round < rounds; round++) {
            const int64_t share = round * team + uc_thread(), shares = rounds * team;
            const int64_t tile = share * p.at.tiles / shares, rows = (share + 1) * p.at.tiles / shares - tile;
            for (int64_t k = 0; k < c; k += p.depth) {
                const int64_t run = uc_min64(p.depth, c - k);
                if (c > p.depth || round == 0) {
                    UC_OMP(barrier)
                    UC_OMP(for schedule(static))
                    for (int64_t i = 0; i < parts; i++) UC_ISA(weights_part)(&p, i, team, first, k, run);
                }
                UC_ISA(run_tiles)(&p, tile, rows, first, end, k, run);
            }
            for (int64_t i = 0; i < rows; i++) UC_ISA(transform_outputs)(&p, tile + i, i, first, end);
        }
    }
}

static void UC_ISA(winograd_run)(const uc_launch *l, const void *packed, bool by_tiles) {
    winograd p = winograd_of(l, by_tiles);
    const uc_view *bias = &l->in[UC_CONV_BIAS];
    p.packed = packed;
    memset(p.bias, 0, (size_t)(uc_round_up(p.at.o, WIDEST_LANES) + uc_round_up(p.at.c, WIDEST_LANES)) * sizeof *p.bias);
    if (bias->data) row_read(p.bias, bias->data, bias->dtype, p.at.o);
    const int threads = uc_threads_for(l, p.at.tiles * p.at.c * p.at.o);
    UC_OMP(parallel num_threads(threads)) {
        if (p.by_panel) UC_ISA(run_by_panel)(p);
        else UC_ISA(run_by_tiles)(p);
    }
}

#ifdef UC_ISA_ONCE
void uc_cpu_winograd_for(uc_isa isa, bool by_tiles, const uc_launch *l, const void *packed) {
    typedef void (*runner)(const uc_launch *, const void *, bool);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(winograd_run);
    variants[isa](l, packed, by_tiles);
}

size_t uc_cpu_winograd_scratch_for(bool by_tiles, const uc_launch *l) {
    return (size_t)winograd_of(l, by_tiles).floats * sizeof(float);
}

void uc_cpu_winograd(const uc_launch *l, const void *packed) {
    if (uc_cpu_winograd_tiles_pays(l)) uc_cpu_winograd_tiles(false, l, packed);
    else uc_cpu_winograd_for(uc_cpu_isa(), false, l, packed);
}

size_t uc_cpu_winograd_scratch(const uc_launch *l) {
    return uc_cpu_winograd_tiles_pays(l) ? uc_cpu_winograd_tiles_scratch(false, l)
                                         : uc_cpu_winograd_scratch_for(false, l);
}

/* The corners of 6 x 6 tiles: 5e-5 at most among a million results, where 2e-5 are the operation's bound. */
double uc_cpu_winograd_loses_for(const uc_launch *l) { return is_large(l) ? 4e-5 : 0; }

double uc_cpu_winograd_loses(const uc_launch *l) {
    return uc_cpu_winograd_tiles_pays(l) ? 0 : uc_cpu_winograd_loses_for(l);
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

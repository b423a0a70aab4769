/* test_ops.c - every operation of the flow, on every case of cases.c, by every way that the CPU has: plain C
 * compiled for each instruction set that this machine runs, weights prepared beforehand, and oneDNN. One test an
 * operation. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "engine/core/philox.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/conv2d_bf16.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"

/* ---- plain C ----------------------------------------------------------------------------------------------------- */

static size_t plain_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return uc_cpu_kernel(l->kind).scratch(l);
}

static void plain_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)prepared;
    uc_cpu_kernel_variant(l->kind, (uc_isa)way->user)(l);
}

/* ---- plain C on prepared weights --------------------------------------------------------------------------------- */

static void *packed_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    (void)way, (void)skipped;
    void *packed = NULL;
    if (posix_memalign(&packed, 64, uc_cpu_packed_bytes(&l->in[UC_CONV_WEIGHT]))) abort();
    uc_cpu_pack(packed, &l->in[UC_CONV_WEIGHT], 1);
    return packed;
}

static size_t packed_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return l->kind == UC_OP_conv2d ? uc_cpu_conv2d_packed_scratch(l) : uc_cpu_matmul_packed_scratch(l);
}

static void packed_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way;
    (l->kind == UC_OP_conv2d ? uc_cpu_conv2d_packed : uc_cpu_matmul_packed)(l, prepared);
}

static void packed_finish(const op_way *way, void *prepared) {
    (void)way;
    free(prepared);
}

/* ---- Winograd's convolution -------------------------------------------------------------------------------------- */

/* The user's number: an instruction set, or TILES; and 16 for large pictures' way of sharing the work. */
enum { TILES = UC_ISA_COUNT };

static void *winograd_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    const bool tiles = (way->user & 15) == TILES;
    *skipped = !(tiles ? uc_cpu_winograd_tiles_can : uc_cpu_winograd_can)(l);
    if (*skipped) return NULL;
    void *packed = NULL;
    if (posix_memalign(&packed, 64, uc_cpu_packed_bytes(&l->in[UC_CONV_WEIGHT]))) abort();
    uc_cpu_pack_for(tiles ? UC_ISA_AVX512 : (uc_isa)(way->user & 15), packed, &l->in[UC_CONV_WEIGHT], 1);
    return packed;
}

static size_t winograd_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)prepared;
    const bool tiles = (way->user & 15) == TILES;
    return (tiles ? uc_cpu_winograd_tiles_scratch : uc_cpu_winograd_scratch_for)(way->user & 16, l);
}

static void winograd_run(const op_way *way, const uc_launch *l, void *prepared) {
    if ((way->user & 15) == TILES) uc_cpu_winograd_tiles(way->user & 16, l, prepared);
    else uc_cpu_winograd_for((uc_isa)(way->user & 15), way->user & 16, l, prepared);
}

static double winograd_loses(const op_way *way, const uc_launch *l) {
    return (way->user & 15) == TILES ? 0 : uc_cpu_winograd_loses_for(l);
}

/* ---- f32 on int8 tiles ------------------------------------------------------------------------------------------- */

static void *tiles_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    (void)way;
    *skipped = !uc_cpu_tiles_can(l);
    if (*skipped) return NULL;
    void *packed = NULL;
    if (posix_memalign(&packed, 64, uc_cpu_packed_bytes(&l->in[UC_CONV_WEIGHT]))) abort();
    uc_cpu_pack(packed, &l->in[UC_CONV_WEIGHT], 1);
    return packed;
}

static size_t tiles_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return uc_cpu_tiles_scratch(l);
}

static void tiles_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way;
    uc_cpu_tiles_packed(l, prepared);
}

/* ---- bf16 convolution on tiles ----------------------------------------------------------------------------------- */

static void *conv2d_bf16_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    (void)way;
    *skipped = !uc_cpu_conv2d_bf16_can(l);
    if (*skipped) return NULL;
    void *packed = NULL;
    if (posix_memalign(&packed, 64, uc_cpu_conv2d_bf16_packed_bytes(&l->in[UC_CONV_WEIGHT]))) abort();
    uc_cpu_conv2d_bf16_pack(packed, &l->in[UC_CONV_WEIGHT], 1);
    return packed;
}

static size_t conv2d_bf16_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return uc_cpu_conv2d_bf16_scratch(l);
}

static void conv2d_bf16_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way;
    uc_cpu_conv2d_bf16(l, prepared);
}

/* ---- oneDNN ------------------------------------------------------------------------------------------------------ */

typedef struct library {
    uc_onednn *dnn;
    const uc_onednn_op *op;
    const uc_onednn_shape *shape;
} library;

static void library_finish(const op_way *way, void *prepared) {
    (void)way;
    uc_onednn_free(((library *)prepared)->dnn);
    free(prepared);
}

static void *library_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    library *p = calloc(1, sizeof *p);
    p->dnn = uc_onednn_new(l->threads);
    p->shape = p->dnn ? uc_onednn_shape_of(p->dnn, l) : NULL;
    *skipped = !p->shape;
    if (p->shape) {
        p->op = uc_onednn_prepare(p->dnn, p->shape, l);
        cr_assert(p->op, "oneDNN did not take the weights");
        return p;
    }
    library_finish(way, p);
    return NULL;
}

static size_t library_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)l;
    return uc_onednn_scratch(((library *)prepared)->shape);
}

static void library_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way;
    cr_assert(uc_onednn_run(((library *)prepared)->op, l), "oneDNN failed in %s",
              uc_onednn_implementation(((library *)prepared)->shape));
}

/* ---- attention by products of bf16 ------------------------------------------------------------------------------- */

static void *bf16_prepare(const op_way *way, const uc_launch *l, bool *skipped) {
    (void)way;
    *skipped = !uc_attention_is_bf16(l);
    return NULL;
}

static size_t bf16_scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return uc_attention_bf16_scratch(l);
}

static void bf16_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)prepared;
    uc_attention_bf16(l, (uc_bf16_products)way->user);
}

/* The way that the backend takes. */
static void chosen_run(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    uc_cpu_kernel(l->kind).run(l);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static void check_all(uc_op_kind kind, const op_way *way) {
    size_t count;
    const op_case *cases = op_cases(kind, &count);
    const char *only = getenv("UC_CASE"), *seed = getenv("UC_SEED");
    cr_assert_geq(count, 6, "%s has %zu cases", uc_op_info_of(kind)->name, count);
    for (size_t i = 0; i < count; i++) {
        char message[OP_MESSAGE] = "";
        if (only && strcmp(only, cases[i].name) != 0) continue;
        const uint64_t key = seed ? strtoull(seed, NULL, 10) + (only ? 0 : i) : 1 + i;
        cr_expect(op_check(&cases[i], way, key, message), "%s", message);
    }
}

static void check_operation(uc_op_kind kind) {
    for (int isa = UC_ISA_BASE; isa <= (int)uc_cpu_isa(); isa++) {
        const op_way way = {
            .name = uc_cpu_isa_name((uc_isa)isa), .scratch = plain_scratch, .run = plain_run, .user = isa
        };
        check_all(kind, &way);
    }
    if (kind != UC_OP_conv2d && kind != UC_OP_matmul) return;
    const op_way packed = { .name = "prepared weights",
                            .scratch = packed_scratch,
                            .prepare = packed_prepare,
                            .run = packed_run,
                            .finish = packed_finish };
    check_all(kind, &packed);
    const op_way onednn = { .name = "oneDNN",
                            .scratch = library_scratch,
                            .prepare = library_prepare,
                            .run = library_run,
                            .finish = library_finish,
                            .rounds_weight = true };
    check_all(kind, &onednn);
}

Test(ops, conv2d_by_winograd) {
    for (int blocks = 0; blocks <= 16; blocks += 16)
        for (int isa = UC_ISA_BASE; isa <= TILES; isa++) {
            if (isa > (int)uc_cpu_isa() && isa < TILES) continue;
            const op_way way = { .name = blocks ? "Winograd by tiles" : "Winograd",
                                 .scratch = winograd_scratch,
                                 .prepare = winograd_prepare,
                                 .run = winograd_run,
                                 .loses = winograd_loses,
                                 .finish = packed_finish,
                                 .user = isa + blocks };
            check_all(UC_OP_conv2d, &way);
        }
}

Test(ops, products_by_int8_tiles) {
    const op_way way = { .name = "int8 tiles",
                         .scratch = tiles_scratch,
                         .prepare = tiles_prepare,
                         .run = tiles_run,
                         .finish = packed_finish };
    check_all(UC_OP_conv2d, &way);
    check_all(UC_OP_matmul, &way);
}

/* Rows of zeros, of very small and very large numbers, with one number far above the others, and with one that is not
 * finite: each is scaled by itself, and none shows in another. */
Test(ops, int8_tiles_scale_each_row) {
    enum { ZEROS, TINY, SMALL, LARGE, ONE, ONE_INFINITE, ONE_NAN, PLAIN, COUNT, C = 448, O = 64 };
    static float x[COUNT * C], w[O * C], y[COUNT * O];
    for (int i = 0; i < O * C; i += 4) uc_philox_normal4(3, 0, 0, (uint64_t)i / 4, w + i);
    for (int i = 0; i < COUNT * C; i += 4) uc_philox_normal4(4, 0, 0, (uint64_t)i / 4, x + i);
    static const double factor[COUNT] = { 0, 1e-38, 1e-25, 1e25, 1, 1, 1, 1 };
    for (int i = 0; i < COUNT * C; i++) x[i] *= (float)factor[i / C];
    x[ONE * C + 7] = 1e4f;
    x[ONE_INFINITE * C + 7] = INFINITY;
    x[ONE_NAN * C + 7] = NAN;
    uc_launch l = { .kind = UC_OP_matmul, .threads = 1 };
    l.in[UC_MATMUL_X] = (uc_view){ UC_F32, UC_PLAIN, UC_SHAPE3(1, COUNT, C), x };
    l.in[UC_MATMUL_WEIGHT] = (uc_view){ UC_F32, UC_PLAIN, UC_SHAPE2(O, C), w };
    l.out[0] = (uc_view){ UC_F32, UC_PLAIN, UC_SHAPE3(1, COUNT, O), y };
    if (!uc_cpu_tiles_can(&l)) return;
    void *packed = NULL;
    cr_assert_eq(posix_memalign(&packed, 64, uc_cpu_packed_bytes(&l.in[UC_MATMUL_WEIGHT])), 0);
    cr_assert_eq(posix_memalign(&l.scratch, 64, uc_cpu_tiles_scratch(&l)), 0);
    uc_cpu_pack(packed, &l.in[UC_MATMUL_WEIGHT], 1);
    uc_cpu_tiles_packed(&l, packed);
    for (int i = 0; i < COUNT * O; i++) {
        const int row = i / O;
        double sum = 0, largest = 0, largest_weight = 0;
        for (int c = 0; c < C; c++) {
            sum += (double)x[row * C + c] * (double)w[i % O * C + c];
            largest = fmax(largest, fabs((double)x[row * C + c]));
            largest_weight = fmax(largest_weight, fabs((double)w[i % O * C + c]));
        }
        bool right = fabs((double)y[i] - sum) < 6 * sqrt(C) * 1.2e-7 * largest * largest_weight;
        if (row == ONE_INFINITE || row == ONE_NAN) right = !isfinite(y[i]);
        if (row == ZEROS || row == TINY) right = y[i] == 0;
        cr_expect(right, "row %d, output %d: %g instead of %g", row, i % O, (double)y[i], sum);
    }
    free(packed);
    free(l.scratch);
}

Test(ops, conv2d_in_bf16_by_tiles) {
    const op_way way = { .name = "bf16 tiles of a run in bf16",
                         .scratch = conv2d_bf16_scratch,
                         .prepare = conv2d_bf16_prepare,
                         .run = conv2d_bf16_run,
                         .finish = packed_finish,
                         .rounds_weight = true };
    check_all(UC_OP_conv2d, &way);
}

Test(ops, attention_by_bf16_products) {
    for (int with = UC_BF16_VECTORS; with <= (int)uc_cpu_bf16_products(); with++) {
        const op_way way = { .name = with == UC_BF16_TILES ? "bf16 tiles" : "bf16 vectors",
                             .scratch = bf16_scratch,
                             .prepare = bf16_prepare,
                             .run = bf16_run,
                             .user = with };
        check_all(UC_OP_attention, &way);
    }
    const op_way chosen = { .name = "the CPU's choice", .scratch = plain_scratch, .run = chosen_run };
    check_all(UC_OP_attention, &chosen);
}

/* Keys that are all alike are weighted alike: the values' mean, and a constant stays what it is. */
Test(ops, attention_keeps_a_constant) {
    enum { T = 70, S = 333, D = 48, HEADS = 2, WIDTH = HEADS * D };
    static uint16_t q[T * WIDTH], k[S * WIDTH], v[S * WIDTH], y[T * WIDTH];
    for (int i = 0; i < T * WIDTH; i++) q[i] = uc_f32_to_bf16((float)(i * 7 % 13 - 6));
    for (int i = 0; i < S * WIDTH; i++) {
        k[i] = uc_f32_to_bf16((float)(i * 5 % 17 - 8) * 0.125f);
        v[i] = uc_f32_to_bf16((float)(i % WIDTH) - 40.5f);
    }
    for (int with = UC_BF16_VECTORS; with <= (int)uc_cpu_bf16_products(); with++) {
        uc_launch l = { .kind = UC_OP_attention, .attrs.attention = { .heads = HEADS, .scale = 0.25f }, .threads = 1 };
        l.in[UC_ATT_Q] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE3(1, T, WIDTH), .data = q };
        l.in[UC_ATT_K] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE3(1, S, WIDTH), .data = k };
        l.in[UC_ATT_V] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE3(1, S, WIDTH), .data = v };
        l.out[0] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE3(1, T, WIDTH), .data = y };
        cr_assert_eq(posix_memalign(&l.scratch, 64, uc_attention_bf16_scratch(&l)), 0);
        memset(y, 0xFF, sizeof y);
        uc_attention_bf16(&l, (uc_bf16_products)with);
        for (int i = 0; i < T * WIDTH; i++)
            cr_assert_eq(y[i], v[i % WIDTH], "way %d, element %d: %g instead of %g", with, i,
                         (double)uc_bf16_to_f32(y[i]), (double)uc_bf16_to_f32(v[i % WIDTH]));
        free(l.scratch);
    }
}

/* ---- the longest sums of any network here: the error must stay that of a short one ------------------------------- */

enum { LONG_C = 2560, LONG_O = 32 };

typedef struct long_sums {
    int size, count, step; /* of the picture's side; of results, every step-th of which is compared */
    float *x, *w, *y;
    double *expected;
    uc_launch launch;
    void *packed;
} long_sums;

static double long_sum(const long_sums *s, int i) {
    const int o = i % LONG_O, at_x = i / LONG_O % s->size, at_y = i / LONG_O / s->size;
    double sum = 0;
    for (int tap = 0; tap < 9; tap++) {
        const int from_x = at_x + tap % 3 - 1, from_y = at_y + tap / 3 - 1;
        if (from_x < 0 || from_y < 0 || from_x >= s->size || from_y >= s->size) continue;
        for (int c = 0; c < LONG_C; c++)
            sum += (double)s->x[(from_y * s->size + from_x) * LONG_C + c] *
                   (double)s->w[(o * LONG_C + c) * 9 + tap];
    }
    return sum;
}

static float *long_numbers(int64_t count, uint64_t seed) {
    float *x = malloc((size_t)count * sizeof *x);
    for (int64_t i = 0; i < count; i += 4) uc_philox_normal4(seed, 0, 0, (uint64_t)i / 4, x + i);
    return x;
}

static long_sums long_sums_of(int size, int step) {
    long_sums s = { .size = size, .count = LONG_O * size * size, .step = step };
    s.x = long_numbers(size * size * LONG_C, 1);
    s.w = long_numbers(LONG_O * LONG_C * 9, 2);
    s.y = malloc((size_t)s.count * sizeof *s.y);
    s.expected = malloc((size_t)s.count * sizeof *s.expected);
    uc_launch *l = &s.launch;
    *l = (uc_launch){ .kind = UC_OP_conv2d, .attrs.conv2d = { .stride = 1, .pad = 1 }, .threads = 1 };
    l->in[UC_CONV_X] = (uc_view){ UC_F32, UC_NHWC, UC_SHAPE4(1, LONG_C, size, size), s.x };
    l->in[UC_CONV_WEIGHT] = (uc_view){ UC_F32, UC_PLAIN, UC_SHAPE4(LONG_O, LONG_C, 3, 3), s.w };
    l->out[0] = (uc_view){ UC_F32, UC_NHWC, UC_SHAPE4(1, LONG_O, size, size), s.y };
    for (int i = 0; i < s.count; i += s.step) s.expected[i] = long_sum(&s, i);
    if (posix_memalign(&s.packed, 64, uc_cpu_packed_bytes(&l->in[UC_CONV_WEIGHT]))) abort();
    uc_cpu_pack(s.packed, &l->in[UC_CONV_WEIGHT], 1);
    return s;
}

static void long_sums_free(long_sums *s) { free(s->x), free(s->w), free(s->y), free(s->expected), free(s->packed); }

/* Against sums in double; relative to the results' root mean square. */
static double error_of_long_sums(const long_sums *s) {
    double squares = 0, error = 0;
    for (int i = 0; i < s->count; i += s->step) {
        squares += s->expected[i] * s->expected[i];
        error += ((double)s->y[i] - s->expected[i]) * ((double)s->y[i] - s->expected[i]);
    }
    return sqrt(error / squares);
}

/* The larger picture is cut into tiles of 6 x 6. */
Test(ops, winograd_of_many_channels) {
    static const struct { int size, step; double most; } pictures[] = { { 16, 1, 1.5e-6 }, { 64, 37, 7e-6 } };
    for (int i = 0; i < 2; i++) {
        const int size = pictures[i].size;
        long_sums s = long_sums_of(size, pictures[i].step);
        cr_assert_eq(posix_memalign(&s.launch.scratch, 64, uc_cpu_winograd_scratch_for(false, &s.launch)), 0);
        uc_cpu_winograd_for(uc_cpu_isa(), false, &s.launch, s.packed);
        const double error = error_of_long_sums(&s);
        cr_expect(error < pictures[i].most, "%d pixels: the error is %.2e of the results", size, error);
        free(s.launch.scratch);
        if (uc_cpu_winograd_tiles_can(&s.launch)) {
            cr_assert_eq(posix_memalign(&s.launch.scratch, 64, uc_cpu_winograd_tiles_scratch(false, &s.launch)), 0);
            uc_cpu_winograd_tiles(false, &s.launch, s.packed);
            cr_expect(error_of_long_sums(&s) < 2e-6, "%d pixels: the error with tiles is %.2e of the results", size,
                      error_of_long_sums(&s));
            free(s.launch.scratch);
        }
        long_sums_free(&s);
    }
}

/* Pictures' result by one of the ways of sharing the work. */
static float *winograd_shared(const op_data *d, const void *packed, bool by_tiles, int threads) {
    uc_launch l = d->launch;
    const size_t bytes = (size_t)uc_shape_count(d->c.out[0]) * sizeof(float);
    float *out = NULL;
    cr_assert_eq(posix_memalign((void **)&out, 64, bytes), 0);
    memset(out, 0xff, bytes);
    l.threads = threads;
    l.out[0] = (uc_view){ UC_F32, UC_NHWC, d->c.out[0], out };
    cr_assert_eq(posix_memalign(&l.scratch, 64, uc_cpu_winograd_scratch_for(by_tiles, &l)), 0);
    uc_cpu_winograd_for(uc_cpu_isa(), by_tiles, &l, packed);
    free(l.scratch);
    return out;
}

/* Small pictures and many channels are shared by panels, others by tiles; the sums are the same, so that a picture
 * depends neither on the batch nor on the threads. Last panels are narrow, last tiles reach beyond the picture; the
 * others have so many tiles that they are taken in rounds, with weights that are transformed once and with such as are
 * transformed anew for each. */
Test(ops, winograd_shares_the_work_in_any_way) {
    static const struct { int64_t n, c, o, h, w; } shapes[] = { { 2, 300, 134, 9, 10 },
                                                                { 1, 40, 650, 70, 82 },
                                                                { 3, 1040, 40, 70, 82 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const op_case c = { .kind = UC_OP_conv2d,
                            .attrs.conv2d = { .stride = 1, .pad = 1 },
                            .layout = UC_NHWC,
                            .in = { [UC_CONV_X] = UC_SHAPE4(shapes[i].n, shapes[i].c, shapes[i].h, shapes[i].w),
                                    [UC_CONV_WEIGHT] = UC_SHAPE4(shapes[i].o, shapes[i].c, 3, 3) },
                            .out = { UC_SHAPE4(shapes[i].n, shapes[i].o, shapes[i].h, shapes[i].w) },
                            .weights = 1u << UC_CONV_WEIGHT };
        op_data d;
        op_data_fill(&d, &c, 3);
        void *packed = NULL;
        cr_assert_eq(posix_memalign(&packed, 64, uc_cpu_packed_bytes(&d.launch.in[UC_CONV_WEIGHT])), 0);
        uc_cpu_pack(packed, &d.launch.in[UC_CONV_WEIGHT], 1);
        const size_t bytes = (size_t)uc_shape_count(c.out[0]) * sizeof(float);
        float *two = winograd_shared(&d, packed, false, 2), *by_tiles = winograd_shared(&d, packed, true, 2);
        float *one = winograd_shared(&d, packed, false, 1);
        cr_expect_eq(memcmp(two, by_tiles, bytes), 0, "shape %zu by tiles", i);
        cr_expect_eq(memcmp(two, one, bytes), 0, "shape %zu on one thread", i);
        free(two), free(by_tiles), free(one), free(packed);
        op_data_free(&d);
    }
}

#define UC_OP(name, inputs, atol, rtol, what) \
    Test(ops, name) { check_operation(UC_OP_##name); }
#include "kernels/ops.def"
#undef UC_OP

/* matmul.c - x times weight transposed, with bias, activation and residual: the linear layers of CLIP, the prior,
 * the time embeddings and the decoder's attention, where no library does them.
 *
 * Work is cut into blocks of rows by groups of panels (see gemm.h); within, tiles of registers (tile.h). Rows that are
 * not f32 are converted once per block. */
#include "gemm.h"

#define UC_FILE "matmul.c"
#include "foreach_isa.h"
#include "simd.h"
#include "tile.h"

#ifndef UC_MATMUL_BLOCKS
#define UC_MATMUL_BLOCKS
enum { ROW_BLOCK = 48, PANEL_GROUP = 4, FEW_ROWS = 9 };

typedef struct product {
    const uc_launch *l;
    const void *packed;
    uc_dtype type; /* of the packed weight */
    int64_t rows, inputs, outputs;
} product;
#endif

/* `rows` results of one panel, from accumulators: bias, activation, residual, type. */
UC_SIMD void UC_ISA(finish_tile)(const product *p, const vf *acc, const int rows, const int vectors, int64_t row,
                                 int64_t column) {
    const uc_view *bias = &p->l->in[UC_MATMUL_BIAS], *residual = &p->l->in[UC_MATMUL_RESIDUAL], *y = &p->l->out[0];
    const int64_t width = uc_min64(vectors * VL, p->outputs - column);
    float b[2 * VL] = { 0 }, tmp[2 * VL], before[2 * VL];
    if (bias->data) row_read(b, uc_at(bias->data, bias->dtype, column), bias->dtype, width);
    for (int r = 0; r < rows; r++) {
        const int64_t at = (row + r) * p->outputs + column;
        for (int v = 0; v < vectors; v++)
            vf_store(tmp + v * VL, vf_act(acc[r * vectors + v] + vf_load(b + v * VL), p->l->attrs.matmul.act));
        if (residual->data) {
            const float *add = row_in(residual->data, residual->dtype, at, width, before);
            for (int64_t i = 0; i < width; i++) tmp[i] += add[i];
        }
        row_out(uc_at_mut(y->data, y->dtype, at), y->dtype, tmp, width);
    }
}

UC_SIMD void UC_ISA(matmul_tile)(const product *p, const float *x, const void *panel, const int rows, const int nv,
                                 const uc_dtype type, int64_t row, int64_t column) {
    const int vectors = TILE_VECTORS(nv);
    vf acc[TILE_ROWS * 2];
    for (int i = 0; i < rows * vectors; i++) acc[i] = vf_set(0);
    if (type == UC_F32) tile_fma(acc, rows, nv, x, p->inputs, p->inputs, panel);
    else tile_fma_as(acc, rows, nv, x, p->inputs, p->inputs, panel, type);
    tile_fold(acc, rows, nv);
    UC_ISA(finish_tile)(p, acc, rows, vectors, row, column);
}

#define MATMUL_TILE(rows, nv)                                                                \
    __attribute__((noinline)) static void UC_ISA(matmul_##rows##_##nv)(                      \
        const product *p, const float *x, const float *panel, int64_t row, int64_t column) { \
        UC_ISA(matmul_tile)(p, x, panel, rows, nv, UC_F32, row, column);                     \
    }
#define MATMUL_TILES(rows) MATMUL_TILE(rows, 0) MATMUL_TILE(rows, 1) MATMUL_TILE(rows, 2)
#if UC_ISA_LANES == 16
MATMUL_TILES(12)
#endif
MATMUL_TILES(6)
MATMUL_TILES(3)
MATMUL_TILES(1)
#undef MATMUL_TILES
#undef MATMUL_TILE

/* Of few rows, as the prior's: weights of two bytes are not written down as f32 first. */
#define MATMUL_FEW(rows, type)                                                              \
    __attribute__((noinline)) static void UC_ISA(matmul_few_##rows##_##type)(               \
        const product *p, const float *x, const void *panel, int64_t row, int64_t column) { \
        UC_ISA(matmul_tile)(p, x, panel, rows, 2, type, row, column);                       \
    }
MATMUL_FEW(6, UC_F16)
MATMUL_FEW(6, UC_BF16)
MATMUL_FEW(3, UC_F16)
MATMUL_FEW(3, UC_BF16)
MATMUL_FEW(1, UC_F16)
MATMUL_FEW(1, UC_BF16)
#undef MATMUL_FEW

static void UC_ISA(matmul_few)(const product *p, const float *x, int64_t first, int64_t count, int64_t column) {
    const void *panel = uc_at(p->packed, p->type, column * p->inputs);
#define MATMUL_CALL(rows) \
    (p->type == UC_F16 ? UC_ISA(matmul_few_##rows##_UC_F16) : UC_ISA(matmul_few_##rows##_UC_BF16))(p, at, panel, \
                                                                                                first + r, column)
    for (int64_t r = 0, step; r < count; r += step) {
        const float *at = x + r * p->inputs;
        step = count - r >= 6 ? 6 : count - r >= 3 ? 3 : 1;
        if (step == 6) MATMUL_CALL(6);
        else if (step == 3) MATMUL_CALL(3);
        else MATMUL_CALL(1);
    }
#undef MATMUL_CALL
}

/* Rows first ... first + count of one panel; x is the first of them as f32, own the thread's room for a panel. */
static void UC_ISA(matmul_panel)(const product *p, const float *x, float *own, int64_t first, int64_t count,
                                 int64_t column) {
    const int nv = uc_panel_vectors(p->outputs - column, VL, p->inputs);
    if (p->type != UC_F32 && nv == 2 && p->rows <= FEW_ROWS) {
        UC_ISA(matmul_few)(p, x, first, count, column);
        return;
    }
    const float *panel =
        row_in(p->packed, p->type, column * p->inputs, uc_panel_floats(p->inputs, VL, nv), own);
#define MATMUL_CALL(rows)                \
    (nv == 2 ? UC_ISA(matmul_##rows##_2) \
     : nv    ? UC_ISA(matmul_##rows##_1) \
             : UC_ISA(matmul_##rows##_0))(p, at, panel, first + r, column)
    for (int64_t r = 0, step; r < count; r += step) {
        step = tile_rows_at(count - r);
        const float *at = x + r * p->inputs;
        switch (step) {
#if UC_ISA_LANES == 16
        case 12: MATMUL_CALL(12); break;
#endif
        case 6: MATMUL_CALL(6); break;
        case 3: MATMUL_CALL(3); break;
        default: MATMUL_CALL(1); break;
        }
    }
#undef MATMUL_CALL
}

/* tmp: per thread a panel, used when weights are not f32, and ROW_BLOCK rows, used when x is not. */
static void UC_ISA(matmul_run)(const uc_launch *l, const void *packed, float *tmp) {
    const uc_view *x = &l->in[UC_MATMUL_X], *weight = &l->in[UC_MATMUL_WEIGHT];
    const uc_shape w = weight->shape;
    const product p = { l, packed, weight->dtype, uc_shape_count(x->shape) / w.dim[1], w.dim[1], w.dim[0] };
    const int64_t room = (int64_t)uc_cpu_panel_floats(weight);
    const int64_t blocks = uc_ceil_div(p.rows, ROW_BLOCK), group = PANEL_GROUP * 2 * VL;
    const int64_t groups = uc_ceil_div(p.outputs, group);
    UC_OMP(parallel for num_threads(uc_threads_for(l, p.rows * p.inputs * p.outputs / 16)) schedule(static))
    for (int64_t task = 0; task < blocks * groups; task++) {
        const int64_t first = task % blocks * ROW_BLOCK, count = uc_min64(ROW_BLOCK, p.rows - first);
        const int64_t begin = task / blocks * group, end = uc_min64(begin + group, p.outputs);
        float *own = tmp + uc_thread() * (room + ROW_BLOCK * p.inputs);
        const float *rows = row_in(x->data, x->dtype, first * p.inputs, count * p.inputs, own + room);
        for (int64_t column = begin; column < end; column += 2 * VL)
            UC_ISA(matmul_panel)(&p, rows, own, first, count, column);
    }
}

static void UC_ISA(matmul)(const uc_launch *l) {
    const uc_view *weight = &l->in[UC_MATMUL_WEIGHT];
    void *packed = l->scratch;
    uc_cpu_pack_for(UC_ISA_LANES == 16  ? UC_ISA_AVX512
                    : UC_ISA_LANES == 8 ? UC_ISA_AVX2
                                        : UC_ISA_BASE,
                    packed, weight, l->threads);
    UC_ISA(matmul_run)(l, packed, (float *)packed + uc_cpu_packed_bytes(weight) / sizeof(float));
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(matmul, matmul)

void uc_cpu_matmul_packed(const uc_launch *l, const void *packed) {
    typedef void (*runner)(const uc_launch *, const void *, float *);
    static const runner variants[UC_ISA_COUNT] = UC_CPU_VARIANT_LIST(matmul_run);
    if (uc_cpu_tiles_pay(l)) uc_cpu_tiles_packed(l, packed);
    else variants[uc_cpu_isa()](l, packed, l->scratch);
}

static size_t plain_scratch(const uc_launch *l) {
    const size_t rows = (size_t)(ROW_BLOCK * l->in[UC_MATMUL_WEIGHT].shape.dim[1]);
    const size_t panel = uc_cpu_panel_floats(&l->in[UC_MATMUL_WEIGHT]);
    if (l->in[UC_MATMUL_X].dtype == UC_F32 && !panel) return 0;
    return (size_t)l->threads * (rows + panel) * sizeof(float);
}

size_t uc_cpu_matmul_packed_scratch(const uc_launch *l) {
    return uc_cpu_tiles_pay(l) ? uc_cpu_tiles_scratch(l) : plain_scratch(l);
}

size_t uc_cpu_matmul_scratch(const uc_launch *l) {
    return uc_cpu_packed_bytes(&l->in[UC_MATMUL_WEIGHT]) + plain_scratch(l);
}
#endif

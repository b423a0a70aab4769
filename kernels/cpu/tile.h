/* tile.h - the multiply-add core of attention, matmul and conv2d: a few rows times a panel of columns, in registers.
 *
 * A panel is `nv` vectors wide (1 or 2) and lies as [k][nv * VL]. One of at most VL / 2 columns is `narrow` (nv 0):
 * its vectors hold two neighbours in k of each column, [k / 2][VL / 2][2], so that no half of a register idles; the
 * two sums are added at the end (tile_fold). Rows are lda apart. Every element of the tile is one chain of
 * multiply-adds in ascending k (or two), whatever the number of rows that are computed together; so a result depends
 * neither on how rows are grouped nor on the batch. Included once per instruction set, after simd.h. */

#ifndef UC_TILE_NAMES
#define UC_TILE_NAMES
#define TILE_ROWS UC_ISA(uc_tile_rows)
#define TILE_AHEAD UC_ISA(uc_tile_ahead)
#define tile_fma UC_ISA(uc_tile_fma)
#define tile_fma_as UC_ISA(uc_tile_fma_as)
#define tile_fma_narrow UC_ISA(uc_tile_fma_narrow)
#define tile_fold UC_ISA(uc_tile_fold)
#define tile_rows_at UC_ISA(uc_tile_rows_at)
/* Vectors of a row of accumulators. */
#define TILE_VECTORS(nv) ((nv) ? (nv) : 1)
#endif

/* Accumulators fill the register file: 12 x 2 of 32, or 6 x 2 of 16. */
enum { TILE_ROWS = UC_ISA_LANES == 16 ? 12 : 6 };

/* How many rows to take when `left` are left: 12, 6, 3 or 1. */
UC_SIMD int tile_rows_at(int64_t left) { return left >= TILE_ROWS ? TILE_ROWS : left >= 6 ? 6 : left >= 3 ? 3 : 1; }

/* Rows are addressed in threes from one pointer, as x86 can without further registers. */
#define TILE_EACH_ROW        \
    TILE_ROW(0, a0, 0)       \
    TILE_ROW(1, a0, lda)     \
    TILE_ROW(2, a0, 2 * lda) \
    TILE_ROW(3, a3, 0)       \
    TILE_ROW(4, a3, lda)     \
    TILE_ROW(5, a3, 2 * lda) \
    TILE_ROW(6, a6, 0)       \
    TILE_ROW(7, a6, lda)     \
    TILE_ROW(8, a6, 2 * lda) \
    TILE_ROW(9, a9, 0)       \
    TILE_ROW(10, a9, lda)    \
    TILE_ROW(11, a9, 2 * lda)

UC_SIMD void tile_fma_narrow(vf *restrict acc, const int rows, const float *a, int64_t lda, int64_t k,
                             const float *restrict b) {
    const float *a0 = a, *a3 = a + 3 * lda, *a6 = a + 6 * lda, *a9 = a + 9 * lda;
    for (int64_t i = 0; i < k; i += 2) {
        const vf pair = vf_load(b);
#define TILE_ROW(r, pointer, offset) \
    if (rows > (r)) acc[r] = vf_fma(vf_pair((pointer) + (offset)), pair, acc[r]);
        TILE_EACH_ROW
#undef TILE_ROW
        a0 += 2, a3 += 2, a6 += 2, a9 += 2;
        b += VL;
    }
}

/* Bytes ahead at which a panel from memory is asked for. */
enum { TILE_AHEAD = 2048 };

/* acc[r * nv + v] += sum over k of a[r * lda + k] * b[k * nv * VL + v * VL ...], b of some floating type; rows, nv and
 * type are constants where this is inlined. A panel that is not f32 comes from memory and is read once: asked for early,
 * it is there twice as fast. */
UC_SIMD void tile_fma_as(vf *restrict acc, const int rows, const int nv, const float *a, int64_t lda, int64_t k,
                         const void *restrict panel, const uc_dtype type) {
    const char *b = panel;
    const int64_t size = VL * (int64_t)uc_dtype_size(type);
    const float *a0 = a, *a3 = a + 3 * lda, *a6 = a + 6 * lda, *a9 = a + 9 * lda;
    for (int64_t i = 0; i < k; i++) {
        if (type != UC_F32) __builtin_prefetch(b + TILE_AHEAD, 0, 3);
        const vf b0 = vf_load_as(b, type), b1 = nv > 1 ? vf_load_as(b + size, type) : b0;
#define TILE_ROW(r, pointer, offset)                                  \
    if (rows > (r)) {                                                 \
        const vf x = vf_set((pointer)[offset]);                       \
        acc[(r)*nv] = vf_fma(x, b0, acc[(r)*nv]);                     \
        if (nv > 1) acc[(r)*nv + 1] = vf_fma(x, b1, acc[(r)*nv + 1]); \
    }
        TILE_EACH_ROW
#undef TILE_ROW
        a0++, a3++, a6++, a9++;
        b += nv * size;
    }
}

/* The same in f32, and with narrow panels. */
UC_SIMD void tile_fma(vf *restrict acc, const int rows, const int nv, const float *a, int64_t lda, int64_t k,
                      const float *restrict b) {
    if (nv == 0) tile_fma_narrow(acc, rows, a, lda, k, b);
    else tile_fma_as(acc, rows, nv, a, lda, k, b, UC_F32);
}

/* After the last step: narrow accumulators become rows of one vector. */
UC_SIMD void tile_fold(vf *acc, const int rows, const int nv) {
    for (int r = 0; nv == 0 && r < rows; r++) acc[r] = vf_fold(acc[r]);
}

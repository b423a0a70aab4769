/* move.c - see move.h. */
#include "move.h"

enum { TILE = 64 };

#define TURN_TILE(name, type)                                                                             \
    static void name(type *restrict y, const type *restrict x, int64_t rows, int64_t columns, int64_t r0, \
                     int64_t c0) {                                                                        \
        const int64_t r1 = uc_min64(r0 + TILE, rows), c1 = uc_min64(c0 + TILE, columns);                  \
        for (int64_t c = c0; c < c1; c++)                                                                 \
            for (int64_t r = r0; r < r1; r++) y[c * rows + r] = x[r * columns + c];                       \
    }
TURN_TILE(turn_tile32, uint32_t)
TURN_TILE(turn_tile16, uint16_t)

static void turn_tile_any(const uc_view *y, const uc_view *x, int64_t base, const int64_t size[2], int64_t r0,
                          int64_t c0) {
    const int64_t r1 = uc_min64(r0 + TILE, size[0]), c1 = uc_min64(c0 + TILE, size[1]);
    for (int64_t c = c0; c < c1; c++)
        for (int64_t r = r0; r < r1; r++)
            uc_set(y->data, y->dtype, base + c * size[0] + r, uc_get(x->data, x->dtype, base + r * size[1] + c));
}

void uc_cpu_turn_over(const uc_launch *l, const uc_view *y, const uc_view *x, int64_t batch, int64_t rows,
                      int64_t columns) {
    const int64_t down = uc_ceil_div(rows, TILE), across = uc_ceil_div(columns, TILE);
    const size_t size = uc_dtype_size(x->dtype);
    (void)l; /* without OpenMP */
    UC_OMP(parallel for num_threads(uc_threads_for(l, batch * rows * columns)) schedule(static))
    for (int64_t i = 0; i < batch * down * across; i++) {
        const int64_t n = i / (down * across), r = i / across % down * TILE, c = i % across * TILE;
        const int64_t base = n * rows * columns;
        if (x->dtype != y->dtype || (size != 4 && size != 2))
            turn_tile_any(y, x, base, (const int64_t[2]){ rows, columns }, r, c);
        else if (size == 4)
            turn_tile32((uint32_t *)y->data + base, (const uint32_t *)x->data + base, rows, columns, r, c);
        else turn_tile16((uint16_t *)y->data + base, (const uint16_t *)x->data + base, rows, columns, r, c);
    }
}

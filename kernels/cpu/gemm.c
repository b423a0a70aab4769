/* gemm.c - see gemm.h. */
#include "gemm.h"

static int lanes_of(uc_isa isa) { return isa == UC_ISA_AVX512 ? 16 : isa == UC_ISA_AVX2 ? 8 : 4; }

/* Inputs, and positions of the filter. */
static int64_t inputs_of(uc_shape w) { return w.dim[1]; }
static int64_t taps_of(uc_shape w) { return w.rank == 4 ? w.dim[2] * w.dim[3] : 1; }

size_t uc_cpu_packed_bytes(const uc_view *w) {
    /* enough for every instruction set */
    const size_t count = (size_t)(uc_round_up(w->shape.dim[0], 32) * inputs_of(w->shape) * taps_of(w->shape));
    return (count * uc_dtype_size(w->dtype) + 63) / 64 * 64;
}

size_t uc_cpu_panel_floats(const uc_view *w) {
    return w->dtype == UC_F32 ? 0 : (size_t)(32 * inputs_of(w->shape) * taps_of(w->shape));
}

/* A panel's columns; in narrow panels pairs of steps of k lie together. */
typedef struct panel_place {
    int64_t width;
    bool pairs;
} panel_place;

/* Inputs from ... end of one column: the filter of one output, which the file has as [input][tap], the panel as
 * [tap][input]. */
#define PACK_COLUMN(name, type)                                                                                       \
    static void name(type *panel, const type *filter, int64_t inputs, int64_t taps, panel_place p, int64_t c,         \
                     int64_t from, int64_t end) {                                                                     \
        for (int64_t i = from; i < end; i++)                                                                          \
            for (int64_t t = 0; t < taps; t++) {                                                                      \
                const int64_t step = t * inputs + i;                                                                  \
                panel[p.pairs ? (step / 2 * p.width + c) * 2 + step % 2 : step * p.width + c] = filter[i * taps + t]; \
            }                                                                                                         \
    }
PACK_COLUMN(pack_column_16, uint16_t)
PACK_COLUMN(pack_column_32, uint32_t)
#undef PACK_COLUMN

/* One panel from output `first` on; columns beyond the last output are zeros. A few inputs at a time, so that what is
 * written stays in the cache until every column has been there. */
static void pack_panel(void *packed, const uc_view *weight, int64_t first, panel_place p) {
    enum { TOGETHER = 256 };
    const int64_t inputs = inputs_of(weight->shape), taps = taps_of(weight->shape), k = inputs * taps;
    const int64_t columns = uc_min64(p.width, weight->shape.dim[0] - first), some = uc_max64(TOGETHER / taps, 1);
    const size_t size = uc_dtype_size(weight->dtype);
    char *panel = (char *)packed + (size_t)(first * k) * size;
    if (columns < p.width) memset(panel, 0, (size_t)(k * p.width) * size);
    for (int64_t from = 0; from < inputs; from += some)
        for (int64_t c = 0; c < columns; c++) {
            const void *filter = uc_at(weight->data, weight->dtype, (first + c) * k);
            const int64_t end = uc_min64(from + some, inputs);
            if (size == 2) pack_column_16((uint16_t *)(void *)panel, filter, inputs, taps, p, c, from, end);
            else pack_column_32((uint32_t *)(void *)panel, filter, inputs, taps, p, c, from, end);
        }
}

void uc_cpu_pack_for(uc_isa isa, void *packed, const uc_view *weight, int threads) {
    const uc_shape s = weight->shape;
    const int64_t lanes = lanes_of(isa), panels = uc_ceil_div(s.dim[0], 2 * lanes);
    const int64_t run = inputs_of(s) * (s.rank == 4 ? s.dim[3] : 1);
    (void)threads;
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t p = 0; p < panels; p++) {
        const int64_t first = p * 2 * lanes;
        const int vectors = uc_panel_vectors(s.dim[0] - first, lanes, run);
        const panel_place place = { .width = vectors ? vectors * lanes : lanes / 2, .pairs = vectors == 0 };
        pack_panel(packed, weight, first, place);
    }
}

void uc_cpu_pack(void *packed, const uc_view *weight, int threads) {
    uc_cpu_pack_for(uc_cpu_isa(), packed, weight, threads);
}

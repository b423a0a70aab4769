/* gemm.c - see gemm.h. */
#include "gemm.h"

static int lanes_of(uc_isa isa) { return isa == UC_ISA_AVX512 ? 16 : isa == UC_ISA_AVX2 ? 8 : 4; }

/* Inputs, and positions of the filter. */
static int64_t inputs_of(uc_shape w) { return w.dim[1]; }
static int64_t taps_of(uc_shape w) { return w.rank == 4 ? w.dim[2] * w.dim[3] : 1; }

size_t uc_cpu_packed_bytes(uc_shape w) {
    /* enough for every instruction set */
    return (size_t)(uc_round_up(w.dim[0], 16) * inputs_of(w) * taps_of(w)) * sizeof(float);
}

/* One panel of `width` columns from output `first` on; group is 2 where two steps of k lie together, else 1. */
static void pack_panel(float *panel, const uc_view *weight, int64_t first, int64_t width, int64_t group) {
    const int64_t inputs = inputs_of(weight->shape), taps = taps_of(weight->shape), k = inputs * taps;
    for (int64_t c = 0; c < width; c++) {
        const int64_t o = first + c;
        for (int64_t i = 0; i < inputs; i++)
            for (int64_t t = 0; t < taps; t++) {
                const int64_t step = t * inputs + i;
                float value = 0;
                if (o < weight->shape.dim[0])
                    uc_convert(&value, UC_F32, uc_at(weight->data, weight->dtype, o * k + i * taps + t), weight->dtype,
                               1);
                panel[(step / group * width + c) * group + step % group] = value;
            }
    }
}

void uc_cpu_pack_for(uc_isa isa, float *packed, const uc_view *weight, int threads) {
    const uc_shape s = weight->shape;
    const int64_t lanes = lanes_of(isa), k = inputs_of(s) * taps_of(s), panels = uc_ceil_div(s.dim[0], 2 * lanes);
    const int64_t run = inputs_of(s) * (s.rank == 4 ? s.dim[3] : 1);
    (void)threads;
    UC_OMP(parallel for num_threads(threads) schedule(static))
    for (int64_t p = 0; p < panels; p++) {
        const int64_t first = p * 2 * lanes;
        const int vectors = uc_panel_vectors(s.dim[0] - first, lanes, run);
        pack_panel(packed + first * k, weight, first, vectors ? vectors * lanes : lanes / 2, vectors ? 1 : 2);
    }
}

void uc_cpu_pack(float *packed, const uc_view *weight, int threads) {
    uc_cpu_pack_for(uc_cpu_isa(), packed, weight, threads);
}

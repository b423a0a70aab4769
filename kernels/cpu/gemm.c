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

/* One column of a panel: the filter of one output, given in runs of whole inputs. */
static void pack_column(float *panel, const uc_view *weight, int64_t o, int64_t c, int64_t width, int64_t group) {
    enum { RUN = 1024 };
    const int64_t inputs = inputs_of(weight->shape), taps = taps_of(weight->shape), most = uc_max64(RUN / taps, 1);
    float run[RUN];
    for (int64_t i = 0, count; i < inputs; i += count) {
        count = uc_min64(most, inputs - i);
        for (int64_t part = 0, size; part < count * taps; part += size) { /* a filter may exceed the buffer */
            size = uc_min64(RUN, count * taps - part);
            const int64_t from = (o * inputs + i) * taps + part;
            uc_convert(run, UC_F32, uc_at(weight->data, weight->dtype, from), weight->dtype, size);
            for (int64_t k = 0; k < size; k++) {
                const int64_t step = (part + k) % taps * inputs + i + (part + k) / taps;
                panel[(step / group * width + c) * group + step % group] = run[k];
            }
        }
    }
}

/* One panel of `width` columns from output `first` on; group is 2 where two steps of k lie together, else 1. */
static void pack_panel(float *panel, const uc_view *weight, int64_t first, int64_t width, int64_t group) {
    const int64_t k = inputs_of(weight->shape) * taps_of(weight->shape);
    for (int64_t c = 0; c < width; c++) {
        if (first + c < weight->shape.dim[0]) pack_column(panel, weight, first + c, c, width, group);
        else
            for (int64_t step = 0; step < k; step++) panel[(step / group * width + c) * group + step % group] = 0;
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

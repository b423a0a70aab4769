/* gemm.h - weights made ready for the plain C matmul and conv2d of every network of the flow.
 *
 * The kernels want the weights as panels of two vectors of output channels (the last panel may be one vector, or
 * narrow: see tile.h), each panel [k][channels of the panel], in f32 and padded with zeros; k runs over inputs, for
 * convolutions over (row, column, input channel) of the filter. Packing costs about as much as a dozen rows of the
 * product, so the backend does it once per weight; the uc_kernel forms pack into scratch. */
#ifndef UC_KERNELS_CPU_GEMM_H
#define UC_KERNELS_CPU_GEMM_H

#include "cpu.h"

/* Bytes of a packed weight [o, i] or [o, i, kh, kw], and the packing of it (for this machine's instructions). */
size_t uc_cpu_packed_bytes(uc_shape weight);
void uc_cpu_pack(float *packed, const uc_view *weight, int threads);

/* The width of the panel that begins where `left` outputs are left: 2 or 1 vectors, or 0 for narrow. run: how many
 * inputs lie together, the row of the filter for convolutions; pairs must not cross its end. */
static inline int uc_panel_vectors(int64_t left, int64_t lanes, int64_t run) {
    return left > lanes ? 2 : left <= lanes / 2 && run % 2 == 0 ? 0 : 1;
}

/* Any variant's layout, for tests. */
void uc_cpu_pack_for(uc_isa isa, float *packed, const uc_view *weight, int threads);

/* The operations on a packed weight; in[WEIGHT] then only gives the shape. Their scratch comes without the packing. */
void uc_cpu_matmul_packed(const uc_launch *l, const float *packed);
size_t uc_cpu_matmul_packed_scratch(const uc_launch *l);
void uc_cpu_conv2d_packed(const uc_launch *l, const float *packed);
size_t uc_cpu_conv2d_packed_scratch(const uc_launch *l);

#endif

/* gemm.h - weights made ready for the plain C matmul and conv2d of every network of the flow.
 *
 * The kernels want the weights as panels of two vectors of output channels (the last panel may be one vector, or
 * narrow: see tile.h), each panel [k][channels of the panel], padded with zeros; k runs over inputs, for convolutions
 * over (row, column, input channel) of the filter. Numbers keep the type that they have in the file: half of the memory
 * and, where few rows meet many weights as in the prior's steps, half of the time. A panel becomes f32 when it is used.
 * Packing costs about as much as a dozen rows of the product, so the backend does it once per weight; the uc_kernel
 * forms pack into scratch. */
#ifndef UC_KERNELS_CPU_GEMM_H
#define UC_KERNELS_CPU_GEMM_H

#include "cpu.h"

/* Bytes of a packed weight [o, i] or [o, i, kh, kw], and the packing of it (for this machine's instructions). */
size_t uc_cpu_packed_bytes(const uc_view *weight);
void uc_cpu_pack(void *packed, const uc_view *weight, int threads);

/* Floats of its widest panel, or 0 when it is f32 already: what a thread needs to use a panel. */
size_t uc_cpu_panel_floats(const uc_view *weight);

/* The width of the panel that begins where `left` outputs are left: 2 or 1 vectors, or 0 for narrow. run: how many
 * inputs lie together, the row of the filter for convolutions; pairs must not cross its end. */
static inline int uc_panel_vectors(int64_t left, int64_t lanes, int64_t run) {
    return left > lanes ? 2 : left <= lanes / 2 && run % 2 == 0 ? 0 : 1;
}

/* Floats of a panel of nv vectors (0: narrow) over k. */
static inline int64_t uc_panel_floats(int64_t k, int64_t lanes, int nv) { return nv ? k * nv * lanes : k * lanes / 2; }

/* Any variant's layout, for tests. */
void uc_cpu_pack_for(uc_isa isa, void *packed, const uc_view *weight, int threads);

/* The operations on a packed weight; in[WEIGHT] then only gives shape and type. Their scratch comes without the
 * packing. */
void uc_cpu_matmul_packed(const uc_launch *l, const void *packed);
size_t uc_cpu_matmul_packed_scratch(const uc_launch *l);
void uc_cpu_conv2d_packed(const uc_launch *l, const void *packed);
size_t uc_cpu_conv2d_packed_scratch(const uc_launch *l);

/* The same on the processor's int8 tiles, in f32's precision (matmul_tiles.c): linear layers, and convolutions of 1 x 1
 * and 3 x 3. Whether machine and shape allow it; whether it is then the fastest, and what the operations above do.
 * These depend on one image's shape. */
bool uc_cpu_tiles_can(const uc_launch *l);
bool uc_cpu_tiles_pay(const uc_launch *l);
void uc_cpu_tiles_packed(const uc_launch *l, const void *packed);
size_t uc_cpu_tiles_scratch(const uc_launch *l);

#endif

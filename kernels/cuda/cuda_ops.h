/* cuda_ops.h - the hand-written CUDA kernels as the rest of the engine sees them: one launcher an operation, for every
 * arrow of the flow. Convolution and matmul are the libraries' (cuDNN, cuBLASLt) and are not here.
 *
 * A launcher checks what its kernel cannot do, picks the first row of its table that fits the shape, and enqueues; it
 * never allocates, prints or waits. All pointers of the launch are the device's, uc_launch.step included. Which row is
 * picked depends on one image's shape and the types, never on the batch, so that a picture's bytes do not either. */
#ifndef UC_KERNELS_CUDA_OPS_H
#define UC_KERNELS_CUDA_OPS_H

#ifdef __cplusplus
#include <math.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#endif

#include "../ops.h"

/* What cudaStream_t is; NULL for the emulator and for the default stream. */
struct CUstream_st;
typedef struct CUstream_st *uc_cuda_stream;

/* The rows of an operation's table of specialisations, and the one that a launch gets (-1: none, or no launch
 * given). */
enum { UC_CUDA_MAX_ROWS = 64 };
typedef struct uc_cuda_rows {
    int count, chosen;
    const char *name[UC_CUDA_MAX_ROWS];
} uc_cuda_rows;

typedef struct uc_cuda_kernel_entry {
    unclip_status (*run)(const uc_launch *launch, uc_cuda_stream stream, unclip_error *err);
    size_t (*scratch)(const uc_launch *launch); /* bytes, from shapes alone: data pointers are not read */
    uc_cuda_rows (*rows)(const uc_launch *launch);
} uc_cuda_kernel_entry;

#define UC_CUDA_OPS(X) \
    X(group_norm) X(layer_norm) X(attention) X(embedding) X(timestep) X(activation) X(add) X(scale_shift) X(resample) \
    X(concat) X(repeat) X(select_row) X(gather_token) X(slice) X(transpose) X(image_to_tokens) X(tokens_to_image) \
    X(noise_step) X(sample_token) X(to_bytes) X(reorder)

#define UC_CUDA_DECLARE(name) \
    unclip_status uc_cuda_##name(const uc_launch *launch, uc_cuda_stream stream, unclip_error *err); \
    size_t uc_cuda_##name##_scratch(const uc_launch *launch); \
    uc_cuda_rows uc_cuda_##name##_rows(const uc_launch *launch);
UC_CUDA_OPS(UC_CUDA_DECLARE)
#undef UC_CUDA_DECLARE

/* All NULL for an operation that a library computes. */
uc_cuda_kernel_entry uc_cuda_kernel(uc_op_kind kind);

/* Bytes: what divides the address of each image of a tensor that begins at a multiple of 256, as values of an arena and
 * weights do. Libraries choose by it, and it must not depend on which image it is. */
static inline size_t uc_cuda_image_alignment(const uc_view *v) {
    const int64_t images = v->shape.rank > 1 ? v->shape.dim[0] : 1;
    const size_t bytes = (size_t)(uc_shape_count(v->shape) / images) * uc_dtype_size(v->dtype);
    const size_t lowest = bytes & (~bytes + 1);
    return lowest && lowest < 256 ? lowest : 256;
}

#ifdef __cplusplus
}
#endif
#endif

/* libraries.h - the two operations that NVIDIA's libraries compute: matmul by cuBLASLt, conv2d by cuDNN; the bulk of
 * the arithmetic of every arrow of the flow.
 *
 * What computes a launch is chosen by the library's heuristic for the shape of one image and kept for every batch size,
 * so that a picture's bytes depend neither on its batch nor on timing. Choices are kept by shape until the end. */
#ifndef UC_KERNELS_CUDA_LIBRARIES_H
#define UC_KERNELS_CUDA_LIBRARIES_H

#include "cuda_ops.h"

typedef struct uc_cuda_libraries uc_cuda_libraries;
typedef struct uc_cuda_library_op uc_cuda_library_op; /* what was chosen; owned by the libraries */

uc_cuda_libraries *uc_cuda_libraries_new(void); /* NULL when out of memory; handles are made at the first use */
void uc_cuda_libraries_free(uc_cuda_libraries *libs);

/* Bytes of scratch, 0 when nothing was found (prepare then says why). Of the current device. */
size_t uc_cuda_library_scratch(uc_cuda_libraries *libs, const uc_launch *launch);
unclip_status uc_cuda_library_prepare(uc_cuda_libraries *libs, const uc_launch *launch, const uc_cuda_library_op **op,
                                      unclip_error *err);
unclip_status uc_cuda_library_run(uc_cuda_libraries *libs, const uc_cuda_library_op *op, const uc_launch *launch,
                                  uc_cuda_stream stream, unclip_error *err);

/* ---- each library's part ----------------------------------------------------------------------------------------- */

/* Chosen for one image, of a shape that does not mention the batch. */
struct uc_cuda_library_op {
    uc_launch key;
    void *choice;
    size_t scratch;
};

void *uc_cublaslt_open(unclip_error *err);
void uc_cublaslt_close(void *handle);
unclip_status uc_cublaslt_choose(void *handle, uc_cuda_library_op *op, unclip_error *err);
void uc_cublaslt_forget(void *choice);
unclip_status uc_cublaslt_run(void *handle, const uc_cuda_library_op *op, const uc_launch *launch,
                              uc_cuda_stream stream, unclip_error *err);

void *uc_cudnn_open(unclip_error *err);
void uc_cudnn_close(void *handle);
unclip_status uc_cudnn_choose(void *handle, uc_cuda_library_op *op, unclip_error *err);
void uc_cudnn_forget(void *choice);
/* After uc_cudnn_choose: the same engine for a batch, if it takes that shape; and the scratch of the batch. */
unclip_status uc_cudnn_choose_batch(void *handle, const uc_cuda_library_op *op, int64_t batch, unclip_error *err);
size_t uc_cudnn_scratch(const uc_cuda_library_op *op, int64_t batch);
unclip_status uc_cudnn_run(void *handle, const uc_cuda_library_op *op, const uc_launch *launch, uc_cuda_stream stream,
                           unclip_error *err);

#endif

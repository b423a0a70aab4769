/* libraries.c - see libraries.h. Which library computes what, and what was chosen so far, by the shape of one image. */
#include "libraries.h"

#include <stdlib.h>
#include <string.h>

struct uc_cuda_libraries {
    void *blas, *dnn;
    uc_cuda_library_op **ops;
    size_t count, capacity;
};

uc_cuda_libraries *uc_cuda_libraries_new(void) { return calloc(1, sizeof(uc_cuda_libraries)); }

void uc_cuda_libraries_free(uc_cuda_libraries *libs) {
    if (!libs) return;
    for (size_t i = 0; i < libs->count; i++) {
        if (libs->ops[i]->key.kind == UC_OP_matmul) uc_cublaslt_forget(libs->ops[i]->choice);
        else uc_cudnn_forget(libs->ops[i]->choice);
        free(libs->ops[i]);
    }
    free(libs->ops);
    if (libs->blas) uc_cublaslt_close(libs->blas);
    if (libs->dnn) uc_cudnn_close(libs->dnn);
    free(libs);
}

/* The launch without memory, for one image. */
static uc_launch key_of(const uc_launch *l) {
    uc_launch key;
    memset(&key, 0, sizeof key); /* padding too: keys are compared as bytes */
    key.kind = l->kind;
    key.attrs = l->attrs;
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        const bool image = k == UC_CONV_X || k == UC_CONV_RESIDUAL;
        key.in[k].shape = l->in[k].shape;
        key.in[k].dtype = l->in[k].dtype;
        key.in[k].layout = l->in[k].layout;
        if (image && key.in[k].shape.rank) key.in[k].shape.dim[0] = 1;
    }
    key.out[0].shape = l->out[0].shape;
    key.out[0].dtype = l->out[0].dtype;
    key.out[0].layout = l->out[0].layout;
    if (key.out[0].shape.rank) key.out[0].shape.dim[0] = 1;
    return key;
}

static bool same_view(const uc_view *a, const uc_view *b) {
    return a->dtype == b->dtype && a->layout == b->layout && a->shape.rank == b->shape.rank &&
           (!a->shape.rank || uc_shape_equal(a->shape, b->shape));
}

static bool same_key(const uc_launch *a, const uc_launch *b) {
    bool same = a->kind == b->kind && same_view(&a->out[0], &b->out[0]);
    for (int k = 0; k < UC_MAX_INPUTS; k++) same = same && same_view(&a->in[k], &b->in[k]);
    if (a->kind == UC_OP_matmul) return same && a->attrs.matmul.act == b->attrs.matmul.act;
    return same && a->attrs.conv2d.stride == b->attrs.conv2d.stride && a->attrs.conv2d.pad == b->attrs.conv2d.pad;
}

static unclip_status open_library(uc_cuda_libraries *libs, uc_op_kind kind, unclip_error *err) {
    if (kind == UC_OP_matmul && !libs->blas) libs->blas = uc_cublaslt_open(err);
    if (kind == UC_OP_conv2d && !libs->dnn) libs->dnn = uc_cudnn_open(err);
    return (kind == UC_OP_matmul ? libs->blas : libs->dnn) ? UNCLIP_OK : UNCLIP_ERR_UNSUPPORTED;
}

static unclip_status add(uc_cuda_libraries *libs, const uc_launch *key, unclip_error *err) {
    if (libs->count == libs->capacity) {
        const size_t capacity = libs->capacity ? 2 * libs->capacity : 64;
        uc_cuda_library_op **grown = realloc(libs->ops, capacity * sizeof *grown);
        if (!grown) return uc_fail_memory(err, capacity * sizeof *grown, "chosen kernels");
        libs->ops = grown;
        libs->capacity = capacity;
    }
    uc_cuda_library_op *op = calloc(1, sizeof *op);
    if (!op) return uc_fail_memory(err, sizeof *op, "a chosen kernel");
    op->key = *key;
    const unclip_status status = key->kind == UC_OP_matmul ? uc_cublaslt_choose(libs->blas, op, err)
                                                           : uc_cudnn_choose(libs->dnn, op, err);
    if (status) free(op);
    else libs->ops[libs->count++] = op;
    return status;
}

unclip_status uc_cuda_library_prepare(uc_cuda_libraries *libs, const uc_launch *l, const uc_cuda_library_op **op,
                                      unclip_error *err) {
    *op = NULL;
    if (l->kind != UC_OP_matmul && l->kind != UC_OP_conv2d)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "%s: no CUDA kernel", uc_op_info_of(l->kind)->name);
    const uc_launch key = key_of(l);
    for (size_t i = 0; i < libs->count && !*op; i++)
        if (same_key(&libs->ops[i]->key, &key)) *op = libs->ops[i];
    unclip_status status = *op ? UNCLIP_OK : open_library(libs, l->kind, err);
    if (!status && !*op) {
        status = add(libs, &key, err);
        if (!status) *op = libs->ops[libs->count - 1];
    }
    if (!status && l->kind == UC_OP_conv2d)
        status = uc_cudnn_choose_batch(libs->dnn, *op, l->out[0].shape.dim[0], err);
    if (status) *op = NULL;
    return status;
}

size_t uc_cuda_library_scratch(uc_cuda_libraries *libs, const uc_launch *l) {
    const uc_cuda_library_op *op = NULL;
    if (uc_cuda_library_prepare(libs, l, &op, NULL)) return 0;
    return l->kind == UC_OP_conv2d ? uc_cudnn_scratch(op, l->out[0].shape.dim[0]) : op->scratch;
}

unclip_status uc_cuda_library_run(uc_cuda_libraries *libs, const uc_cuda_library_op *op, const uc_launch *l,
                                  uc_cuda_stream stream, unclip_error *err) {
    if (!op) return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s was not prepared", uc_op_info_of(l->kind)->name);
    return l->kind == UC_OP_matmul ? uc_cublaslt_run(libs->blas, op, l, stream, err)
                                   : uc_cudnn_run(libs->dnn, op, l, stream, err);
}

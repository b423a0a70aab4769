/* matmul_cublaslt.c - matmul by cuBLASLt: every linear layer of the flow.
 *
 *   out [m, o] = act(x [m, i] weight[o, i]^T + bias [o]) + residual [m, o]        (m: the rows of one image)
 *
 * The library thinks in columns: out^T [o, m] = weight^T' x^T, with weight [o, i] seen as a column-major [i, o] matrix
 * that is transposed. Sums are f32, TF32 is never used. The bias is the library's epilogue; without an activation the
 * residual is its C matrix, otherwise both follow in kernels of ours, in place.
 *
 * One algorithm is chosen for the rows of one image. A batch is one call with that algorithm and as many strided
 * matrices, which all have the one weight; where the algorithm does not take that, or wants more workspace for it,
 * it is called for each image. Either way an image's sums are those that it has alone. Matrices need not begin at
 * multiples of 256, as cuBLASLt supposes unless told otherwise: images lie side by side. The workspace must. */
#include <cublasLt.h>
#include <stdlib.h>

#include "libraries.h"

enum { MOST_WORKSPACE = 32 << 20 }; /* what cuBLAS recommends for an H100 */

typedef struct chosen {
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t weight, x, out;
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
    bool fused_residual;
    int64_t batch;        /* that the layouts say */
    int64_t asked;        /* the batch that was asked about last, 0 = none yet */
    bool together;        /* ... and whether the algorithm takes it in one call */
} chosen;

static unclip_status check(cublasStatus_t s, const char *what, unclip_error *err) {
    if (s == CUBLAS_STATUS_SUCCESS) return UNCLIP_OK;
    const unclip_status status = s == CUBLAS_STATUS_ALLOC_FAILED    ? UNCLIP_ERR_MEMORY
                                 : s == CUBLAS_STATUS_NOT_SUPPORTED ? UNCLIP_ERR_UNSUPPORTED
                                                                    : UNCLIP_ERR_DEVICE;
    return uc_fail(err, status, "matmul: cuBLASLt: %s: %s", what, cublasLtGetStatusString(s));
}

void *uc_cublaslt_open(unclip_error *err) {
    cublasLtHandle_t handle = NULL;
    return check(cublasLtCreate(&handle), "opening", err) ? NULL : handle;
}

void uc_cublaslt_close(void *handle) { (void)cublasLtDestroy(handle); }

void uc_cublaslt_forget(void *choice) {
    chosen *c = choice;
    if (!c) return;
    if (c->weight) (void)cublasLtMatrixLayoutDestroy(c->weight);
    if (c->x) (void)cublasLtMatrixLayoutDestroy(c->x);
    if (c->out) (void)cublasLtMatrixLayoutDestroy(c->out);
    if (c->desc) (void)cublasLtMatmulDescDestroy(c->desc);
    free(c);
}

static cudaDataType_t type_of(uc_dtype t) { return t == UC_F16 ? CUDA_R_16F : t == UC_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

static bool given(const uc_view *v) { return v->shape.rank > 0; }

/* Rows of one image: all but the first and the last dimension. */
static int64_t rows_of_image(const uc_view *v) {
    int64_t rows = 1;
    for (int d = 1; d < v->shape.rank - 1; d++) rows *= v->shape.dim[d];
    return rows;
}

static int64_t images_of(const uc_view *v) { return v->shape.rank > 1 ? v->shape.dim[0] : 1; }

static unclip_status describe(chosen *c, const uc_launch *key, unclip_error *err) {
    const cudaDataType_t type = type_of(key->in[UC_MATMUL_X].dtype);
    const uint64_t i = (uint64_t)key->in[UC_MATMUL_WEIGHT].shape.dim[1],
                   o = (uint64_t)key->in[UC_MATMUL_WEIGHT].shape.dim[0];
    const uint64_t m = (uint64_t)rows_of_image(&key->in[UC_MATMUL_X]);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    unclip_status status = check(cublasLtMatmulDescCreate(&c->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing", err);
    if (!status)
        status = check(cublasLtMatmulDescSetAttribute(c->desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                                      sizeof transposed), "describing", err);
    if (!status && given(&key->in[UC_MATMUL_BIAS])) {
        const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        /* the choice comes before the bias: an address as even as weights have it, which nobody reads */
        const void *somewhere = (const void *)(uintptr_t)256;
        status =
            check(cublasLtMatmulDescSetAttribute(c->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue),
                  "describing the bias", err);
        if (!status)
            status = check(cublasLtMatmulDescSetAttribute(c->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &somewhere,
                                                          sizeof somewhere), "describing the bias", err);
    }
    if (!status) status = check(cublasLtMatrixLayoutCreate(&c->weight, type, i, o, (int64_t)i), "describing", err);
    if (!status) status = check(cublasLtMatrixLayoutCreate(&c->x, type, i, m, (int64_t)i), "describing", err);
    if (!status) status = check(cublasLtMatrixLayoutCreate(&c->out, type, o, m, (int64_t)o), "describing", err);
    return status;
}

/* How far each matrix may be from a multiple of 256 (a is the weight, b is x, c and d the result), and that parts of a
 * sum are kept in f32: in the result's type they would be rounded once more. */
static unclip_status prefer(cublasLtMatmulPreference_t preference, const uc_launch *key, unclip_error *err) {
    const uint64_t most = MOST_WORKSPACE;
    const uint32_t x = (uint32_t)uc_cuda_image_alignment(&key->in[UC_MATMUL_X]);
    const uint32_t out = (uint32_t)uc_cuda_image_alignment(&key->out[0]);
    const struct { cublasLtMatmulPreferenceAttributes_t name; uint32_t value; } wanted[] = {
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 256 }, { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, x },
        { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out }, { CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out },
        { CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE },
    };
    unclip_status status = check(cublasLtMatmulPreferenceSetAttribute(
                                     preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most),
                                 "choosing", err);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && !status; i++)
        status = check(cublasLtMatmulPreferenceSetAttribute(preference, wanted[i].name, &wanted[i].value,
                                                            sizeof wanted[i].value), "choosing", err);
    return status;
}

static unclip_status pick(cublasLtHandle_t handle, chosen *c, const uc_launch *key, unclip_error *err) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    unclip_status status = check(cublasLtMatmulPreferenceCreate(&preference), "choosing", err);
    if (status) return status;
    status = prefer(preference, key, err);
    if (!status)
        status = check(cublasLtMatmulAlgoGetHeuristic(handle, c->desc, c->weight, c->x, c->out, c->out, preference, 1,
                                                      &found, &count), "choosing", err);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    if (status) return status;
    if (!count) return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "matmul: cuBLASLt has no algorithm for this shape");
    c->algo = found.algo;
    c->workspace = found.workspaceSize;
    return UNCLIP_OK;
}

unclip_status uc_cublaslt_choose(void *handle, uc_cuda_library_op *op, unclip_error *err) {
    chosen *c = calloc(1, sizeof *c);
    if (!c) return uc_fail_memory(err, sizeof *c, "a matmul");
    c->fused_residual = given(&op->key.in[UC_MATMUL_RESIDUAL]) && op->key.attrs.matmul.act == UC_ACT_NONE;
    unclip_status status = describe(c, &op->key, err);
    if (!status) status = pick(handle, c, &op->key, err);
    if (status) {
        uc_cublaslt_forget(c);
        return status;
    }
    op->choice = c;
    op->scratch = c->workspace;
    return UNCLIP_OK;
}

/* What the library's epilogue does not do, on the finished product. */
static unclip_status finish(const chosen *c, const uc_launch *l, uc_cuda_stream stream, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    if (l->attrs.matmul.act != UC_ACT_NONE) {
        const uc_launch act = { .kind = UC_OP_activation, .attrs.activation = { l->attrs.matmul.act },
                                .in = { l->out[0] }, .out = { l->out[0] } };
        status = uc_cuda_activation(&act, stream, err);
    }
    if (!status && l->in[UC_MATMUL_RESIDUAL].data && !c->fused_residual) {
        const uc_launch sum = { .kind = UC_OP_add,
                                .in = { l->out[0], l->in[UC_MATMUL_RESIDUAL] },
                                .out = { l->out[0] } };
        status = uc_cuda_add(&sum, stream, err);
    }
    return status;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static unclip_status set_batch(cublasLtMatrixLayout_t layout, int64_t count, int64_t stride, unclip_error *err) {
    const int32_t batch = (int32_t)count;
    unclip_status status = check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                                                  sizeof batch), "describing a batch", err);
    if (!status)
        status = check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                                        sizeof stride), "describing a batch", err);
    return status;
}

/* Numbers from one image's matrix to the next; the weight is that of all. */
static unclip_status set_layouts(chosen *c, const uc_launch *l, int64_t count, unclip_error *err) {
    if (c->batch == count) return UNCLIP_OK;
    const int64_t x = uc_shape_count(l->in[UC_MATMUL_X].shape) / images_of(&l->in[UC_MATMUL_X]);
    const int64_t out = uc_shape_count(l->out[0].shape) / images_of(&l->out[0]);
    c->batch = 0; /* none, should this fail */
    unclip_status status = set_batch(c->weight, count, 0, err);
    if (!status) status = set_batch(c->x, count, x, err);
    if (!status) status = set_batch(c->out, count, out, err);
    if (!status) c->batch = count;
    return status;
}

/* Leaves the layouts as the call wants them: for all images, or for one. */
static unclip_status ask_together(cublasLtHandle_t handle, chosen *c, const uc_launch *l, int64_t images,
                                  unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    if (c->asked != images) {
        cublasLtMatmulHeuristicResult_t result;
        status = set_layouts(c, l, images, err);
        if (status) return status;
        c->together = cublasLtMatmulAlgoCheck(handle, c->desc, c->weight, c->x, c->out, c->out, &c->algo, &result) ==
                          CUBLAS_STATUS_SUCCESS &&
                      result.workspaceSize <= c->workspace;
        c->asked = images;
    }
    return set_layouts(c, l, c->together ? images : 1, err);
}

static const void *image_at(const uc_view *v, int64_t image) {
    const size_t bytes = (size_t)(uc_shape_count(v->shape) / images_of(v)) * uc_dtype_size(v->dtype);
    return (const char *)v->data + (size_t)image * bytes;
}

unclip_status uc_cublaslt_run(void *handle, const uc_cuda_library_op *op, const uc_launch *l, uc_cuda_stream stream,
                              unclip_error *err) {
    chosen *c = op->choice;
    const float one = 1, beta = c->fused_residual ? 1.0f : 0.0f;
    const uc_view *out = &l->out[0];
    const void *bias = l->in[UC_MATMUL_BIAS].data;
    const int64_t images = images_of(out);
    unclip_status status = ask_together(handle, c, l, images, err);
    if (!status && bias)
        status = check(cublasLtMatmulDescSetAttribute(c->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias),
                       "setting the bias", err);
    for (int64_t n = 0; n < images && !status; n += c->batch) {
        void *to = (void *)(uintptr_t)image_at(out, n);
        const void *add = c->fused_residual ? image_at(&l->in[UC_MATMUL_RESIDUAL], n) : to;
        status = check(cublasLtMatmul(handle, c->desc, &one, l->in[UC_MATMUL_WEIGHT].data, c->weight,
                                      image_at(&l->in[UC_MATMUL_X], n), c->x, &beta, add, c->out, to, c->out, &c->algo,
                                      l->scratch, c->workspace, (cudaStream_t)stream), "multiplying", err);
    }
    return status ? status : finish(c, l, stream, err);
}

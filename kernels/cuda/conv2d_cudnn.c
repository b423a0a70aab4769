/* conv2d_cudnn.c - 2-D convolution by cuDNN's graphs: the bulk of the decoder and the upsamplers.
 *
 *   out = conv(x, weight) + bias + residual, pictures and filters with their channels innermost, sums in f32
 *
 * One graph holds convolution and both sums where cuDNN has an engine for that, which it has when the residual is added
 * before the bias; otherwise the convolution is alone and the sums follow in kernels of ours. The first engine that the
 * heuristic names for the shape of one image, and that is deterministic and keeps f32 out of tensor cores (which round
 * it to TF32), is kept for every batch: a batch gets a plan with this engine and these knobs (tiles, split of sums), so
 * that each image's sums are taken in the same order. Where the engine refuses the batch's shape, or the batch has more
 * than 2^31 elements, its images are convolved one by one. That a batch does have the bytes of its images alone is what the cases of unclip-check-ops with
 * several images compare, on the device; what is chosen for an H100, tests/nvcc/cudnn_plans.c asks without one. */
#include <cudnn.h>
#include <stdlib.h>
#include <string.h>

#include "libraries.h"

enum { ID_X = 'x', ID_WEIGHT = 'w', ID_BIAS = 'b', ID_RESIDUAL = 'r', ID_OUT = 'y', ID_PRODUCT = 'p', ID_SUM = 's' };
enum { MOST_PARTS = 112, MOST_CONFIGS = 64 };

typedef cudnnBackendDescriptor_t part;

/* An engine and its settings, which can be given to a graph of another shape. */
typedef struct recipe {
    int64_t engine; /* its global index */
    int64_t knobs;
    cudnnBackendKnobType_t knob[CUDNN_KNOB_TYPE_COUNTS];
    int64_t value[CUDNN_KNOB_TYPE_COUNTS];
} recipe;

typedef struct chosen {
    part parts[MOST_PARTS]; /* all that was made, to be destroyed */
    int count;
    part plan;              /* NULL where the engine does not take the batch */
    int64_t workspace;
    int64_t batch;
    bool fused;
    bool repeatable;        /* for one image: the recipe is known */
    recipe recipe;
    struct chosen *next;    /* the same for another batch */
} chosen;

static unclip_status check(cudnnStatus_t s, const char *what, unclip_error *err) {
    if (s == CUDNN_STATUS_SUCCESS) return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_DEVICE, "conv2d: cuDNN: %s: %s", what, cudnnGetErrorString(s));
}

void *uc_cudnn_open(unclip_error *err) {
    cudnnHandle_t handle = NULL;
    return check(cudnnCreate(&handle), "opening", err) ? NULL : handle;
}

void uc_cudnn_close(void *handle) { (void)cudnnDestroy(handle); }

static void destroy_parts(chosen *c) {
    while (c->count) (void)cudnnBackendDestroyDescriptor(c->parts[--c->count]);
    c->plan = NULL;
}

void uc_cudnn_forget(void *choice) {
    for (chosen *c = choice, *next; c; c = next) {
        next = c->next;
        destroy_parts(c);
        free(c);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static cudnnStatus_t make(chosen *c, cudnnBackendDescriptorType_t type, part *made) {
    if (c->count == MOST_PARTS) return CUDNN_STATUS_ALLOC_FAILED;
    const cudnnStatus_t s = cudnnBackendCreateDescriptor(type, made);
    if (s == CUDNN_STATUS_SUCCESS) c->parts[c->count++] = *made;
    return s;
}

typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *values;
} attribute;

/* Sets what is given and finalises. */
static cudnnStatus_t describe(part p, const attribute *attributes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const attribute *a = &attributes[i];
        const cudnnStatus_t s = cudnnBackendSetAttribute(p, a->name, a->type, a->count, a->values);
        if (s != CUDNN_STATUS_SUCCESS) return s;
    }
    return cudnnBackendFinalize(p);
}

#define DESCRIBE(p, ...) \
    describe((p), (const attribute[]){ __VA_ARGS__ }, sizeof((const attribute[]){ __VA_ARGS__ }) / sizeof(attribute))

static cudnnDataType_t type_of(uc_dtype t) {
    return t == UC_F16 ? CUDNN_DATA_HALF : t == UC_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/* alignment: in bytes, of every address that it will have. */
static cudnnStatus_t make_tensor(chosen *c, int64_t id, const uc_view *v, int64_t alignment, bool intermediate,
                                 part *made) {
    const int64_t *d = v->shape.dim;
    const bool inner = v->layout == UC_NHWC;
    const int64_t strides[4] = { d[1] * d[2] * d[3], inner ? 1 : d[2] * d[3], inner ? d[3] * d[1] : d[3],
                                 inner ? d[1] : 1 };
    const cudnnDataType_t type = intermediate ? CUDNN_DATA_FLOAT : type_of(v->dtype);
    const cudnnStatus_t s = make(c, CUDNN_BACKEND_TENSOR_DESCRIPTOR, made);
    if (s != CUDNN_STATUS_SUCCESS) return s;
    return DESCRIBE(*made, { CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id },
                    { CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type },
                    { CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, d },
                    { CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides },
                    { CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment },
                    { CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &intermediate });
}

static cudnnStatus_t make_convolution(chosen *c, uc_conv2d_attrs attrs, part x, part weight, part y, part *made) {
    const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, pad[2] = { attrs.pad, attrs.pad }, stride[2] = { attrs.stride, attrs.stride };
    const int64_t dilation[2] = { 1, 1 };
    const float one = 1, zero = 0;
    part convolution;
    cudnnStatus_t s = make(c, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, &convolution);
    if (s == CUDNN_STATUS_SUCCESS)
        s = DESCRIBE(convolution, { CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums },
                     { CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode },
                     { CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims },
                     { CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad },
                     { CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad },
                     { CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride },
                     { CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation });
    if (s == CUDNN_STATUS_SUCCESS) s = make(c, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, made);
    if (s != CUDNN_STATUS_SUCCESS) return s;
    return DESCRIBE(
        *made, { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &convolution },
        { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x },
        { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &weight },
        { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y },
        { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &one },
        { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &zero });
}

static cudnnStatus_t make_sum(chosen *c, part a, part b, part y, part *made) {
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    part sum;
    cudnnStatus_t s = make(c, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &sum);
    if (s == CUDNN_STATUS_SUCCESS)
        s = DESCRIBE(sum, { CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode },
                     { CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type });
    if (s == CUDNN_STATUS_SUCCESS) s = make(c, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, made);
    if (s != CUDNN_STATUS_SUCCESS) return s;
    return DESCRIBE(*made, { CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &sum },
                    { CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &a },
                    { CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &b },
                    { CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y });
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

static bool given(const uc_view *v) { return v->shape.rank > 0; }

/* No engine asks for more than 16. */
static int64_t alignment_of(const uc_view *v) {
    const size_t bytes = uc_cuda_image_alignment(v);
    return bytes < 16 ? (int64_t)bytes : 16;
}

/* [o] as a picture of one pixel. */
static uc_view bias_picture(const uc_view *bias) {
    uc_view v = *bias;
    v.shape = UC_SHAPE4(1, bias->shape.dim[0], 1, 1);
    v.layout = UC_NHWC;
    return v;
}

static cudnnStatus_t make_operations(chosen *c, const uc_launch *key, part ops[3], int64_t *count) {
    const bool bias = c->fused && given(&key->in[UC_CONV_BIAS]),
               residual = c->fused && given(&key->in[UC_CONV_RESIDUAL]);
    part x, weight, product, addend, sum, out;
    const int64_t here = alignment_of(&key->out[0]);
    cudnnStatus_t s = make_tensor(c, ID_X, &key->in[UC_CONV_X], alignment_of(&key->in[UC_CONV_X]), false, &x);
    if (s == CUDNN_STATUS_SUCCESS) s = make_tensor(c, ID_WEIGHT, &key->in[UC_CONV_WEIGHT], 16, false, &weight);
    if (s == CUDNN_STATUS_SUCCESS) s = make_tensor(c, ID_OUT, &key->out[0], here, false, &out);
    product = sum = out;
    if (s == CUDNN_STATUS_SUCCESS && (bias || residual))
        s = make_tensor(c, ID_PRODUCT, &key->out[0], here, true, &product);
    if (s == CUDNN_STATUS_SUCCESS)
        s = make_convolution(c, key->attrs.conv2d, x, weight, product, &ops[(*count)++]);
    if (s == CUDNN_STATUS_SUCCESS && residual) {
        s = make_tensor(c, ID_RESIDUAL, &key->in[UC_CONV_RESIDUAL], here, false, &addend);
        if (s == CUDNN_STATUS_SUCCESS && bias) s = make_tensor(c, ID_SUM, &key->out[0], here, true, &sum);
        if (s == CUDNN_STATUS_SUCCESS) s = make_sum(c, product, addend, sum, &ops[(*count)++]);
        product = sum;
    }
    if (s == CUDNN_STATUS_SUCCESS && bias) {
        const uc_view picture = bias_picture(&key->in[UC_CONV_BIAS]);
        s = make_tensor(c, ID_BIAS, &picture, 16, false, &addend);
        if (s == CUDNN_STATUS_SUCCESS) s = make_sum(c, product, addend, out, &ops[(*count)++]);
    }
    return s;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static bool acceptable(part config, bool f32) {
    part engine = NULL;
    int64_t got = 0;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS) return false;
    bool good = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got,
                                         &engine) == CUDNN_STATUS_SUCCESS;
    if (good)
        good = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                        CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &got, notes) == CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; i < got && good; i++)
        good = notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC &&
               notes[i] != CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION &&
               !(f32 && (notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
                         notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
    (void)cudnnBackendDestroyDescriptor(engine);
    return good;
}

/* What has to be said to get the same engine again. */
static bool read_recipe(part config, recipe *r) {
    part engine = NULL, choices[CUDNN_KNOB_TYPE_COUNTS] = { NULL };
    int64_t got = 0, made = 0;
    bool good = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) == CUDNN_STATUS_SUCCESS;
    for (; good && made < CUDNN_KNOB_TYPE_COUNTS; made += good)
        good = cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &choices[made]) ==
               CUDNN_STATUS_SUCCESS;
    good = good && cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got,
                                            &engine) == CUDNN_STATUS_SUCCESS;
    good = good && cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &got,
                                            &r->engine) == CUDNN_STATUS_SUCCESS;
    r->knobs = 0;
    good = good && cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                            CUDNN_KNOB_TYPE_COUNTS, &r->knobs, choices) == CUDNN_STATUS_SUCCESS;
    good = good && r->knobs <= CUDNN_KNOB_TYPE_COUNTS;
    for (int64_t i = 0; good && i < r->knobs; i++)
        good = cudnnBackendGetAttribute(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &got,
                                        &r->knob[i]) == CUDNN_STATUS_SUCCESS &&
               cudnnBackendGetAttribute(choices[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &got,
                                        &r->value[i]) == CUDNN_STATUS_SUCCESS;
    while (made) (void)cudnnBackendDestroyDescriptor(choices[--made]);
    if (engine) (void)cudnnBackendDestroyDescriptor(engine);
    return good;
}

static bool finish_plan(cudnnHandle_t handle, chosen *c, part config) {
    part plan = NULL;
    int64_t got = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan) != CUDNN_STATUS_SUCCESS)
        return false;
    const bool good =
        DESCRIBE(plan, { CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle },
                 { CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config }) ==
            CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &got,
                                 &c->workspace) == CUDNN_STATUS_SUCCESS;
    if (!good || c->count == MOST_PARTS) {
        (void)cudnnBackendDestroyDescriptor(plan);
        return false;
    }
    c->parts[c->count++] = plan;
    c->plan = plan;
    return true;
}

/* The first of the heuristic's engines that can be made into a plan. */
static bool make_plan(cudnnHandle_t handle, chosen *c, part graph, cudnnBackendHeurMode_t mode, bool f32) {
    part heuristic, configs[MOST_CONFIGS];
    int64_t found = 0;
    if (make(c, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic) != CUDNN_STATUS_SUCCESS) return false;
    if (DESCRIBE(heuristic, { CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph },
                 { CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode }) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int i = 0; i < MOST_CONFIGS; i++)
        if (make(c, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[i]) != CUDNN_STATUS_SUCCESS) return false;
    if (cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_CONFIGS,
                                 &found, configs) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int64_t i = 0; i < found && i < MOST_CONFIGS; i++)
        if (acceptable(configs[i], f32) && finish_plan(handle, c, configs[i])) {
            c->repeatable = read_recipe(configs[i], &c->recipe);
            return true;
        }
    return false;
}

/* A plan with an engine and knobs that were chosen for another shape. */
static bool make_plan_by(cudnnHandle_t handle, chosen *c, part graph, const recipe *r) {
    part engine, config, choices[CUDNN_KNOB_TYPE_COUNTS];
    if (make(c, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS) return false;
    if (DESCRIBE(engine, { CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph },
                 { CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &r->engine }) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int64_t i = 0; i < r->knobs; i++) {
        if (make(c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &choices[i]) != CUDNN_STATUS_SUCCESS) return false;
        if (DESCRIBE(choices[i], { CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &r->knob[i] },
                     { CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &r->value[i] }) != CUDNN_STATUS_SUCCESS)
            return false;
    }
    if (make(c, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config) != CUDNN_STATUS_SUCCESS) return false;
    const attribute said[] = { { CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine },
                               { CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, r->knobs,
                                 choices } };
    return describe(config, said, r->knobs ? 2 : 1) == CUDNN_STATUS_SUCCESS && finish_plan(handle, c, config);
}

static bool make_graph(cudnnHandle_t handle, chosen *c, const uc_launch *key, part *graph) {
    part ops[3] = { NULL };
    int64_t count = 0;
    if (make_operations(c, key, ops, &count) != CUDNN_STATUS_SUCCESS) return false;
    if (make(c, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, graph) != CUDNN_STATUS_SUCCESS) return false;
    return DESCRIBE(*graph, { CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle },
                    { CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops }) ==
           CUDNN_STATUS_SUCCESS;
}

static bool try_graph(cudnnHandle_t handle, chosen *c, const uc_launch *key, bool fused, cudnnBackendHeurMode_t mode) {
    part graph;
    destroy_parts(c);
    c->fused = fused;
    return make_graph(handle, c, key, &graph) &&
           make_plan(handle, c, graph, mode, key->in[UC_CONV_X].dtype == UC_F32);
}

unclip_status uc_cudnn_choose(void *handle, uc_cuda_library_op *op, unclip_error *err) {
    chosen *c = calloc(1, sizeof *c);
    if (!c) return uc_fail_memory(err, sizeof *c, "a convolution");
    const bool found = try_graph(handle, c, &op->key, true, CUDNN_HEUR_MODE_A) ||
                       try_graph(handle, c, &op->key, false, CUDNN_HEUR_MODE_A) ||
                       try_graph(handle, c, &op->key, false, CUDNN_HEUR_MODE_FALLBACK);
    if (!found) {
        char x[UC_SHAPE_TEXT], w[UC_SHAPE_TEXT];
        uc_cudnn_forget(c);
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "conv2d: cuDNN has no engine for %s with filters %s in %s",
                       uc_shape_text(op->key.in[UC_CONV_X].shape, x),
                       uc_shape_text(op->key.in[UC_CONV_WEIGHT].shape, w), uc_dtype_name(op->key.in[UC_CONV_X].dtype));
    }
    c->batch = 1;
    op->choice = c;
    op->scratch = (size_t)c->workspace;
    return UNCLIP_OK;
}

/* No engine promises more elements than an int counts; what one beyond does is not asked. */
static bool countable(const uc_launch *l) {
    return uc_shape_count(l->in[UC_CONV_X].shape) <= INT32_MAX && uc_shape_count(l->out[0].shape) <= INT32_MAX;
}

/* What was made for a batch, or NULL. */
static chosen *of_batch(const uc_cuda_library_op *op, int64_t batch) {
    chosen *c = op->choice;
    while (c && c->batch != batch) c = c->next;
    return c;
}

unclip_status uc_cudnn_choose_batch(void *handle, const uc_cuda_library_op *op, int64_t batch, unclip_error *err) {
    chosen *one = op->choice;
    if (of_batch(op, batch)) return UNCLIP_OK;
    chosen *c = calloc(1, sizeof *c);
    if (!c) return uc_fail_memory(err, sizeof *c, "a convolution");
    part graph;
    uc_launch key = op->key;
    key.in[UC_CONV_X].shape.dim[0] = key.out[0].shape.dim[0] = batch;
    if (given(&key.in[UC_CONV_RESIDUAL])) key.in[UC_CONV_RESIDUAL].shape.dim[0] = batch;
    c->batch = batch;
    c->fused = one->fused;
    if (!one->repeatable || !countable(&key) || !make_graph(handle, c, &key, &graph) || !make_plan_by(handle, c, graph, &one->recipe))
        destroy_parts(c);
    c->next = one->next;
    one->next = c;
    return UNCLIP_OK;
}

size_t uc_cudnn_scratch(const uc_cuda_library_op *op, int64_t batch) {
    const chosen *c = of_batch(op, batch);
    return c && c->plan ? (size_t)c->workspace : op->scratch;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static void *image_at(const uc_view *v, int64_t image) {
    const int64_t count = uc_shape_count(v->shape) / v->shape.dim[0];
    return (char *)v->data + (size_t)(image * count) * uc_dtype_size(v->dtype);
}

/* The plan's batch, from this image on. */
static unclip_status run_from(cudnnHandle_t handle, const chosen *c, const uc_launch *l, int64_t image,
                              unclip_error *err) {
    const uc_view *bias = &l->in[UC_CONV_BIAS], *residual = &l->in[UC_CONV_RESIDUAL];
    int64_t ids[5] = { ID_X, ID_WEIGHT, ID_OUT }, count = 3;
    void *pointers[5] = { image_at(&l->in[UC_CONV_X], image), l->in[UC_CONV_WEIGHT].data, image_at(&l->out[0], image) };
    void *workspace = l->scratch;
    if (c->fused && bias->data) {
        ids[count] = ID_BIAS;
        pointers[count++] = bias->data;
    }
    if (c->fused && residual->data) {
        ids[count] = ID_RESIDUAL;
        pointers[count++] = image_at(residual, image);
    }
    part pack = NULL;
    unclip_status status =
        check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack), "binding", err);
    if (status) return status;
    status = check(DESCRIBE(pack, { CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids },
                            { CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers },
                            { CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace }), "binding", err);
    if (!status) status = check(cudnnBackendExecute(handle, c->plan, pack), "convolving", err);
    (void)cudnnBackendDestroyDescriptor(pack);
    return status;
}

/* A picture with its channels innermost as its sequence of pixels. */
static uc_view as_tokens(const uc_view *v) {
    uc_view tokens = *v;
    const int64_t *d = v->shape.dim;
    tokens.shape = UC_SHAPE3(d[0], d[2] * d[3], d[1]);
    tokens.layout = UC_PLAIN;
    return tokens;
}

/* The sums that the graph does not hold. */
static unclip_status finish(const chosen *c, const uc_launch *l, uc_cuda_stream stream, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    const uc_view out = as_tokens(&l->out[0]);
    if (!c->fused && l->in[UC_CONV_BIAS].data) {
        const uc_launch sum = { .kind = UC_OP_add, .in = { out, l->in[UC_CONV_BIAS] }, .out = { out } };
        status = uc_cuda_add(&sum, stream, err);
    }
    if (!status && !c->fused && l->in[UC_CONV_RESIDUAL].data) {
        const uc_launch sum = { .kind = UC_OP_add, .in = { out, as_tokens(&l->in[UC_CONV_RESIDUAL]) }, .out = { out } };
        status = uc_cuda_add(&sum, stream, err);
    }
    return status;
}

unclip_status uc_cudnn_run(void *handle, const uc_cuda_library_op *op, const uc_launch *l, uc_cuda_stream stream,
                           unclip_error *err) {
    const int64_t batch = l->out[0].shape.dim[0];
    const chosen *one = op->choice, *whole = of_batch(op, batch);
    const chosen *c = whole && whole->plan ? whole : one;
    unclip_status status = check(cudnnSetStream(handle, (cudaStream_t)stream), "choosing the stream", err);
    for (int64_t n = 0; n < batch && !status; n += c->batch) status = run_from(handle, c, l, n, err);
    return status ? status : finish(c, l, stream, err);
}

/* cudnn_plans.c - what cuDNN chooses for the convolutions of a model of Karlo's size on an H100, asked without one:
 * since 9.8 heuristics and plans take a description of a device. The graphs are those of kernels/cuda/conv2d_cudnn.c,
 * whose handle is left out here. Guards what a GPU would only show as time or as wrong digits: bias and residual inside
 * the convolution, tensor cores for 16 bits and none for f32, split sums where a picture is small, and one engine for
 * every batch. Ends with 77 where cuDNN takes no such description. */
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if CUDNN_VERSION >= 90800

static cudnnBackendDescriptor_t device;

/* As the library's, with the device's description in the place of a handle. */
static cudnnStatus_t set_attribute(cudnnBackendDescriptor_t at, cudnnBackendAttributeName_t name,
                                   cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    cudnnBackendAttributeName_t place;
    switch (name) {
    case CUDNN_ATTR_OPERATIONGRAPH_HANDLE: return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_EXECUTION_PLAN_HANDLE:
        return cudnnBackendSetAttribute(at, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                        &device);
    case CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH: place = CUDNN_ATTR_ENGINEHEUR_DEVICEPROP; break;
    case CUDNN_ATTR_ENGINE_OPERATION_GRAPH: place = CUDNN_ATTR_ENGINE_DEVICEPROP; break;
    default: return cudnnBackendSetAttribute(at, name, type, count, values);
    }
    const cudnnStatus_t s = cudnnBackendSetAttribute(at, name, type, count, values);
    if (s != CUDNN_STATUS_SUCCESS) return s;
    return cudnnBackendSetAttribute(at, place, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
}

#define cudnnBackendSetAttribute set_attribute
#include "kernels/cuda/conv2d_cudnn.c"
#undef cudnnBackendSetAttribute

unclip_status uc_cuda_add(const uc_launch *launch, uc_cuda_stream stream, unclip_error *err) {
    (void)stream;
    return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "%s on a device that is not there", uc_op_info_of(launch->kind)->name);
}

/* What cuDNN's queries give for an H100 (SXM, 80 GB). */
static const char h100[] =
    "{\"deviceVer\": 900, \"driverVer\": 13000, \"maxGridSize\": [2147483647, 65535, 65535],"
    " \"maxBlockSize\": [1024, 1024, 64], \"regsPerBlock\": 65536, \"multiProcessorCount\": 132,"
    " \"smClockRateKHz\": 1980000, \"memClockRateKHz\": 2619000, \"l2CacheSize\": 52428800, \"warpSize\": 32,"
    " \"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": 232448,"
    " \"reservedSharedMemoryPerBlock\": 1024, \"maxRegistersPerSM\": 65536, \"pciDeviceId\": 0, \"maxCtasPerSM\": 32,"
    " \"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"isTccDriver\": 0, \"supportCoopLaunch\": 1,"
    " \"cudaDeviceId\": 0, \"totalGlobalMem\": 85520809984, \"deviceName\": \"NVIDIA H100 80GB HBM3\"}";

static bool describe_device(void) {
    return cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device) == CUDNN_STATUS_SUCCESS &&
           cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                    (int64_t)strlen(h100), h100) == CUDNN_STATUS_SUCCESS &&
           cudnnBackendFinalize(device) == CUDNN_STATUS_SUCCESS;
}

/* The decoder from 64 to 8 pixels, wide layers after a skip connection, both upsamplers; then networks of tests. */
typedef struct layer { int in, out, side, kernel, stride; bool residual, split; } layer;
static const layer layers[] = {
    { 3, 320, 64, 3, 1, false, false },    { 320, 320, 64, 3, 1, false, false },  { 320, 320, 64, 3, 1, true, false },
    { 640, 320, 64, 3, 1, false, false },  { 640, 320, 64, 1, 1, false, false },  { 320, 6, 64, 3, 1, false, false },
    { 320, 320, 64, 3, 2, false, false },  { 320, 640, 32, 3, 1, false, false },  { 640, 640, 32, 3, 1, true, false },
    { 960, 640, 32, 1, 1, false, false },  { 960, 960, 16, 3, 1, true, false },   { 1600, 960, 16, 3, 1, false, false },
    { 1280, 1280, 8, 3, 1, true, true },   { 2560, 1280, 8, 3, 1, false, true },  { 1280, 1280, 8, 3, 1, false, true },
    { 6, 320, 256, 3, 1, false, false },   { 320, 320, 256, 3, 1, true, false },  { 320, 3, 256, 3, 1, false, false },
    { 192, 192, 1024, 3, 1, true, false }, { 384, 192, 1024, 1, 1, true, false }, { 192, 3, 1024, 3, 1, false, false },
    { 8, 8, 16, 3, 1, true, false },       { 24, 12, 12, 1, 1, true, false },     { 3, 8, 64, 3, 2, false, false },
};

static uc_cuda_library_op op_of(const layer *l, uc_dtype type) {
    const int side = (l->side + 2 * (l->kernel / 2) - l->kernel) / l->stride + 1;
    uc_cuda_library_op op;
    memset(&op, 0, sizeof op);
    op.key.kind = UC_OP_conv2d;
    op.key.attrs.conv2d.stride = l->stride;
    op.key.attrs.conv2d.pad = l->kernel / 2;
    op.key.in[UC_CONV_X] =
        (uc_view){ .shape = UC_SHAPE4(1, l->in, l->side, l->side), .dtype = type, .layout = UC_NHWC };
    op.key.in[UC_CONV_WEIGHT] =
        (uc_view){ .shape = UC_SHAPE4(l->out, l->in, l->kernel, l->kernel), .dtype = type, .layout = UC_NHWC };
    op.key.in[UC_CONV_BIAS] = (uc_view){ .shape = UC_SHAPE1(l->out), .dtype = type };
    op.key.out[0] = (uc_view){ .shape = UC_SHAPE4(1, l->out, side, side), .dtype = type, .layout = UC_NHWC };
    if (l->residual) op.key.in[UC_CONV_RESIDUAL] = op.key.out[0];
    return op;
}

/* Does the plan's engine have this note? */
static bool noted(part plan, cudnnBackendNumericalNote_t wanted) {
    part config = NULL, engine = NULL;
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t got = 0;
    bool found = false;
    (void)cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &config);
    (void)cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine);
    (void)cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                   &got, &config);
    (void)cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &got,
                                   &engine);
    if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &got, notes) != CUDNN_STATUS_SUCCESS)
        got = 0;
    for (int64_t i = 0; i < got; i++) found = found || notes[i] == wanted;
    (void)cudnnBackendDestroyDescriptor(config);
    (void)cudnnBackendDestroyDescriptor(engine);
    return found;
}

static bool splits(const recipe *r) {
    for (int64_t i = 0; i < r->knobs; i++)
        if ((r->knob[i] == CUDNN_KNOB_TYPE_SPLIT_K_BUF || r->knob[i] == CUDNN_KNOB_TYPE_SPLIT_K_SLC) && r->value[i] > 1)
            return true;
    return false;
}

static int passed, failed;

static void expect(bool holds, const char *what, const layer *l, uc_dtype type) {
    if (holds) passed++;
    else failed++;
    if (!holds)
        printf("FAILED %s: %d -> %d channels, %d x %d, kernel %d, stride %d%s in %s\n", what, l->in, l->out, l->side,
               l->side, l->kernel, l->stride, l->residual ? ", residual" : "", uc_dtype_name(type));
}

/* Of the larger of both pictures. */
static int64_t most_elements(const layer *l) {
    const int64_t side = l->side, smaller = side / l->stride, in = l->in * side * side;
    return in > l->out * smaller * smaller ? in : l->out * smaller * smaller;
}

static void check_layer(const layer *l, uc_dtype type) {
    static const int64_t batches[] = { 2, 6, 16 };
    uc_cuda_library_op op = op_of(l, type);
    unclip_error err = { 0 };
    if (uc_cudnn_choose(NULL, &op, &err)) {
        expect(false, err.message, l, type);
        return;
    }
    const chosen *c = op.choice;
    const bool f32 = type == UC_F32, cores = noted(c->plan, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    expect(c->fused, "bias and residual in the convolution", l, type);
    expect(!noted(c->plan, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC), "the same bytes each time", l, type);
    expect(!noted(c->plan, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION), "sums in f32", l, type);
    if (f32) expect(!cores && !noted(c->plan, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS), "no TF32", l, type);
    else if (l->in >= 32 && l->out % 8 == 0) expect(cores, "tensor cores", l, type);
    if (l->split && !f32) expect(splits(&c->recipe), "split sums", l, type);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const unclip_status status = uc_cudnn_choose_batch(NULL, &op, batches[i], &err);
        const chosen *batch = status ? NULL : of_batch(&op, batches[i]);
        /* cuDNN takes more elements than an int counts without a word; we do not */
        if (most_elements(l) * batches[i] > INT32_MAX) expect(batch && !batch->plan, "a large batch in parts", l, type);
        else expect(batch && batch->plan, "a batch at once with the engine of one", l, type);
    }
    uc_cudnn_forget(op.choice);
}

int main(void) {
    static const uc_dtype types[] = { UC_F16, UC_BF16, UC_F32 };
    if (!describe_device()) {
        printf("cuDNN %zu takes no description of a device\n0 passed, 0 failed, 1 skipped\n", cudnnGetVersion());
        return 77;
    }
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) check_layer(&layers[i], types[t]);
    (void)cudnnBackendDestroyDescriptor(device);
    printf("cuDNN %zu\n%d passed, %d failed, 0 skipped\n", cudnnGetVersion(), passed, failed);
    return failed > 0;
}

#else

int main(void) {
    puts("cuDNN before 9.8 takes no description of a device\n0 passed, 0 failed, 1 skipped");
    return 77;
}

#endif

/* backend_cpu.c - the whole flow on the CPU's fast kernels: the product where there is no GPU.
 *
 * Pictures keep their channels innermost from a UNet's first convolution to its last. Weights of convolutions and
 * linear layers are made ready once and kept until the backend is closed. */
#include "backend_host.h"

#include <stdlib.h>

#include "../kernels/cpu/conv2d_bf16.h"
#include "../kernels/cpu/cpu.h"
#include "../kernels/cpu/gemm.h"
#include "../kernels/cpu/onednn.h"
#include "../kernels/cpu/winograd.h"

typedef struct prepared_weight {
    const void *data; /* the key: where the file's bytes lie */
    uc_shape shape;
    bool bf16; /* in conv2d_bf16.h's order, not gemm.h's */
    void *packed;
} prepared_weight;

typedef struct cpu_backend {
    uc_host_backend host; /* first */
    prepared_weight *weights;
    size_t weight_count, weight_capacity;
    uc_onednn *dnn; /* NULL without the library */
} cpu_backend;

/* The operations whose weight is prepared. */
static bool has_weight(const uc_launch *l) { return l->kind == UC_OP_conv2d || l->kind == UC_OP_matmul; }

/* How a launch is done; with ONEDNN, by which kernel; DIRECT in bf16 on tiles. */
typedef struct decision { uc_way way; const uc_onednn_shape *shape; bool bf16; } decision;

/* As tuned, where that can be done. */
static bool decide_tuned(const cpu_backend *b, const uc_launch *l, decision *d) {
    d->way = uc_tuning_find(b->host.base.options.tuning, l);
    if (d->way == UC_WAY_ONEDNN && b->dnn) d->shape = uc_onednn_shape_forced(b->dnn, l);
    return d->way == UC_WAY_DIRECT || d->shape || (d->way == UC_WAY_WINOGRAD && uc_cpu_winograd_can(l));
}

static decision decide(const cpu_backend *b, const uc_launch *l) {
    decision d = { .way = UC_WAY_DEFAULT };
    if (!has_weight(l) || decide_tuned(b, l, &d)) return d;
    d.way = UC_WAY_DIRECT;
    d.bf16 = uc_cpu_conv2d_bf16_pays(l);
    if (d.bf16) return d;
    if (l->kind == UC_OP_conv2d && uc_cpu_winograd_pays(l, b->dnn != NULL)) d.way = UC_WAY_WINOGRAD;
    else if (b->dnn && !uc_cpu_tiles_pay(l)) d.shape = uc_onednn_shape_of(b->dnn, l);
    if (d.shape) d.way = UC_WAY_ONEDNN;
    return d;
}

uc_way uc_backend_cpu_way(const uc_backend *backend, const uc_launch *launch) {
    return decide((const cpu_backend *)(const void *)backend, launch).way;
}

static size_t scratch(const void *self, const uc_launch *l) {
    const decision d = decide(self, l);
    if (d.shape) return uc_onednn_scratch(d.shape);
    if (d.bf16) return uc_cpu_conv2d_bf16_scratch(l);
    if (d.way == UC_WAY_WINOGRAD) return uc_cpu_winograd_scratch(l);
    if (l->kind == UC_OP_conv2d) return uc_cpu_conv2d_packed_scratch(l);
    if (l->kind == UC_OP_matmul) return uc_cpu_matmul_packed_scratch(l);
    return uc_cpu_kernel(l->kind).scratch(l);
}

static bool run_kernel(const uc_launch *l, const void *prepared) {
    (void)prepared;
    uc_cpu_kernel(l->kind).run(l);
    return true;
}

static bool run_conv2d(const uc_launch *l, const void *packed) {
    uc_cpu_conv2d_packed(l, packed);
    return true;
}

static bool run_conv2d_bf16(const uc_launch *l, const void *packed) {
    uc_cpu_conv2d_bf16(l, packed);
    return true;
}

static bool run_winograd(const uc_launch *l, const void *packed) {
    uc_cpu_winograd(l, packed);
    return true;
}

static bool run_matmul(const uc_launch *l, const void *packed) {
    uc_cpu_matmul_packed(l, packed);
    return true;
}

static bool run_library(const uc_launch *l, const void *op) { return uc_onednn_run(op, l); }

/* The packed form of a weight, made at its first use. */
static unclip_status packed_weight(cpu_backend *b, const uc_view *weight, bool bf16, const void **packed,
                                   unclip_error *err) {
    for (size_t i = 0; i < b->weight_count; i++)
        if (b->weights[i].data == weight->data && b->weights[i].bf16 == bf16 &&
            uc_shape_equal(b->weights[i].shape, weight->shape)) {
            *packed = b->weights[i].packed;
            return UNCLIP_OK;
        }
    if (b->weight_count == b->weight_capacity) {
        const size_t capacity = b->weight_capacity ? 2 * b->weight_capacity : 64;
        prepared_weight *grown = realloc(b->weights, capacity * sizeof *grown);
        if (!grown) return uc_fail_memory(err, capacity * sizeof *grown, "prepared weights");
        b->weights = grown;
        b->weight_capacity = capacity;
    }
    prepared_weight *w = &b->weights[b->weight_count];
    const size_t bytes = bf16 ? uc_cpu_conv2d_bf16_packed_bytes(weight) : uc_cpu_packed_bytes(weight);
    void *block = NULL;
    if (posix_memalign(&block, UC_ARENA_ALIGN, bytes)) return uc_fail_memory(err, bytes, "a prepared weight");
    *w = (prepared_weight){ .data = weight->data, .shape = weight->shape, .bf16 = bf16, .packed = block };
    (bf16 ? uc_cpu_conv2d_bf16_pack : uc_cpu_pack)(w->packed, weight, b->host.base.options.threads);
    b->weight_count++;
    *packed = w->packed;
    return UNCLIP_OK;
}

/* Whether a kernel for products of the run's own type has to round the file's weights first. */
static bool rounds_weight(const uc_launch *l) {
    return l->in[UC_CONV_WEIGHT].dtype != l->in[0].dtype && l->in[0].dtype != UC_F32;
}

static unclip_status choose(uc_host_backend *self, const uc_launch *launch, uc_host_kernel *kernel, unclip_error *err) {
    cpu_backend *b = (cpu_backend *)self;
    kernel->run = run_kernel;
    if (!has_weight(launch)) return UNCLIP_OK;
    const decision d = decide(b, launch);
    if (d.shape) {
        kernel->run = run_library;
        kernel->prepared = uc_onednn_prepare(b->dnn, d.shape, launch);
        kernel->rounds_weight = rounds_weight(launch);
        return kernel->prepared ? UNCLIP_OK
                                : uc_fail(err, UNCLIP_ERR_MEMORY, "no memory for a weight in oneDNN's order");
    }
    const void *packed = NULL;
    const unclip_status status = packed_weight(b, &launch->in[UC_CONV_WEIGHT], d.bf16, &packed, err);
    kernel->rounds_weight = d.bf16 && rounds_weight(launch);
    kernel->run = launch->kind == UC_OP_matmul ? run_matmul
                  : d.bf16                     ? run_conv2d_bf16
                  : d.way == UC_WAY_WINOGRAD ? run_winograd
                                             : run_conv2d;
    if (kernel->run == run_winograd) kernel->loses = uc_cpu_winograd_loses(launch);
    kernel->prepared = packed;
    return status;
}

static bool supports(const uc_backend *self, uc_dtype type) {
    (void)self;
#if UC_CPU_X86
    if (type == UC_BF16) return __builtin_cpu_supports("avx512bf16") != 0;
#endif
    return type == UC_F32;
}

static void close_backend(uc_backend *self) {
    cpu_backend *b = (cpu_backend *)self;
    for (size_t i = 0; i < b->weight_count; i++) free(b->weights[i].packed);
    free(b->weights);
    uc_onednn_free(b->dnn);
    free(b);
}

unclip_status uc_backend_cpu_new(uc_backend **backend, const uc_backend_options *options, unclip_error *err) {
    cpu_backend *b = calloc(1, sizeof *b);
    *backend = NULL;
    if (!b) return uc_fail_memory(err, sizeof *b, "backend");
    uc_host_backend_init(&b->host, "cpu", options);
    b->host.base.close = close_backend;
    b->host.base.supports = supports;
    b->host.layout = uc_channels_innermost;
    b->host.scratch = scratch;
    b->host.choose = choose;
    b->dnn = uc_onednn_new(b->host.base.options.threads);
    *backend = &b->host.base;
    return UNCLIP_OK;
}

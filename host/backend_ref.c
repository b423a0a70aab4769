/* backend_ref.c - the whole flow on the reference kernels: slow, in double precision, every picture row-major. What
 * other backends are judged by. */
#include "backend_host.h"

#include <stdlib.h>

static bool run_kernel(const uc_launch *launch, const void *prepared) {
    (void)prepared;
    uc_ref_kernel(launch->kind)(launch);
    return true;
}

static uc_layout layout(const void *self, const uc_graph *graph, const uc_op *op) {
    (void)self, (void)graph, (void)op;
    return UC_PLAIN;
}

static size_t scratch(const void *self, const uc_launch *launch) {
    (void)self, (void)launch;
    return 0;
}

static unclip_status choose(uc_host_backend *self, const uc_launch *launch, uc_host_kernel *kernel, unclip_error *err) {
    (void)self, (void)launch, (void)err;
    kernel->run = run_kernel;
    return UNCLIP_OK;
}

static bool supports(const uc_backend *self, uc_dtype type) {
    (void)self;
    return uc_dtype_is_float(type);
}

static void close_backend(uc_backend *self) { free(self); }

unclip_status uc_backend_ref_new(uc_backend **backend, const uc_backend_options *options, unclip_error *err) {
    uc_host_backend *b = calloc(1, sizeof *b);
    *backend = NULL;
    if (!b) return uc_fail_memory(err, sizeof *b, "backend");
    uc_host_backend_init(b, "ref", options);
    b->base.close = close_backend;
    b->base.supports = supports;
    b->layout = layout;
    b->scratch = scratch;
    b->choose = choose;
    *backend = &b->base;
    return UNCLIP_OK;
}

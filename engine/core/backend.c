/* backend.c - see backend.h. */
#include "backend.h"

unclip_status uc_program_new(uc_backend *backend, uc_graph *graph, uc_program **program, unclip_error *err) {
    *program = NULL;
    if (!graph) return uc_fail_memory(err, sizeof(uc_graph), "graph");
    const uc_target target = backend->target(backend);
    uc_plan *plan = NULL;
    const unclip_status status = uc_plan_new(&plan, graph, &target, backend->shares_memory(backend), err);
    return status ? status : backend->prepare(backend, plan, program, err);
}

uc_layout uc_channels_innermost(const void *self, const uc_graph *graph, const uc_op *op) {
    (void)self, (void)graph;
    switch (op->kind) {
    case UC_OP_conv2d:
    case UC_OP_group_norm:
    case UC_OP_resample:
    case UC_OP_concat:
    case UC_OP_activation:
    case UC_OP_add:
    case UC_OP_repeat:
    case UC_OP_slice:
    case UC_OP_image_to_tokens:
    case UC_OP_tokens_to_image:
    case UC_OP_reorder: return UC_NHWC;
    default: return UC_PLAIN;
    }
}

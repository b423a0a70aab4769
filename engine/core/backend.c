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

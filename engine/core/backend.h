/* backend.h - where a plan runs. The engine knows a device by these functions alone; host/backend_<name>.c fill them. */
#ifndef UC_CORE_BACKEND_H
#define UC_CORE_BACKEND_H

#include "plan.h"

typedef struct uc_backend uc_backend;
typedef struct uc_program uc_program; /* a plan made ready on a device: arena, prepared weights, kernels chosen */

/* One line a finished operation in mode timed. */
typedef void (*uc_timing_fn)(void *user, const uc_plan *plan, int32_t op, double seconds);

typedef struct uc_backend_options {
    unclip_run_mode mode;
    int threads;
    uc_timing_fn on_timing;
    void *user;
    const struct uc_tuning *tuning; /* the CPU's measured choices (host/tuning.h), which must stay; NULL = its own rule */
} uc_backend_options;

struct uc_backend {
    const char *name; /* "cpu", "ref", "cuda:0" */
    uc_backend_options options;

    void (*close)(uc_backend *self);
    bool (*supports)(const uc_backend *self, uc_dtype type);
    /* Whether the planner may overlap values, and its questions. */
    bool (*shares_memory)(const uc_backend *self);
    uc_target (*target)(const uc_backend *self);

    /* Takes the plan over, whatever happens. Weights prepared for one program serve the next. */
    unclip_status (*prepare)(uc_backend *self, uc_plan *plan, uc_program **program, unclip_error *err);
    void (*release)(uc_backend *self, uc_program *program);
    const uc_plan *(*plan)(const uc_program *program);

    /* Plain row-major contents of a state, in its own type. */
    unclip_status (*upload)(uc_program *program, uc_val state, const void *data, unclip_error *err);
    unclip_status (*download)(uc_program *program, uc_val state, void *data, unclip_error *err);

    /* Runs one phase; step may be NULL for phases that do not read it. */
    unclip_status (*run)(uc_program *program, int phase, const uc_step *step, unclip_error *err);
};

/* uc_target.layout of backends whose pictures keep their channels innermost from a UNet's first convolution to its last;
 * self is not read. The sampler's step and what has no picture stay plain. */
uc_layout uc_channels_innermost(const void *self, const uc_graph *graph, const uc_op *op);

/* graph -> plan -> program in one call; takes the graph over. */
unclip_status uc_program_new(uc_backend *backend, uc_graph *graph, uc_program **program, unclip_error *err);

#endif

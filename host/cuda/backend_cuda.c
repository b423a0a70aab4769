/* backend_cuda.c - the whole flow on a GPU, or on the simulation of one: plans become programs on a device.
 *
 * A program has one arena. A phase's operations are launched one by one the first time, which also lets libraries and
 * the driver load what they need, and are captured the second time; from then on a phase is one launch. What changes
 * from step to step, the uc_step, is copied into device memory ahead of it. Nothing in run waits for the device
 * except modes checked and timed, and a host that is 16 steps ahead. */
#include "backend_cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cuda_backend {
    uc_backend base; /* first */
    uc_device device;
    bool owns_runtime;
} cuda_backend;

/* A phase of a program. */
typedef struct phase { int runs; uc_exec *exec; } phase;

struct uc_program {
    cuda_backend *backend;
    uc_plan *plan;
    char *arena;
    uc_step *step; /* the device's */
    uc_launch *launches;
    const uc_device_op **ops;
    phase *phases;
    uc_event **marks; /* mode timed: one before each operation and one at the end */
    uc_mirror mirror; /* mode checked */
};

static cuda_backend *cuda_of(const uc_backend *backend) { return (cuda_backend *)(uintptr_t)backend; }

static bool supports(const uc_backend *self, uc_dtype type) {
    (void)self;
    return uc_dtype_is_float(type);
}

static bool keeps_apart(unclip_run_mode mode) { return mode == UNCLIP_RUN_EAGER || mode == UNCLIP_RUN_CHECKED; }

static bool shares_memory(const uc_backend *self) { return !keeps_apart(self->options.mode); }

/* ---- the planner's questions ------------------------------------------------------------------------------------- */

/* The launch that is planned has weights as the file has them; the one that runs, as the device has them. */
static size_t scratch(const void *self, const uc_launch *launch) {
    uc_runtime *rt = cuda_of(self)->device.rt;
    uc_launch l = *launch;
    for (int k = 1; k < UC_MAX_INPUTS && (l.kind == UC_OP_conv2d || l.kind == UC_OP_matmul); k++) {
        if (!l.in[k].data) continue; /* not a weight */
        const uc_weight_form form = uc_weight_form_of(l.kind, k, l.in[0].dtype);
        l.in[k].dtype = form.dtype;
        l.in[k].layout = form.layout;
    }
    return rt->op_scratch(rt, &l);
}

/* Libraries are opened when a plan first asks for their scratch, on whatever device is current then; preparing tells
 * of a failure. */
static uc_target target(const uc_backend *self) {
    const uc_device *d = &cuda_of(self)->device;
    (void)d->rt->set_device(d->rt, d->number);
    return (uc_target){ .self = self, .layout = uc_channels_innermost, .scratch = scratch };
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

static void release(uc_backend *self, uc_program *p) {
    uc_device *d = &cuda_of(self)->device;
    uc_runtime *rt = d->rt;
    if (!p) return;
    uc_device_drain(d);
    for (int i = 0; p->phases && i < p->plan->graph->phase_count; i++)
        if (p->phases[i].exec) (void)rt->exec_free(rt, p->phases[i].exec);
    for (int32_t i = 0; p->marks && i <= p->plan->graph->op_count; i++)
        if (p->marks[i]) (void)rt->event_free(rt, p->marks[i]);
    if (p->arena) (void)rt->release(rt, p->arena);
    if (p->step) (void)rt->release(rt, p->step);
    uc_mirror_free(&p->mirror);
    uc_plan_free(p->plan);
    free(p->launches);
    free(p->ops);
    free(p->phases);
    free(p->marks);
    free(p);
}

static unclip_status allocate(uc_program *p, unclip_error *err) {
    uc_device *d = &p->backend->device;
    const uc_graph *g = p->plan->graph;
    const size_t ops = (size_t)g->op_count + 1;
    void *arena = NULL, *step = NULL;
    p->launches = calloc(ops, sizeof *p->launches);
    p->ops = calloc(ops, sizeof *p->ops);
    p->phases = calloc((size_t)g->phase_count + 1, sizeof *p->phases);
    p->marks = calloc(ops, sizeof *p->marks);
    if (!p->launches || !p->ops || !p->phases || !p->marks)
        return uc_fail_memory(err, ops * sizeof *p->launches, g->name);
    unclip_status status = uc_device_alloc(d, &arena, (size_t)p->plan->arena_bytes, err, g->name);
    if (status) return status;
    p->arena = arena;
    status = uc_device_alloc(d, &step, sizeof *p->step, err, g->name);
    if (status) return status;
    p->step = step;
    /* all ones are a NaN in every type: what is read before it is written shows */
    if (keeps_apart(p->backend->base.options.mode))
        status = uc_device_check(d, d->rt->set_bytes(d->rt, p->arena, 0xFF, (size_t)p->plan->arena_bytes, d->compute),
                                 err, "%s: filling the arena", g->name);
    for (int32_t v = 1; v < g->value_count && !status; v++)
        if (g->values[v].kind == UC_VALUE_STATE)
            status = uc_device_check(d, d->rt->set_bytes(d->rt, p->arena + p->plan->values[v].offset, 0,
                                                         (size_t)p->plan->values[v].bytes, d->compute),
                                     err, "%s: clearing %s", g->name, g->values[v].name);
    return status;
}

/* Weights go to the device, and libraries choose their kernels. */
static unclip_status build_launch(uc_program *p, int32_t i, unclip_error *err) {
    uc_device *d = &p->backend->device;
    const uc_graph *g = p->plan->graph;
    uc_launch *l = &p->launches[i];
    *l = uc_plan_launch(p->plan, i, p->arena);
    l->step = p->step;
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        const uc_val v = g->ops[i].in[k];
        if (!uc_present(v)) continue;
        const uc_value *owner = uc_value_of(g, uc_root(g, v));
        if (owner->kind != UC_VALUE_WEIGHT) continue;
        const unclip_status status = uc_device_weight_of(d, &l->in[k], uc_weight_form_of(l->kind, k, g->type),
                                                         owner->param->name, err);
        if (status) return status;
    }
    return uc_device_check(d, d->rt->op_prepare(d->rt, l, &p->ops[i]), err, "preparing %s",
                           uc_op_info_of(l->kind)->name);
}

static unclip_status prepare_parts(uc_program *p, unclip_error *err) {
    uc_device *d = &p->backend->device;
    const uc_graph *g = p->plan->graph;
    unclip_status status = uc_device_enter(d, err);
    if (!status) status = allocate(p, err);
    for (int32_t i = 0; i < g->op_count && !status; i++) {
        status = build_launch(p, i, err);
        if (status) status = uc_fail_prefix(err, status, "%s.%s", g->name, g->ops[i].scope);
    }
    if (!status) status = uc_device_weights_ready(d, err);
    for (int32_t i = 0; i <= g->op_count && !status && p->backend->base.options.mode == UNCLIP_RUN_TIMED; i++)
        status = uc_device_check(d, d->rt->event_new(d->rt, &p->marks[i], true), err, "making an event");
    if (!status && p->backend->base.options.mode == UNCLIP_RUN_CHECKED)
        status = uc_mirror_new(&p->mirror, p->plan, p->launches, err);
    return status;
}

static unclip_status prepare(uc_backend *self, uc_plan *plan, uc_program **program, unclip_error *err) {
    uc_program *p = calloc(1, sizeof *p);
    *program = NULL;
    if (!p) {
        uc_plan_free(plan);
        return uc_fail_memory(err, sizeof *p, "program");
    }
    p->backend = cuda_of(self);
    p->plan = plan;
    const unclip_status status = prepare_parts(p, err);
    if (status) {
        release(self, p);
        return status;
    }
    *program = p;
    return UNCLIP_OK;
}

static const uc_plan *plan_of(const uc_program *program) { return program->plan; }

/* ---- states ------------------------------------------------------------------------------------------------------ */

static unclip_status find_state(uc_program *p, uc_val state, char **at, size_t *bytes, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    if (state.id <= 0 || state.id >= g->value_count || g->values[state.id].kind != UC_VALUE_STATE)
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s: value %d is not a state", g->name, (int)state.id);
    *at = p->arena + p->plan->values[state.id].offset;
    *bytes = (size_t)p->plan->values[state.id].bytes;
    return uc_device_enter(&p->backend->device, err);
}

static unclip_status upload(uc_program *p, uc_val state, const void *data, unclip_error *err) {
    char *at = NULL;
    size_t bytes = 0;
    const unclip_status status = find_state(p, state, &at, &bytes, err);
    return status ? status : uc_device_upload(&p->backend->device, at, data, bytes, err);
}

static unclip_status download(uc_program *p, uc_val state, void *data, unclip_error *err) {
    char *at = NULL;
    size_t bytes = 0;
    const unclip_status status = find_state(p, state, &at, &bytes, err);
    return status ? status : uc_device_download(&p->backend->device, data, at, bytes, err);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static unclip_status send_step(uc_program *p, const uc_step *step, unclip_error *err) {
    uc_device *d = &p->backend->device;
    char *slot = NULL;
    unclip_status status = uc_ring_take(d, &d->steps, &slot, err);
    if (status) return status;
    memcpy(slot, step, sizeof *step);
    status =
        uc_device_check(d, d->rt->to_device(d->rt, p->step, slot, sizeof *step, d->compute), err, "copying a step");
    return status ? status : uc_ring_give(d, &d->steps, d->compute, err);
}

static unclip_status launch(uc_program *p, int32_t i, unclip_error *err) {
    uc_device *d = &p->backend->device;
    const uc_graph *g = p->plan->graph;
    return uc_device_check(d, d->rt->op_launch(d->rt, p->ops[i], &p->launches[i], d->compute), err, "%s.%s: %s",
                           g->name, g->ops[i].scope, uc_op_info_of(p->launches[i].kind)->name);
}

static unclip_status launch_phase(uc_program *p, int number, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (int32_t i = p->plan->phase_begin[number]; i < p->plan->phase_begin[number + 1] && !status; i++)
        status = launch(p, i, err);
    return status;
}

static unclip_status capture_phase(uc_program *p, int number, unclip_error *err) {
    uc_device *d = &p->backend->device;
    uc_exec *exec = NULL;
    unclip_status status = uc_device_check(d, d->rt->capture_begin(d->rt, d->compute), err, "capturing");
    if (status) return status;
    status = launch_phase(p, number, err);
    const int ended = d->rt->capture_end(d->rt, d->compute, &exec);
    if (status) {
        if (exec) (void)d->rt->exec_free(d->rt, exec);
        return status;
    }
    status = uc_device_check(d, ended, err, "%s: ending the capture of phase %d", p->plan->graph->name, number);
    if (!status) p->phases[number].exec = exec;
    return status;
}

static unclip_status replay(uc_program *p, int number, unclip_error *err) {
    uc_device *d = &p->backend->device;
    phase *ph = &p->phases[number];
    if (!ph->runs) {
        const unclip_status status = launch_phase(p, number, err);
        if (!status) ph->runs++;
        return status;
    }
    if (!ph->exec) {
        const unclip_status status = capture_phase(p, number, err);
        if (status) return status;
    }
    ph->runs++;
    return uc_device_check(d, d->rt->exec_launch(d->rt, ph->exec, d->compute), err, "%s: replaying phase %d",
                           p->plan->graph->name, number);
}

static unclip_status run_checked(uc_program *p, int number, const uc_step *step, unclip_error *err) {
    uc_device *d = &p->backend->device;
    unclip_status status = UNCLIP_OK;
    for (int32_t i = p->plan->phase_begin[number]; i < p->plan->phase_begin[number + 1] && !status; i++) {
        status = uc_mirror_before(&p->mirror, d, &p->launches[i], step, err);
        if (!status) status = launch(p, i, err);
        if (status) break;
        status = uc_mirror_after(&p->mirror, d, &p->launches[i], p->plan->graph->ops[i].scope, err);
        if (status) status = uc_fail_prefix(err, status, "%s", p->plan->graph->name);
    }
    return status;
}

static unclip_status run_timed(uc_program *p, int number, unclip_error *err) {
    uc_device *d = &p->backend->device;
    uc_runtime *rt = d->rt;
    const uc_backend_options *o = &p->backend->base.options;
    const int32_t begin = p->plan->phase_begin[number], end = p->plan->phase_begin[number + 1];
    unclip_status status =
        uc_device_check(d, rt->event_record(rt, p->marks[begin], d->compute), err, "recording an event");
    for (int32_t i = begin; i < end && !status; i++) {
        status = launch(p, i, err);
        if (!status)
            status = uc_device_check(d, rt->event_record(rt, p->marks[i + 1], d->compute), err, "recording an event");
    }
    if (!status) status = uc_device_check(d, rt->stream_sync(rt, d->compute), err, "waiting for the device");
    for (int32_t i = begin; i < end && !status && o->on_timing; i++) {
        double seconds = 0;
        status =
            uc_device_check(d, rt->event_seconds(rt, p->marks[i], p->marks[i + 1], &seconds), err, "reading a time");
        if (!status) o->on_timing(o->user, p->plan, i, seconds);
    }
    return status;
}

static unclip_status check_step(const uc_program *p, int number, const uc_step *step, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    if (number < 0 || number >= g->phase_count)
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s has no phase %d", g->name, number);
    for (int32_t i = p->plan->phase_begin[number]; i < p->plan->phase_begin[number + 1] && !step; i++)
        if (uc_op_reads_step(g->ops[i].kind))
            return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s.%s: %s needs a step", g->name, g->ops[i].scope,
                           uc_op_info_of(g->ops[i].kind)->name);
    return UNCLIP_OK;
}

static unclip_status run(uc_program *p, int number, const uc_step *step, unclip_error *err) {
    unclip_status status = check_step(p, number, step, err);
    if (!status) status = uc_device_enter(&p->backend->device, err);
    if (!status && step) status = send_step(p, step, err);
    if (status) return status;
    switch (p->backend->base.options.mode) {
    case UNCLIP_RUN_CHECKED: return run_checked(p, number, step, err);
    case UNCLIP_RUN_TIMED: return run_timed(p, number, err);
    case UNCLIP_RUN_EAGER: return launch_phase(p, number, err);
    default: return replay(p, number, err);
    }
}

/* ---- the backend ------------------------------------------------------------------------------------------------- */

static void close_backend(uc_backend *self) {
    cuda_backend *b = cuda_of(self);
    uc_device_close(&b->device);
    if (b->owns_runtime) b->device.rt->close(b->device.rt);
    free(b);
}

void uc_backend_cuda_info(uc_backend *backend, uc_device_info *info) {
    const uc_device *d = &cuda_of(backend)->device;
    if (d->rt->device_info(d->rt, d->number, info)) *info = (uc_device_info){ .name = "" };
}

unclip_status uc_backend_cuda_new(uc_backend **backend, uc_runtime *rt, bool owned, int device,
                                  const uc_backend_options *options, unclip_error *err) {
    cuda_backend *b = calloc(1, sizeof *b);
    *backend = NULL;
    unclip_status status = b ? uc_device_open(&b->device, rt, device, err) : uc_fail_memory(err, sizeof *b, "backend");
    if (status) {
        if (owned) rt->close(rt);
        free(b);
        return status;
    }
    b->owns_runtime = owned;
    b->base = (uc_backend){ .name = b->device.name, .options = *options, .close = close_backend, .supports = supports,
                            .shares_memory = shares_memory, .target = target, .prepare = prepare, .release = release,
                            .plan = plan_of, .upload = upload, .download = download, .run = run };
    *backend = &b->base;
    return UNCLIP_OK;
}

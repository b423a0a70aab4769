/* backend_host.c - see backend_host.h. The plan's offsets become pointers into one arena, launches are built once,
 * and a run is a loop over them; run mode checked compares every operation with the reference on the way. */
#include "backend_host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../kernels/compare.h"

struct uc_program {
    uc_host_backend *backend;
    uc_plan *plan;
    char *arena;
    uc_launch *launches;
    uc_host_kernel *kernels;
    char *reference[UC_MAX_OUTPUTS]; /* in mode checked: room for any operation's outputs */
    char *rounded;                   /* likewise: room for any rounded weight */
};

static uc_host_backend *host_of(const uc_backend *backend) { return (uc_host_backend *)(uintptr_t)backend; }

static bool keeps_apart(unclip_run_mode mode) { return mode == UNCLIP_RUN_EAGER || mode == UNCLIP_RUN_CHECKED; }

static bool shares_memory(const uc_backend *self) { return !keeps_apart(self->options.mode); }

static uc_layout target_layout(const void *self, const uc_graph *graph, const uc_op *op) {
    return host_of(self)->layout(self, graph, op);
}

static size_t target_scratch(const void *self, const uc_launch *launch) {
    uc_launch with_threads = *launch;
    with_threads.threads = host_of(self)->base.options.threads;
    return host_of(self)->scratch(self, &with_threads);
}

static uc_target target(const uc_backend *self) {
    return (uc_target){ .self = self, .layout = target_layout, .scratch = target_scratch };
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

/* Large blocks on huge pages: an arena is walked through from end to end, again and again. */
static char *new_block(uint64_t bytes) {
    const size_t huge = (size_t)2 << 20, align = bytes >= 2 * huge ? huge : UC_ARENA_ALIGN;
    const size_t size = (size_t)((bytes + align - 1) / align * align);
    void *block = NULL;
    if (posix_memalign(&block, align, size ? size : align)) return NULL;
#ifdef MADV_HUGEPAGE
    if (align == huge) (void)madvise(block, size, MADV_HUGEPAGE);
#endif
    return block;
}

static void release(uc_backend *self, uc_program *p) {
    (void)self;
    if (!p) return;
    uc_plan_free(p->plan);
    free(p->arena);
    free(p->launches);
    free(p->kernels);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) free(p->reference[k]);
    free(p->rounded);
    free(p);
}

static uint64_t output_bytes(const uc_launch *l, int k) {
    return l->out[k].data ? (uint64_t)uc_shape_count(l->out[k].shape) * uc_dtype_size(l->out[k].dtype) : 0;
}

static unclip_status allocate(uc_program *p, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    const size_t ops = (size_t)g->op_count + 1;
    p->launches = calloc(ops, sizeof *p->launches);
    p->kernels = calloc(ops, sizeof *p->kernels);
    if (!p->launches || !p->kernels) return uc_fail_memory(err, ops * sizeof *p->launches, g->name);
    p->arena = new_block(p->plan->arena_bytes);
    if (!p->arena) return uc_fail_memory(err, (size_t)p->plan->arena_bytes, g->name);
    /* all bits set is a NaN in every type: what is read before it is written shows */
    if (keeps_apart(p->backend->base.options.mode)) memset(p->arena, 0xFF, (size_t)p->plan->arena_bytes);
    for (int32_t v = 1; v < g->value_count; v++)
        if (g->values[v].kind == UC_VALUE_STATE)
            memset(p->arena + p->plan->values[v].offset, 0, (size_t)p->plan->values[v].bytes);
    return UNCLIP_OK;
}

/* For mode checked: what the reference writes to, and reads its weights from where they are rounded. */
static unclip_status allocate_side_buffers(uc_program *p, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    uint64_t most[UC_MAX_OUTPUTS] = { 0 }, rounded = 0;
    for (int32_t i = 0; i < g->op_count; i++) {
        const uc_launch *l = &p->launches[i];
        for (int k = 0; k < UC_MAX_OUTPUTS; k++)
            if (output_bytes(l, k) > most[k]) most[k] = output_bytes(l, k);
        const uint64_t weight = (uint64_t)uc_shape_count(l->in[UC_CONV_WEIGHT].shape) * uc_dtype_size(l->in[0].dtype);
        if (p->kernels[i].rounds_weight && weight > rounded) rounded = weight;
    }
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        p->reference[k] = new_block(most[k]);
        if (!p->reference[k]) return uc_fail_memory(err, (size_t)most[k], g->name);
    }
    p->rounded = new_block(rounded);
    return p->rounded ? UNCLIP_OK : uc_fail_memory(err, (size_t)rounded, g->name);
}

/* Once a weight has been brought into a kernel's own order, the file's pages need not stay in memory beside it. */
static void give_up_pages(const uc_param *param) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)param->data;
    uint64_t bytes = uc_dtype_size(param->dtype);
    for (int d = 0; d < param->rank; d++) bytes *= (uint64_t)param->dim[d];
    const uintptr_t first = (begin + page - 1) / page * page, end = (begin + (uintptr_t)bytes) / page * page;
#ifdef MADV_DONTNEED
    if (param->mapped && end > first) (void)madvise((void *)first, end - first, MADV_DONTNEED);
#else
    (void)first, (void)end;
#endif
}

static unclip_status build_launches(uc_program *p, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        uc_launch *l = &p->launches[i];
        *l = uc_plan_launch(p->plan, i, p->arena);
        l->threads = p->backend->base.options.threads;
        const unclip_status status = p->backend->choose(p->backend, l, &p->kernels[i], err);
        if (status) return uc_fail_prefix(err, status, "%s.%s", g->name, g->ops[i].scope);
        const uc_param *weight = g->values[g->ops[i].in[UC_CONV_WEIGHT].id].param;
        if (p->kernels[i].prepared && weight) give_up_pages(weight);
    }
    return p->backend->base.options.mode == UNCLIP_RUN_CHECKED ? allocate_side_buffers(p, err) : UNCLIP_OK;
}

static unclip_status prepare(uc_backend *self, uc_plan *plan, uc_program **program, unclip_error *err) {
    uc_program *p = calloc(1, sizeof *p);
    *program = NULL;
    if (!p) {
        uc_plan_free(plan);
        return uc_fail_memory(err, sizeof *p, "program");
    }
    p->backend = host_of(self);
    p->plan = plan;
    unclip_status status = allocate(p, err);
    if (!status) status = build_launches(p, err);
    if (status) {
        release(self, p);
        return status;
    }
    *program = p;
    return UNCLIP_OK;
}

static const uc_plan *plan_of(const uc_program *program) { return program->plan; }

/* ---- states ------------------------------------------------------------------------------------------------------ */

static unclip_status find_state(const uc_program *p, uc_val state, char **at, size_t *bytes, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    if (state.id <= 0 || state.id >= g->value_count || g->values[state.id].kind != UC_VALUE_STATE)
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s: value %d is not a state", g->name, (int)state.id);
    *at = p->arena + p->plan->values[state.id].offset;
    *bytes = (size_t)p->plan->values[state.id].bytes;
    return UNCLIP_OK;
}

static unclip_status upload(uc_program *p, uc_val state, const void *data, unclip_error *err) {
    char *at = NULL;
    size_t bytes = 0;
    const unclip_status status = find_state(p, state, &at, &bytes, err);
    if (!status) memcpy(at, data, bytes);
    return status;
}

static unclip_status download(uc_program *p, uc_val state, void *data, unclip_error *err) {
    char *at = NULL;
    size_t bytes = 0;
    const unclip_status status = find_state(p, state, &at, &bytes, err);
    if (!status) memcpy(data, at, bytes);
    return status;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* The reference goes first, into memory beside the arena, because an operation may overwrite its own inputs. */
static void run_reference(const uc_program *p, const uc_launch *l, bool rounds_weight) {
    uc_launch reference = *l;
    if (rounds_weight) {
        uc_view *weight = &reference.in[UC_CONV_WEIGHT];
        uc_convert(p->rounded, l->in[0].dtype, weight->data, weight->dtype, uc_shape_count(weight->shape));
        weight->dtype = l->in[0].dtype;
        weight->data = p->rounded;
    }
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (l->out[k].data) reference.out[k].data = p->reference[k];
    uc_ref_kernel(l->kind)(&reference);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        bool in_place = false;
        for (int i = 0; i < UC_MAX_INPUTS; i++) in_place = in_place || l->in[i].data == l->out[k].data;
        if (l->out[k].data && !in_place) memset(l->out[k].data, 0xFF, (size_t)output_bytes(l, k));
    }
}

static unclip_status compare_with_reference(const uc_program *p, int32_t op, const uc_launch *l, unclip_error *err) {
    const uc_graph *g = p->plan->graph;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        if (!l->out[k].data) continue;
        uc_view reference = l->out[k];
        reference.data = p->reference[k];
        const uc_difference d =
            uc_compare(&l->out[k], &reference, l->kind, uc_coarsest_type(l), p->kernels[op].loses);
        if (!d.found) continue;
        char text[UC_DIFFERENCE_TEXT], shape[UC_SHAPE_TEXT];
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s.%s: %s: output %d %s: %s", g->name, g->ops[op].scope,
                       uc_op_info_of(l->kind)->name, k, uc_shape_text(l->out[k].shape, shape),
                       uc_difference_text(&d, l->out[k].shape, text));
    }
    return UNCLIP_OK;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static unclip_status run_op(const uc_program *p, int32_t i, const uc_step *step, unclip_error *err) {
    const uc_backend_options *options = &p->backend->base.options;
    uc_launch l = p->launches[i];
    l.step = step;
    if (!step && uc_op_reads_step(l.kind))
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s.%s: %s needs a step", p->plan->graph->name,
                       p->plan->graph->ops[i].scope, uc_op_info_of(l.kind)->name);
    const bool checked = options->mode == UNCLIP_RUN_CHECKED, timed = options->mode == UNCLIP_RUN_TIMED;
    if (checked) run_reference(p, &l, p->kernels[i].rounds_weight);
    const double start = timed ? now() : 0;
    if (!p->kernels[i].run(&l, p->kernels[i].prepared))
        return uc_fail(err, UNCLIP_ERR_DEVICE, "%s.%s: %s failed in the library that runs it", p->plan->graph->name,
                       p->plan->graph->ops[i].scope, uc_op_info_of(l.kind)->name);
    if (timed && options->on_timing) options->on_timing(options->user, p->plan, i, now() - start);
    return checked ? compare_with_reference(p, i, &l, err) : UNCLIP_OK;
}

static unclip_status run(uc_program *p, int phase, const uc_step *step, unclip_error *err) {
    const uc_plan *plan = p->plan;
    if (phase < 0 || phase >= plan->graph->phase_count)
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s has no phase %d", plan->graph->name, phase);
    unclip_status status = UNCLIP_OK;
    for (int32_t i = plan->phase_begin[phase]; !status && i < plan->phase_begin[phase + 1]; i++)
        status = run_op(p, i, step, err);
    return status;
}

void uc_host_backend_init(uc_host_backend *backend, const char *name, const uc_backend_options *options) {
    uc_backend *base = &backend->base;
    base->name = name;
    base->options = *options;
    if (base->options.threads < 1) {
        const long processors = sysconf(_SC_NPROCESSORS_ONLN);
        base->options.threads = processors > 1 ? (int)processors : 1;
    }
    base->shares_memory = shares_memory;
    base->target = target;
    base->prepare = prepare;
    base->release = release;
    base->plan = plan_of;
    base->upload = upload;
    base->download = download;
    base->run = run;
}

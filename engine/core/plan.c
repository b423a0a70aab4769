/* plan.c - see plan.h. Three passes: layouts and reorders, lifetimes, offsets. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static bool is_picture(const uc_graph *g, uc_val v) {
    return uc_present(v) && g->values[v.id].shape.rank == 4 && g->values[v.id].kind != UC_VALUE_WEIGHT;
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

/* While the list of operations is written anew with reorders in it. */
typedef struct relist {
    uc_graph *g;
    const uc_target *target;
    uc_layout *layout;  /* of each value */
    uc_val *copy;       /* of each value: itself in the other layout, or none */
    bool *wants_copy;   /* of each temporary: some operation reads it in the other layout */
    int32_t values;     /* how many there were before reorders */
    uc_op *old;
    int32_t old_count;
} relist;

static uc_layout wanted(const relist *r, const uc_op *op) { return r->target->layout(r->target->self, r->g, op); }

static bool is_temp(const relist *r, uc_val v) { return r->g->values[v.id].kind == UC_VALUE_TEMP; }

static void choose_layouts(relist *r) {
    for (int32_t i = 0; i < r->old_count; i++) {
        const uc_op *op = &r->old[i];
        const uc_layout want = wanted(r, op);
        for (int k = 0; k < UC_MAX_INPUTS; k++)
            if (is_picture(r->g, op->in[k]) && is_temp(r, op->in[k]) && r->layout[op->in[k].id] != want)
                r->wants_copy[op->in[k].id] = true;
        for (int k = 0; k < UC_MAX_OUTPUTS; k++)
            if (is_picture(r->g, op->out[k]) && is_temp(r, op->out[k])) r->layout[op->out[k].id] = want;
    }
}

static uc_val emit_reorder(relist *r, const uc_op *beside, uc_val v) {
    const uc_value from = r->g->values[v.id];
    const uc_val copy = uc_graph_add_temp(r->g, from.dtype, from.shape);
    uc_op op = { .kind = UC_OP_reorder, .in = { v }, .out = { copy } };
    r->g->phase = beside->phase;
    strcpy(r->g->scope, beside->scope);
    uc_graph_add_op(r->g, &op);
    r->copy[v.id] = copy;
    return copy;
}

/* A picture with its channels innermost has the same bytes as its sequence of tokens: no operation is needed. */
static bool becomes_alias(relist *r, const uc_op *op) {
    const bool to_tokens = op->kind == UC_OP_image_to_tokens, to_image = op->kind == UC_OP_tokens_to_image;
    if (!to_tokens && !to_image) return false;
    uc_value *out = &r->g->values[op->out[0].id];
    const uc_value *in = &r->g->values[op->in[0].id];
    if (wanted(r, op) != UC_NHWC || in->kind == UC_VALUE_STATE || in->dtype != out->dtype) return false;
    out->kind = UC_VALUE_ALIAS;
    out->base = op->in[0];
    return true;
}

static void emit(relist *r, uc_op op) {
    const uc_layout want = wanted(r, &op);
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        const uc_val v = op.in[k];
        if (!is_picture(r->g, v)) continue;
        const uc_layout has = v.id < r->values ? r->layout[v.id] : want;
        if (has == want) continue;
        op.in[k] = uc_present(r->copy[v.id]) ? r->copy[v.id] : emit_reorder(r, &op, v);
    }
    r->g->phase = op.phase;
    strcpy(r->g->scope, op.scope);
    if (!becomes_alias(r, &op)) uc_graph_add_op(r->g, &op);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        const uc_val v = op.out[k];
        if (!is_picture(r->g, v)) continue;
        r->copy[v.id] = UC_NONE; /* a state that has just been written */
        if (r->wants_copy[v.id]) emit_reorder(r, &op, v);
    }
}

/* What a state held in an earlier phase or run may have changed since. */
static void forget_state_copies(relist *r) {
    for (int32_t v = 1; v < r->values; v++)
        if (r->g->values[v].kind == UC_VALUE_STATE) r->copy[v] = UC_NONE;
}

/* What was recorded out of turn goes to its phase; within a phase the order stays. */
static unclip_status sort_by_phase(uc_graph *g, unclip_error *err) {
    uc_op *sorted = malloc((size_t)(g->op_count + 1) * sizeof *sorted);
    if (!sorted) return uc_fail_memory(err, (size_t)g->op_count * sizeof *sorted, g->name);
    int32_t n = 0;
    for (int p = 0; p < g->phase_count; p++)
        for (int32_t i = 0; i < g->op_count; i++)
            if (g->ops[i].phase == p) sorted[n++] = g->ops[i];
    free(g->ops);
    g->ops = sorted;
    g->op_capacity = g->op_count + 1;
    return UNCLIP_OK;
}

static unclip_status insert_reorders(uc_graph *g, const uc_target *target, unclip_error *err) {
    const size_t n = (size_t)g->value_count;
    relist r = { .g = g, .target = target, .values = g->value_count, .old = g->ops, .old_count = g->op_count };
    r.layout = calloc(n, sizeof *r.layout);
    r.copy = calloc(n, sizeof *r.copy);
    r.wants_copy = calloc(n, sizeof *r.wants_copy);
    unclip_status status = UNCLIP_OK;
    if (!r.layout || !r.copy || !r.wants_copy) {
        status = uc_fail_memory(err, n * sizeof *r.copy, g->name);
    } else {
        choose_layouts(&r);
        g->ops = NULL;
        g->op_count = g->op_capacity = 0;
        int phase = 0;
        for (int32_t i = 0; i < r.old_count; i++) {
            if (r.old[i].phase != phase) forget_state_copies(&r);
            phase = r.old[i].phase;
            emit(&r, r.old[i]);
        }
        for (int32_t i = 0; i < r.old_count; i++) free(r.old[i].scope);
        free(r.old);
        status = uc_graph_finish(g, err);
    }
    free(r.layout);
    free(r.copy);
    free(r.wants_copy);
    return status;
}

/* The layout that each value ended with: the one its producer wants, a reorder's being the opposite of its input's. */
static void settle_layouts(uc_plan *plan, const uc_target *target) {
    const uc_graph *g = plan->graph;
    for (int32_t v = 1; v < g->value_count; v++)
        if (g->values[v].kind == UC_VALUE_ALIAS && g->values[v].shape.rank == 4) plan->values[v].layout = UC_NHWC;
    for (int32_t i = 0; i < g->op_count; i++) {
        const uc_op *op = &g->ops[i];
        for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
            const uc_val out = op->out[k];
            if (!is_picture(g, out) || g->values[out.id].kind != UC_VALUE_TEMP) continue;
            uc_layout layout = target->layout(target->self, g, op);
            if (op->kind == UC_OP_reorder && is_picture(g, op->in[0]) &&
                g->values[op->in[0].id].dtype == g->values[out.id].dtype)
                layout = plan->values[op->in[0].id].layout == UC_PLAIN ? UC_NHWC : UC_PLAIN;
            plan->values[out.id].layout = layout;
        }
    }
}

/* ---- lifetimes --------------------------------------------------------------------------------------------------- */

static void mark_phases(uc_plan *plan) {
    const uc_graph *g = plan->graph;
    int32_t i = 0;
    for (int p = 0; p <= g->phase_count; p++) {
        while (i < g->op_count && g->ops[i].phase < p) i++;
        plan->phase_begin[p] = i;
    }
}

static void find_lifetimes(uc_plan *plan) {
    const uc_graph *g = plan->graph;
    for (int32_t v = 1; v < g->value_count; v++)
        plan->values[v].first = plan->values[v].last = g->values[v].kind == UC_VALUE_STATE ? 0 : -1;
    for (int32_t i = 0; i < g->op_count; i++) {
        const uc_op *op = &g->ops[i];
        for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
            if (!uc_present(op->out[k])) continue;
            uc_placed *p = &plan->values[uc_root(g, op->out[k]).id];
            if (p->first < 0) p->first = p->last = i;
        }
        for (int k = 0; k < UC_MAX_INPUTS; k++) {
            if (!uc_present(op->in[k])) continue;
            uc_placed *p = &plan->values[uc_root(g, op->in[k]).id];
            if (p->first < 0) continue; /* a weight */
            /* a later phase is run again and again: what it reads stays until it is over */
            const bool crosses = g->ops[p->first].phase != op->phase;
            const int32_t until = crosses ? plan->phase_begin[op->phase + 1] - 1 : i;
            if (until > p->last) p->last = until;
        }
    }
    for (int32_t v = 1; v < g->value_count; v++)
        if (g->values[v].kind == UC_VALUE_STATE) {
            plan->values[v].first = 0;
            plan->values[v].last = g->op_count ? g->op_count - 1 : 0;
        }
}

/* ---- offsets ----------------------------------------------------------------------------------------------------- */

typedef struct block {
    uint64_t offset, bytes;
    int32_t first, last;
    int32_t value, op; /* whose memory: a value's, or else an operation's scratch */
} block;

static uint64_t aligned(uint64_t bytes) { return (bytes + UC_ARENA_ALIGN - 1) / UC_ARENA_ALIGN * UC_ARENA_ALIGN; }

static int larger_first(const void *pa, const void *pb) {
    const block *a = pa, *b = pb;
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

/* placed[0 ... count) ascend in offset; the new block goes to the lowest gap that is free throughout its life. */
static void place(block *placed, size_t count, block b, bool share, uint64_t *arena) {
    uint64_t offset = share ? 0 : *arena;
    for (size_t i = 0; share && i < count; i++) {
        if (placed[i].last < b.first || b.last < placed[i].first) continue;
        if (placed[i].offset >= offset + b.bytes) break;
        if (placed[i].offset + placed[i].bytes > offset) offset = placed[i].offset + placed[i].bytes;
    }
    b.offset = offset;
    size_t at = count;
    while (at > 0 && placed[at - 1].offset > offset) at--;
    memmove(&placed[at + 1], &placed[at], (count - at) * sizeof *placed);
    placed[at] = b;
    if (offset + b.bytes > *arena) *arena = offset + b.bytes;
}

static size_t collect_blocks(const uc_plan *plan, const uc_target *target, block *blocks) {
    const uc_graph *g = plan->graph;
    size_t n = 0;
    for (int32_t v = 1; v < g->value_count; v++) {
        const uc_placed *p = &plan->values[v];
        const uc_value_kind kind = g->values[v].kind;
        if ((kind != UC_VALUE_TEMP && kind != UC_VALUE_STATE) || p->first < 0) continue;
        blocks[n++] = (block){ .bytes = aligned(p->bytes), .first = p->first, .last = p->last, .value = v, .op = -1 };
    }
    for (int32_t i = 0; i < g->op_count; i++) {
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        const size_t scratch = target->scratch(target->self, &launch);
        if (scratch) blocks[n++] = (block){ .bytes = aligned(scratch), .first = i, .last = i, .value = 0, .op = i };
    }
    return n;
}

static unclip_status assign_offsets(uc_plan *plan, const uc_target *target, bool share, unclip_error *err) {
    const uc_graph *g = plan->graph;
    const size_t most = (size_t)g->value_count + (size_t)g->op_count + 1;
    block *blocks = calloc(most, sizeof *blocks), *placed = calloc(most, sizeof *placed);
    if (!blocks || !placed) {
        free(blocks);
        free(placed);
        return uc_fail_memory(err, most * sizeof *blocks, g->name);
    }
    const size_t n = collect_blocks(plan, target, blocks);
    qsort(blocks, n, sizeof *blocks, larger_first);
    for (size_t i = 0; i < n; i++) place(placed, i, blocks[i], share, &plan->arena_bytes);
    for (size_t i = 0; i < n; i++) {
        if (placed[i].value) plan->values[placed[i].value].offset = placed[i].offset;
        else plan->scratch[placed[i].op] = placed[i].offset;
    }
    free(blocks);
    free(placed);
    return UNCLIP_OK;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static unclip_status build(uc_plan *plan, const uc_target *target, bool share, unclip_error *err) {
    uc_graph *g = plan->graph;
    unclip_status status = uc_graph_finish(g, err);
    if (!status) status = sort_by_phase(g, err);
    if (!status) status = insert_reorders(g, target, err);
    if (status) return status;
    plan->values = calloc((size_t)g->value_count, sizeof *plan->values);
    plan->scratch = calloc((size_t)g->op_count + 1, sizeof *plan->scratch);
    plan->phase_begin = calloc((size_t)g->phase_count + 1, sizeof *plan->phase_begin);
    if (!plan->values || !plan->scratch || !plan->phase_begin)
        return uc_fail_memory(err, (size_t)g->value_count * sizeof *plan->values, g->name);
    for (int32_t v = 1; v < g->value_count; v++)
        plan->values[v].bytes = (uint64_t)uc_shape_count(g->values[v].shape) * uc_dtype_size(g->values[v].dtype);
    settle_layouts(plan, target);
    mark_phases(plan);
    find_lifetimes(plan);
    return assign_offsets(plan, target, share, err);
}

unclip_status uc_plan_new(uc_plan **plan, uc_graph *graph, const uc_target *target, bool share, unclip_error *err) {
    *plan = calloc(1, sizeof **plan);
    if (!*plan) {
        uc_graph_free(graph);
        return uc_fail_memory(err, sizeof **plan, "plan");
    }
    (*plan)->graph = graph;
    const unclip_status status = build(*plan, target, share, err);
    if (status) {
        uc_plan_free(*plan);
        *plan = NULL;
    }
    return status;
}

void uc_plan_free(uc_plan *plan) {
    if (!plan) return;
    uc_graph_free(plan->graph);
    free(plan->values);
    free(plan->scratch);
    free(plan->phase_begin);
    free(plan);
}

static uc_view view_of(const uc_plan *plan, uc_val v, char *arena) {
    const uc_graph *g = plan->graph;
    const uc_value *value = &g->values[v.id];
    uc_view view = { .dtype = value->dtype, .layout = plan->values[v.id].layout, .shape = value->shape };
    const uc_val root = uc_root(g, v);
    const uc_value *owner = &g->values[root.id];
    /* kernels only read weights; the view has one type for both directions */
    if (owner->kind == UC_VALUE_WEIGHT) view.data = (void *)(uintptr_t)owner->param->data;
    else if (arena) view.data = arena + plan->values[root.id].offset;
    return view;
}

uc_launch uc_plan_launch(const uc_plan *plan, int32_t op, char *arena) {
    const uc_op *o = &plan->graph->ops[op];
    uc_launch launch = { .kind = o->kind, .attrs = o->attrs, .threads = 1 };
    for (int k = 0; k < UC_MAX_INPUTS; k++)
        if (uc_present(o->in[k])) launch.in[k] = view_of(plan, o->in[k], arena);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (uc_present(o->out[k])) launch.out[k] = view_of(plan, o->out[k], arena);
    if (arena) launch.scratch = arena + plan->scratch[op];
    return launch;
}

double uc_plan_flops(const uc_plan *plan, int phase) {
    double flops = 0;
    for (int32_t i = plan->phase_begin[phase]; i < plan->phase_begin[phase + 1]; i++) {
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        flops += uc_op_flops(&launch);
    }
    return flops;
}

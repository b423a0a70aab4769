/* plan.c - the planner: random graphs are executed with hashes in place of numbers, once as they were recorded, once as
 * planned, in the arena. An operation's result is a hash of its kind and its inputs' hashes; moving data keeps the hash.
 * Memory that is given away too early or a reorder of something out of date leaves another hash in the state. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "engine/core/plan.h"
#include "engine/core/record.h"

enum { GRAPHS = 300, UNIT = UC_ARENA_ALIGN };

static uint32_t random_below(uint64_t *state, uint32_t n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

/* Wants the channels innermost for some kinds of operation and not for others, so that reorders appear. */
static uc_layout mixed_layout(const void *self, const uc_graph *g, const uc_op *op) {
    (void)g;
    const unsigned mask = *(const unsigned *)self;
    return mask >> op->kind & 1 ? UC_NHWC : UC_PLAIN;
}

static size_t some_scratch(const void *self, const uc_launch *l) {
    (void)self;
    return l->kind == UC_OP_activation ? 100 : l->kind == UC_OP_add ? 4096 : 0;
}

/* A few pictures, sequences and rows, combined at random over three phases; a state is read and written. */
static uc_graph *random_graph(uint64_t *rng) {
    uc_graph *g = uc_graph_new("random", UC_F32);
    enum { MOST = 60 };
    uc_val pictures[MOST], tokens[MOST];
    int p = 0, t = 0;
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE4(1, 4, 4, 4));
    pictures[p++] = uc_activation(g, x, UC_SILU);
    tokens[t++] = uc_image_to_tokens(g, pictures[0]);
    for (int i = 0; i < 30; i++) {
        /* an operand must come from the same phase or an earlier one: recording in ascending order ensures it */
        uc_set_phase(g, i < 10 ? 0 : i < 20 ? 1 : 2);
        const uc_val a = pictures[random_below(rng, (uint32_t)p)], b = pictures[random_below(rng, (uint32_t)p)];
        const uc_val s = tokens[random_below(rng, (uint32_t)t)], u = tokens[random_below(rng, (uint32_t)t)];
        switch (random_below(rng, 6)) {
        case 0: pictures[p++] = uc_add(g, a, b); break;
        case 1: pictures[p++] = uc_activation(g, a, UC_SILU); break;
        case 2: pictures[p++] = uc_add(g, a, x); break;
        case 3: tokens[t++] = uc_add(g, s, u); break;
        case 4: tokens[t++] = uc_image_to_tokens(g, a); break;
        default: pictures[p++] = uc_tokens_to_image(g, s, 4, 4); break;
        }
        if (!random_below(rng, 8)) uc_store(g, x, pictures[p - 1]);
    }
    uc_store(g, x, pictures[p - 1]);
    return g;
}

static bool only_moves(uc_op_kind kind) {
    return kind == UC_OP_reorder || kind == UC_OP_image_to_tokens || kind == UC_OP_tokens_to_image;
}

static uint64_t result_of(const uc_op *op, const uint64_t in[UC_MAX_INPUTS]) {
    if (only_moves(op->kind)) return in[0];
    uint64_t hash = (uint64_t)op->kind;
    for (int k = 0; k < UC_MAX_INPUTS; k++) hash = (hash ^ in[k]) * 0x9E3779B97F4A7C15u + 1;
    return hash;
}

/* As recorded: each value has a place of its own. */
static void execute_recorded(const uc_graph *g, int phase, uint64_t *content) {
    for (int32_t i = 0; i < g->op_count; i++) {
        const uc_op *op = &g->ops[i];
        if (op->phase != phase) continue;
        uint64_t in[UC_MAX_INPUTS] = { 0 };
        for (int k = 0; k < UC_MAX_INPUTS; k++)
            if (uc_present(op->in[k])) in[k] = content[op->in[k].id];
        content[op->out[0].id] = result_of(op, in);
    }
}

typedef struct arena { const uc_plan *plan; uint64_t *unit; } arena;

static uint64_t read_value(const arena *m, uc_val v, int32_t op) {
    const uc_val root = uc_root(m->plan->graph, v);
    const uc_placed *at = &m->plan->values[root.id];
    const uint64_t first = at->offset / UNIT, count = (at->bytes + UNIT - 1) / UNIT;
    cr_assert_eq(at->offset % UNIT, 0);
    cr_assert_leq(at->offset + at->bytes, m->plan->arena_bytes);
    for (uint64_t i = 1; i < count; i++)
        cr_assert_eq(m->unit[first + i], m->unit[first], "operation %d reads value %d, partly overwritten", op, v.id);
    return m->unit[first];
}

static void write_value(const arena *m, uc_val v, uint64_t content) {
    const uc_placed *at = &m->plan->values[uc_root(m->plan->graph, v).id];
    for (uint64_t i = 0; i < (at->bytes + UNIT - 1) / UNIT; i++) m->unit[at->offset / UNIT + i] = content;
}

static void execute_planned(const arena *m, int phase) {
    const uc_plan *plan = m->plan;
    for (int32_t i = plan->phase_begin[phase]; i < plan->phase_begin[phase + 1]; i++) {
        const uc_op *op = &plan->graph->ops[i];
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        const size_t scratch = some_scratch(NULL, &launch);
        for (uint64_t u = plan->scratch[i] / UNIT; u < (plan->scratch[i] + scratch + UNIT - 1) / UNIT; u++)
            m->unit[u] = 0xDEAD;
        uint64_t in[UC_MAX_INPUTS] = { 0 };
        for (int k = 0; k < UC_MAX_INPUTS; k++)
            if (uc_present(op->in[k])) in[k] = read_value(m, op->in[k], i);
        write_value(m, op->out[0], result_of(op, in));
    }
}

static void check_layouts(const uc_plan *plan, unsigned mask) {
    for (int32_t i = 0; i < plan->graph->op_count; i++) {
        const uc_op *op = &plan->graph->ops[i];
        if (op->kind == UC_OP_reorder) continue;
        const uc_launch l = uc_plan_launch(plan, i, NULL);
        const uc_layout want = mixed_layout(&mask, plan->graph, op);
        for (int k = 0; k < UC_MAX_INPUTS; k++)
            if (l.in[k].shape.rank == 4) cr_assert_eq(l.in[k].layout, want, "operation %d input %d", i, k);
    }
}

/* Phase 0 once, phase 1 three times, phase 2 twice, and then a second run of it all. */
static uint64_t run_graph(uint64_t seed, bool share) {
    uint64_t rng = seed;
    unsigned mask = random_below(&rng, 1u << 30);
    uint64_t again = rng;
    const uc_target target = { .self = &mask, .layout = mixed_layout, .scratch = some_scratch };
    unclip_error err = { 0 };
    uc_plan *plan = NULL;
    uc_graph *recorded = random_graph(&again);
    cr_assert_eq(uc_plan_new(&plan, random_graph(&rng), &target, share, &err), UNCLIP_OK, "%s", err.message);
    const arena m = { .plan = plan, .unit = calloc((size_t)(plan->arena_bytes / UNIT) + 1, sizeof(uint64_t)) };
    uint64_t *content = calloc((size_t)recorded->value_count, sizeof *content);
    const uc_val x = uc_graph_state(recorded, "x");
    for (int round = 0; round < 2; round++)
        for (int phase = 0; phase < 3; phase++)
            for (int times = 3 - phase + (phase == 0 ? -2 : 1); times > 0; times--) {
                execute_recorded(recorded, phase, content);
                execute_planned(&m, phase);
                cr_assert_eq(read_value(&m, x, -1), content[x.id], "seed %llu, phase %d", (unsigned long long)seed,
                             phase);
            }
    check_layouts(plan, mask);
    const uint64_t bytes = plan->arena_bytes;
    free(content);
    free(m.unit);
    uc_graph_free(recorded);
    uc_plan_free(plan);
    return bytes;
}

Test(core_plan, never_gives_live_memory_away) {
    uint64_t shared = 0, separate = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        const uint64_t with = run_graph(seed, true), without = run_graph(seed, false);
        cr_assert_leq(with, without, "seed %llu", (unsigned long long)seed);
        shared += with;
        separate += without;
    }
    cr_expect_lt(2 * shared, separate, "sharing saves less than half: %llu of %llu bytes", (unsigned long long)shared,
                 (unsigned long long)separate);
}

static uc_layout plain(const void *self, const uc_graph *g, const uc_op *op) {
    (void)self, (void)g, (void)op;
    return UC_PLAIN;
}

static size_t no_scratch(const void *self, const uc_launch *l) {
    (void)self, (void)l;
    return 0;
}

Test(core_plan, chain_needs_two_buffers_beside_its_state) {
    uc_graph *g = uc_graph_new("chain", UC_F32);
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE2(1, 64));
    uc_val v = x;
    for (int i = 0; i < 10; i++) v = uc_activation(g, v, UC_SILU);
    uc_store(g, x, v);
    const uc_target target = { .layout = plain, .scratch = no_scratch };
    uc_plan *plan = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_plan_new(&plan, g, &target, true, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(plan->arena_bytes, 3 * 256);
    uc_plan_free(plan);
}

Test(core_plan, picture_with_channels_innermost_is_its_own_token_sequence) {
    unsigned all = ~0u;
    uc_graph *g = uc_graph_new("alias", UC_F32);
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE4(1, 3, 2, 2));
    const uc_val a = uc_activation(g, x, UC_SILU);
    uc_store(g, x, uc_activation(g, uc_tokens_to_image(g, uc_image_to_tokens(g, a), 2, 2), UC_SILU));
    const uc_target target = { .self = &all, .layout = mixed_layout, .scratch = no_scratch };
    uc_plan *plan = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_plan_new(&plan, g, &target, true, &err), UNCLIP_OK, "%s", err.message);
    for (int32_t i = 0; i < plan->graph->op_count; i++)
        cr_expect(plan->graph->ops[i].kind == UC_OP_activation || plan->graph->ops[i].kind == UC_OP_reorder);
    uc_plan_free(plan);
}

/* plan.h - where every value of a graph lies: layouts, reorders, lifetimes, offsets.
 *
 * The planner asks the backend which layout each operation wants, inserts a reorder where a value has another one (once
 * per value), works out how long each value lives, and places them greedily: largest first, each at the lowest offset
 * that is free for its whole life. The arena's size is therefore known to the byte before anything is allocated. */
#ifndef UC_CORE_PLAN_H
#define UC_CORE_PLAN_H

#include "graph.h"

/* What cuBLASLt asks of its workspace; a cache line would do for the rest. */
enum { UC_ARENA_ALIGN = 256 };

/* What the planner wants to know of a backend. */
typedef struct uc_target {
    const void *self;
    /* The layout that this operation's pictures should have, inputs and outputs alike. UC_PLAIN for anything else. */
    uc_layout (*layout)(const void *self, const uc_graph *graph, const uc_op *op);
    /* Scratch bytes of one launch. */
    size_t (*scratch)(const void *self, const uc_launch *launch);
} uc_target;

typedef struct uc_placed {
    uc_layout layout;
    uint64_t offset, bytes; /* in the arena; weights have none */
    int32_t first, last;    /* operations between which the memory is in use, inclusive */
} uc_placed;

typedef struct uc_plan {
    uc_graph *graph;        /* owned; reorders included */
    uc_placed *values;      /* by value id */
    uint64_t *scratch;      /* by operation: offset of its scratch */
    uint64_t arena_bytes;
    int32_t *phase_begin;   /* operations of phase p: phase_begin[p] ... phase_begin[p + 1] - 1 */
} uc_plan;

/* Takes the graph over, whatever happens. share = false gives every value memory of its own. */
unclip_status uc_plan_new(uc_plan **plan, uc_graph *graph, const uc_target *target, bool share, unclip_error *err);
void uc_plan_free(uc_plan *plan);

/* The launch of operation i with pointers into this arena (NULL: shapes only). Weights point at the file's bytes. */
uc_launch uc_plan_launch(const uc_plan *plan, int32_t op, char *arena);

/* Sum over the operations of a phase. */
double uc_plan_flops(const uc_plan *plan, int phase);

#endif

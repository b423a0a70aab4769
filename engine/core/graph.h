/* graph.h - what is computed: a list of operations over values, recorded once and run many times.
 *
 * A network is recorded by functions that read like the network (see engine/models/unet.c). A uc_val is an index into
 * the graph, not a pointer; zero means "none". The first error sticks: after it every recording call returns none, and
 * uc_graph_finish reports it with the scope in which it happened, so model code needs no checks.
 *
 * A graph has phases. Phase 0 prepares a run (everything that does not change from step to step: context keys and
 * values, the time embeddings of all steps); each later phase is a list that is run once per step. A value of one phase
 * may be used in a later one and then lives until the end.
 *
 * Values are of four kinds: weights (named tensors of a uc_params set), states (memory that the host reads and writes
 * between runs, and that lives throughout), temporaries, and aliases (another value's memory under another shape). */
#ifndef UC_CORE_GRAPH_H
#define UC_CORE_GRAPH_H

#include "../../kernels/ops.h"
#include "params.h"

typedef struct uc_val { int32_t id; } uc_val;
#define UC_NONE ((uc_val){ 0 })
static inline bool uc_present(uc_val v) { return v.id != 0; }

typedef enum uc_value_kind { UC_VALUE_WEIGHT, UC_VALUE_STATE, UC_VALUE_TEMP, UC_VALUE_ALIAS } uc_value_kind;

typedef struct uc_value {
    uc_value_kind kind;
    uc_dtype dtype;
    uc_shape shape;
    uc_param *param;     /* weights */
    char *name;          /* states */
    uc_val base;         /* aliases: whose memory */
} uc_value;

typedef struct uc_op {
    uc_op_kind kind;
    int phase;
    uc_attrs attrs;
    uc_val in[UC_MAX_INPUTS];
    uc_val out[UC_MAX_OUTPUTS];
    char *scope;         /* "down_blocks.2.resnets.1" */
} uc_op;

typedef struct uc_graph {
    char *name;              /* "decoder": begins every message */
    uc_dtype type;           /* of activations: F32, F16, BF16 */
    const uc_params *params; /* where weights are looked up; changed by uc_use_params */
    uc_value *values;        /* values[0] is none */
    int32_t value_count, value_capacity;
    uc_op *ops;              /* in order of recording; the planner sorts them by phase */
    int32_t op_count, op_capacity;
    int phase, phase_count;
    char scope[512];
    unclip_error error;      /* the first failure */
} uc_graph;

uc_graph *uc_graph_new(const char *name, uc_dtype type); /* NULL when out of memory */
void uc_graph_free(uc_graph *graph);

/* Ends the recording: the first failure, if there was one. */
unclip_status uc_graph_finish(const uc_graph *graph, unclip_error *err);

/* Poisons the graph: "decoder.down_blocks.2.resnets.1: <message>". Later calls keep the first message. */
uc_val uc_graph_fail(uc_graph *graph, unclip_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Names of weights and errors inside get this prefix. Push returns the length to pop to. */
typedef struct uc_scope { size_t length; } uc_scope;
uc_scope uc_scope_push(uc_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));
void uc_scope_pop(uc_graph *graph, uc_scope scope);

/* Following operations belong to this phase; returns the one before. Phases may be recorded in any order: what a
 * network computes from its per-run inputs alone is recorded in phase 0 at the place where it is needed. */
int uc_set_phase(uc_graph *graph, int phase);

/* The network whose weights follow; the scope starts anew. */
void uc_use_params(uc_graph *graph, const uc_params *params);

/* The weight `scope.name`, which must exist with exactly this shape and a floating type. */
uc_val uc_weight(uc_graph *graph, const char *name, uc_shape shape);
bool uc_has_weight(const uc_graph *graph, const char *name);

/* A tensor that older files carry and no computation needs; it may be absent. */
void uc_ignore_weight(uc_graph *graph, const char *name);

/* Memory between host and graph, initially zero. */
uc_val uc_state(uc_graph *graph, const char *name, uc_dtype dtype, uc_shape shape);
uc_val uc_graph_state(const uc_graph *graph, const char *name); /* finds it; none when absent */

static inline const uc_value *uc_value_of(const uc_graph *g, uc_val v) { return &g->values[v.id]; }
static inline uc_shape uc_shape_of(const uc_graph *g, uc_val v) { return g->values[v.id].shape; }

/* The value whose memory this one uses (itself unless an alias). */
uc_val uc_root(const uc_graph *graph, uc_val v);

/* Adds an operation whose shapes have been checked; record.c's and the planner's way in. outputs[i] may be one of the
 * inputs (updated in place) or none, in which case a temporary of the given type and shape is made. */
uc_val uc_graph_add_temp(uc_graph *graph, uc_dtype dtype, uc_shape shape);
uc_val uc_graph_add_alias(uc_graph *graph, uc_val base, uc_shape shape);
void uc_graph_add_op(uc_graph *graph, const uc_op *op);

#endif

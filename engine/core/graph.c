/* graph.c - see graph.h. */
#include "graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uc_graph *uc_graph_new(const char *name, uc_dtype type) {
    uc_graph *g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->name = strdup(name);
    g->value_capacity = 64;
    g->values = calloc((size_t)g->value_capacity, sizeof *g->values);
    if (!g->name || !g->values) {
        uc_graph_free(g);
        return NULL;
    }
    g->type = type;
    g->value_count = 1;
    g->phase_count = 1;
    return g;
}

void uc_graph_free(uc_graph *graph) {
    if (!graph) return;
    for (int32_t i = 1; i < graph->value_count; i++) free(graph->values[i].name);
    for (int32_t i = 0; i < graph->op_count; i++) free(graph->ops[i].scope);
    free(graph->values);
    free(graph->ops);
    free(graph->name);
    free(graph);
}

unclip_status uc_graph_finish(const uc_graph *graph, unclip_error *err) {
    if (!graph->error.status) return UNCLIP_OK;
    return uc_fail(err, graph->error.status, "%s", graph->error.message);
}

uc_val uc_graph_fail(uc_graph *graph, unclip_status status, const char *format, ...) {
    if (graph->error.status) return UC_NONE;
    char message[640];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    uc_fail(&graph->error, status, "%s%s%s: %s", graph->params ? graph->params->component : graph->name,
            graph->scope[0] ? "." : "", graph->scope, message);
    return UC_NONE;
}

uc_scope uc_scope_push(uc_graph *graph, const char *format, ...) {
    const uc_scope before = { strlen(graph->scope) };
    char part[128];
    va_list args;
    va_start(args, format);
    vsnprintf(part, sizeof part, format, args);
    va_end(args);
    snprintf(graph->scope + before.length, sizeof graph->scope - before.length, "%s%s", before.length ? "." : "", part);
    return before;
}

void uc_scope_pop(uc_graph *graph, uc_scope scope) { graph->scope[scope.length] = 0; }

int uc_set_phase(uc_graph *graph, int phase) {
    const int before = graph->phase;
    graph->phase = phase;
    if (phase >= graph->phase_count) graph->phase_count = phase + 1;
    return before;
}

void uc_use_params(uc_graph *graph, const uc_params *params) {
    graph->params = params;
    graph->scope[0] = 0;
}

static uc_val add_value(uc_graph *g, uc_value value) {
    if (g->error.status) return UC_NONE;
    if (g->value_count == g->value_capacity) {
        uc_value *grown = realloc(g->values, 2 * (size_t)g->value_capacity * sizeof *grown);
        if (!grown) return uc_graph_fail(g, UNCLIP_ERR_MEMORY, "out of memory while recording");
        g->values = grown;
        g->value_capacity *= 2;
    }
    g->values[g->value_count] = value;
    return (uc_val){ g->value_count++ };
}

static void full_name(const uc_graph *g, const char *name, char *out, size_t capacity) {
    snprintf(out, capacity, "%s%s%s", g->scope, g->scope[0] ? "." : "", name);
}

bool uc_has_weight(const uc_graph *graph, const char *name) {
    char full[640];
    full_name(graph, name, full, sizeof full);
    return uc_params_find(graph->params, full) != NULL;
}

void uc_ignore_weight(uc_graph *graph, const char *name) {
    char full[640];
    full_name(graph, name, full, sizeof full);
    uc_param *param = uc_params_find(graph->params, full);
    if (param) param->used = true;
}

static bool param_fits(const uc_param *p, uc_shape shape) {
    if (p->rank != shape.rank) return false;
    for (int i = 0; i < p->rank; i++)
        if (p->dim[i] != shape.dim[i]) return false;
    return true;
}

static void param_shape_text(const uc_param *p, char *buf, size_t capacity) {
    size_t n = (size_t)snprintf(buf, capacity, "[");
    for (int i = 0; i < p->rank && n < capacity; i++)
        n += (size_t)snprintf(buf + n, capacity - n, i ? ",%lld" : "%lld", (long long)p->dim[i]);
    if (n < capacity) snprintf(buf + n, capacity - n, "]");
}

uc_val uc_weight(uc_graph *graph, const char *name, uc_shape shape) {
    if (graph->error.status) return UC_NONE;
    char full[640], is[256], expected[UC_SHAPE_TEXT];
    full_name(graph, name, full, sizeof full);
    uc_param *param = uc_params_find(graph->params, full);
    if (!param)
        return uc_graph_fail(graph, UNCLIP_ERR_MODEL_DATA, "%s is missing from %s, expected %s", name,
                             graph->params->file, uc_shape_text(shape, expected));
    if (!param_fits(param, shape)) {
        param_shape_text(param, is, sizeof is);
        return uc_graph_fail(graph, UNCLIP_ERR_MODEL_DATA, "%s is %s, expected %s", name, is,
                             uc_shape_text(shape, expected));
    }
    if (!uc_dtype_is_float(param->dtype))
        return uc_graph_fail(graph, UNCLIP_ERR_MODEL_DATA, "%s has type %s, expected F32, F16 or BF16", name,
                             uc_dtype_name(param->dtype));
    param->used = true;
    for (int32_t i = 1; i < graph->value_count; i++)
        if (graph->values[i].param == param) return (uc_val){ i };
    return add_value(graph, (uc_value){ .kind = UC_VALUE_WEIGHT, .dtype = param->dtype, .shape = shape,
                                        .param = param });
}

uc_val uc_state(uc_graph *graph, const char *name, uc_dtype dtype, uc_shape shape) {
    char *copy = strdup(name);
    if (!copy) return uc_graph_fail(graph, UNCLIP_ERR_MEMORY, "out of memory while recording");
    const uc_val v = add_value(graph, (uc_value){ .kind = UC_VALUE_STATE, .dtype = dtype, .shape = shape,
                                                  .name = copy });
    if (!uc_present(v)) free(copy);
    return v;
}

uc_val uc_graph_state(const uc_graph *graph, const char *name) {
    for (int32_t i = 1; i < graph->value_count; i++)
        if (graph->values[i].name && !strcmp(graph->values[i].name, name)) return (uc_val){ i };
    return UC_NONE;
}

uc_val uc_root(const uc_graph *graph, uc_val v) {
    while (graph->values[v.id].kind == UC_VALUE_ALIAS) v = graph->values[v.id].base;
    return v;
}

uc_val uc_graph_add_temp(uc_graph *graph, uc_dtype dtype, uc_shape shape) {
    return add_value(graph, (uc_value){ .kind = UC_VALUE_TEMP, .dtype = dtype, .shape = shape });
}

uc_val uc_graph_add_alias(uc_graph *graph, uc_val base, uc_shape shape) {
    return add_value(graph, (uc_value){ .kind = UC_VALUE_ALIAS, .dtype = graph->values[base.id].dtype, .shape = shape,
                                        .base = base });
}

void uc_graph_add_op(uc_graph *graph, const uc_op *op) {
    if (graph->error.status) return;
    if (graph->op_count == graph->op_capacity) {
        const int32_t capacity = graph->op_capacity ? 2 * graph->op_capacity : 64;
        uc_op *grown = realloc(graph->ops, (size_t)capacity * sizeof *grown);
        if (!grown) {
            uc_graph_fail(graph, UNCLIP_ERR_MEMORY, "out of memory while recording");
            return;
        }
        graph->ops = grown;
        graph->op_capacity = capacity;
    }
    uc_op copy = *op;
    copy.phase = graph->phase;
    copy.scope = strdup(graph->scope);
    if (!copy.scope) {
        uc_graph_fail(graph, UNCLIP_ERR_MEMORY, "out of memory while recording");
        return;
    }
    graph->ops[graph->op_count++] = copy;
}

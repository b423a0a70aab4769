/* record.c - the shape rules of every operation; see record.h. */
#include "record.h"

#include <stdio.h>

static uc_op op_of(uc_op_kind kind, uc_val x) { return (uc_op){ .kind = kind, .in[0] = x }; }

/* The common ending: one new temporary of the graph's type. */
static uc_val finish(uc_graph *g, uc_op *op, uc_shape shape) {
    op->out[0] = uc_graph_add_temp(g, g->type, shape);
    uc_graph_add_op(g, op);
    return g->error.status ? UC_NONE : op->out[0];
}

static bool poisoned(const uc_graph *g) { return g->error.status != UNCLIP_OK; }

static uc_val misfit(uc_graph *g, const char *what, uc_shape is, uc_shape expected) {
    char a[UC_SHAPE_TEXT], b[UC_SHAPE_TEXT];
    return uc_graph_fail(g, UNCLIP_ERR_INTERNAL, "%s is %s, expected %s", what, uc_shape_text(is, a),
                         uc_shape_text(expected, b));
}

static bool same_shape(uc_graph *g, const char *what, uc_val v, uc_shape expected) {
    if (!uc_present(v) || uc_shape_equal(uc_shape_of(g, v), expected)) return true;
    misfit(g, what, uc_shape_of(g, v), expected);
    return false;
}

static bool rank_is(uc_graph *g, const char *what, uc_val v, int rank) {
    if (uc_shape_of(g, v).rank == rank) return true;
    char a[UC_SHAPE_TEXT];
    uc_graph_fail(g, UNCLIP_ERR_INTERNAL, "%s is %s, expected %d dimensions", what, uc_shape_text(uc_shape_of(g, v), a),
                  rank);
    return false;
}

uc_val uc_conv2d_(uc_graph *g, uc_val x, uc_conv2d_call call) {
    if (poisoned(g) || !rank_is(g, "conv2d input", x, 4)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    const int stride = call.stride ? call.stride : 1;
    const int64_t h = s.dim[2] + 2 * call.pad - call.kernel, w = s.dim[3] + 2 * call.pad - call.kernel;
    if (h < 0 || w < 0) return misfit(g, "conv2d input", s, UC_SHAPE2(call.kernel, call.kernel));
    uc_op op = op_of(UC_OP_conv2d, x);
    op.attrs.conv2d = (uc_conv2d_attrs){ .stride = stride, .pad = call.pad };
    const uc_scope scope = uc_scope_push(g, "%s", call.name);
    op.in[UC_CONV_WEIGHT] = uc_weight(g, "weight", UC_SHAPE4(call.channels, s.dim[1], call.kernel, call.kernel));
    if (!call.no_bias) op.in[UC_CONV_BIAS] = uc_weight(g, "bias", UC_SHAPE1(call.channels));
    const uc_shape out = UC_SHAPE4(s.dim[0], call.channels, h / stride + 1, w / stride + 1);
    uc_val y = UC_NONE;
    if (same_shape(g, "conv2d residual", call.residual, out)) {
        op.in[UC_CONV_RESIDUAL] = call.residual;
        y = finish(g, &op, out);
    }
    uc_scope_pop(g, scope);
    return y;
}

uc_val uc_linear_(uc_graph *g, uc_val x, uc_linear_call call) {
    if (poisoned(g)) return UC_NONE;
    uc_shape s = uc_shape_of(g, x);
    if (s.rank < 2 || s.rank > 3) return rank_is(g, "linear input", x, 3) ? UC_NONE : UC_NONE;
    uc_op op = op_of(UC_OP_matmul, x);
    op.attrs.matmul.act = call.act;
    const uc_scope scope = uc_scope_push(g, "%s", call.name);
    op.in[UC_MATMUL_WEIGHT] = uc_weight(g, "weight", UC_SHAPE2(call.features, s.dim[s.rank - 1]));
    if (!call.no_bias) op.in[UC_MATMUL_BIAS] = uc_weight(g, "bias", UC_SHAPE1(call.features));
    s.dim[s.rank - 1] = call.features;
    uc_val y = UC_NONE;
    if (same_shape(g, "linear residual", call.residual, s)) {
        op.in[UC_MATMUL_RESIDUAL] = call.residual;
        y = finish(g, &op, s);
    }
    uc_scope_pop(g, scope);
    return y;
}

uc_val uc_group_norm_(uc_graph *g, uc_val x, uc_group_norm_call call) {
    if (poisoned(g)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    const int64_t channels = s.rank == 4 ? s.dim[1] : s.dim[s.rank - 1];
    const uc_scope scope = uc_scope_push(g, "%s", call.name);
    uc_val y = UC_NONE;
    if (call.groups < 1 || channels % call.groups) {
        uc_graph_fail(g, UNCLIP_ERR_MODEL_DATA, "%lld channels do not divide into %d groups", (long long)channels,
                      call.groups);
    } else if (same_shape(g, "group norm scale and shift", call.scale_shift, UC_SHAPE2(s.dim[0], 2 * channels)) &&
               same_shape(g, "group norm addend", call.add, UC_SHAPE2(s.dim[0], channels))) {
        uc_op op = op_of(UC_OP_group_norm, x);
        op.attrs.group_norm = (uc_group_norm_attrs){ .groups = call.groups, .eps = call.eps, .act = call.act };
        op.in[UC_GN_WEIGHT] = uc_weight(g, "weight", UC_SHAPE1(channels));
        op.in[UC_GN_BIAS] = uc_weight(g, "bias", UC_SHAPE1(channels));
        op.in[UC_GN_SCALE_SHIFT] = call.scale_shift;
        op.in[UC_GN_ADD] = call.add;
        y = finish(g, &op, s);
    }
    uc_scope_pop(g, scope);
    return y;
}

uc_val uc_layer_norm(uc_graph *g, uc_val x, const char *name, float eps) {
    if (poisoned(g)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    const int64_t channels = s.dim[s.rank - 1];
    const uc_scope scope = uc_scope_push(g, "%s", name);
    uc_op op = op_of(UC_OP_layer_norm, x);
    op.attrs.layer_norm.eps = eps;
    op.in[UC_LN_WEIGHT] = uc_weight(g, "weight", UC_SHAPE1(channels));
    op.in[UC_LN_BIAS] = uc_weight(g, "bias", UC_SHAPE1(channels));
    const uc_val y = finish(g, &op, s);
    uc_scope_pop(g, scope);
    return y;
}

uc_val uc_attention_(uc_graph *g, uc_attention_call call) {
    if (poisoned(g) || !rank_is(g, "attention query", call.q, 3) || !rank_is(g, "attention key", call.k, 3))
        return UC_NONE;
    const uc_shape q = uc_shape_of(g, call.q), k = uc_shape_of(g, call.k);
    if (call.heads < 1 || q.dim[2] % call.heads)
        return uc_graph_fail(g, UNCLIP_ERR_MODEL_DATA, "%lld channels do not divide into %d attention heads",
                             (long long)q.dim[2], call.heads);
    const uc_shape self = UC_SHAPE3(q.dim[0], k.dim[1], q.dim[2]);
    if (!same_shape(g, "attention key", call.k, self) || !same_shape(g, "attention value", call.v, self) ||
        !same_shape(g, "attention bias", call.bias, UC_SHAPE2(q.dim[0], k.dim[1])))
        return UC_NONE;
    if (uc_present(call.ctx_k)) {
        const int64_t length = uc_shape_of(g, call.ctx_k).dim[1];
        const uc_shape context = UC_SHAPE3(q.dim[0], length, q.dim[2]);
        if (!same_shape(g, "attention context key", call.ctx_k, context) ||
            !same_shape(g, "attention context value", call.ctx_v, context) ||
            !same_shape(g, "attention context bias", call.ctx_bias, UC_SHAPE2(q.dim[0], length)))
            return UC_NONE;
    }
    uc_op op = { .kind = UC_OP_attention,
                 .in = { call.q, call.k, call.v, call.bias, call.ctx_k, call.ctx_v, call.ctx_bias } };
    const double head = (double)(q.dim[2] / call.heads);
    op.attrs.attention = (uc_attention_attrs){ .heads = call.heads, .causal = call.causal,
                                               .scale = call.scale != 0 ? call.scale
                                                                        : (float)(1 / __builtin_sqrt(head)) };
    return finish(g, &op, q);
}

uc_val uc_embedding(uc_graph *g, uc_val ids, uc_val table, uc_val positions) {
    if (poisoned(g) || !rank_is(g, "token ids", ids, 2)) return UC_NONE;
    const uc_shape t = uc_shape_of(g, ids), width = uc_shape_of(g, table);
    uc_op op = op_of(UC_OP_embedding, ids);
    op.in[UC_EMB_TABLE] = table;
    op.in[UC_EMB_POSITIONS] = positions;
    return finish(g, &op, UC_SHAPE3(t.dim[0], t.dim[1], width.dim[1]));
}

uc_val uc_timestep(uc_graph *g, uc_val t, int64_t dim, bool flip_sin_to_cos, float freq_shift) {
    if (poisoned(g) || !rank_is(g, "timesteps", t, 1)) return UC_NONE;
    uc_op op = op_of(UC_OP_timestep, t);
    op.attrs.timestep = (uc_timestep_attrs){ .flip_sin_to_cos = flip_sin_to_cos, .freq_shift = freq_shift };
    return finish(g, &op, UC_SHAPE2(uc_shape_of(g, t).dim[0], dim));
}

uc_val uc_activation(uc_graph *g, uc_val x, uc_act act) {
    if (poisoned(g)) return UC_NONE;
    uc_op op = op_of(UC_OP_activation, x);
    op.attrs.activation.act = act;
    return finish(g, &op, uc_shape_of(g, x));
}

/* b is compared with the last dimensions of a. */
static bool broadcasts(uc_shape a, uc_shape b) {
    if (b.rank > a.rank) return false;
    for (int i = 0; i < b.rank; i++) {
        const int64_t da = a.dim[a.rank - b.rank + i], db = b.dim[i];
        if (da != db && db != 1) return false;
    }
    return true;
}

uc_val uc_add(uc_graph *g, uc_val a, uc_val b) {
    if (poisoned(g)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, a);
    if (!broadcasts(s, uc_shape_of(g, b))) return misfit(g, "second addend", uc_shape_of(g, b), s);
    uc_op op = op_of(UC_OP_add, a);
    op.in[1] = b;
    return finish(g, &op, s);
}

uc_val uc_scale_shift(uc_graph *g, uc_val x, uc_val scale, uc_val shift) {
    if (poisoned(g)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x), row = UC_SHAPE1(s.dim[s.rank - 1]);
    if (!same_shape(g, "scale", scale, row) || !same_shape(g, "shift", shift, row)) return UC_NONE;
    uc_op op = op_of(UC_OP_scale_shift, x);
    op.in[1] = scale;
    op.in[2] = shift;
    return finish(g, &op, s);
}

uc_val uc_resample(uc_graph *g, uc_val x, uc_resample_mode mode, int64_t height, int64_t width) {
    if (poisoned(g) || !rank_is(g, "picture", x, 4)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    const bool fits = mode == UC_NEAREST   ? height == 2 * s.dim[2] && width == 2 * s.dim[3]
                      : mode == UC_AVERAGE ? 2 * height == s.dim[2] && 2 * width == s.dim[3]
                                           : height > 0 && width > 0;
    if (!fits) return misfit(g, "picture to resample", s, UC_SHAPE4(s.dim[0], s.dim[1], height, width));
    uc_op op = op_of(UC_OP_resample, x);
    op.attrs.resample.mode = mode;
    return finish(g, &op, UC_SHAPE4(s.dim[0], s.dim[1], height, width));
}

uc_val uc_concat(uc_graph *g, int dim, const uc_val *parts, int count) {
    if (poisoned(g)) return UC_NONE;
    uc_op op = { .kind = UC_OP_concat, .attrs.concat.dim = dim };
    uc_shape s = uc_shape_of(g, parts[0]);
    for (int i = 0; i < count; i++) {
        op.in[i] = parts[i];
        if (!i) continue;
        const uc_shape part = uc_shape_of(g, parts[i]);
        uc_shape expected = s;
        if (part.rank == s.rank) expected.dim[dim] = part.dim[dim];
        if (!uc_shape_equal(part, expected)) return misfit(g, "part to concatenate", part, expected);
        s.dim[dim] += part.dim[dim];
    }
    return finish(g, &op, s);
}

uc_val uc_repeat(uc_graph *g, uc_val x, int times) {
    if (poisoned(g) || times == 1) return x;
    uc_op op = op_of(UC_OP_repeat, x);
    op.attrs.repeat.times = times;
    uc_shape s = uc_shape_of(g, x);
    s.dim[0] *= times;
    return finish(g, &op, s);
}

uc_val uc_slice(uc_graph *g, uc_val x, int dim, int64_t begin, int64_t size) {
    if (poisoned(g)) return UC_NONE;
    uc_shape s = uc_shape_of(g, x), expected = s;
    expected.dim[dim] = begin + size;
    if (dim > 1 || begin < 0 || size < 1 || begin + size > s.dim[dim] || (s.rank == 4 && dim == 1))
        return misfit(g, "value to slice", s, expected);
    uc_op op = op_of(UC_OP_slice, x);
    op.attrs.slice = (uc_slice_attrs){ .dim = dim, .begin = begin };
    s.dim[dim] = size;
    return finish(g, &op, s);
}

uc_val uc_select_row(uc_graph *g, uc_val table) {
    if (poisoned(g) || !rank_is(g, "table", table, 2)) return UC_NONE;
    uc_op op = op_of(UC_OP_select_row, table);
    return finish(g, &op, UC_SHAPE2(1, uc_shape_of(g, table).dim[1]));
}

uc_val uc_gather_token(uc_graph *g, uc_val x, uc_val index) {
    if (poisoned(g) || !rank_is(g, "tokens", x, 3)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    if (!same_shape(g, "token index", index, UC_SHAPE1(s.dim[0]))) return UC_NONE;
    uc_op op = op_of(UC_OP_gather_token, x);
    op.in[1] = index;
    return finish(g, &op, UC_SHAPE2(s.dim[0], s.dim[2]));
}

uc_val uc_take_token(uc_graph *g, uc_val x, int64_t token) {
    if (poisoned(g) || !rank_is(g, "tokens", x, 3)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    if (token < 0 || token >= s.dim[1]) return misfit(g, "tokens", s, UC_SHAPE3(s.dim[0], token + 1, s.dim[2]));
    uc_op op = op_of(UC_OP_gather_token, x);
    op.attrs.gather_token.token = token;
    return finish(g, &op, UC_SHAPE2(s.dim[0], s.dim[2]));
}

uc_val uc_transpose(uc_graph *g, uc_val x) {
    if (poisoned(g) || !rank_is(g, "matrices", x, 3)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    uc_op op = op_of(UC_OP_transpose, x);
    return finish(g, &op, UC_SHAPE3(s.dim[0], s.dim[2], s.dim[1]));
}

uc_val uc_image_to_tokens(uc_graph *g, uc_val x) {
    if (poisoned(g) || !rank_is(g, "picture", x, 4)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    uc_op op = op_of(UC_OP_image_to_tokens, x);
    return finish(g, &op, UC_SHAPE3(s.dim[0], s.dim[2] * s.dim[3], s.dim[1]));
}

uc_val uc_tokens_to_image(uc_graph *g, uc_val x, int64_t height, int64_t width) {
    if (poisoned(g) || !rank_is(g, "tokens", x, 3)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    if (s.dim[1] != height * width) return misfit(g, "tokens", s, UC_SHAPE3(s.dim[0], height * width, s.dim[2]));
    uc_op op = op_of(UC_OP_tokens_to_image, x);
    return finish(g, &op, UC_SHAPE4(s.dim[0], s.dim[2], height, width));
}

uc_val uc_reshape(uc_graph *g, uc_val x, uc_shape shape) {
    if (poisoned(g)) return UC_NONE;
    const uc_shape s = uc_shape_of(g, x);
    /* rank 4 has a layout, which a new shape would silently reinterpret */
    if (uc_shape_count(s) != uc_shape_count(shape) || s.rank == 4 || shape.rank == 4)
        return misfit(g, "value to reshape", s, shape);
    return uc_graph_add_alias(g, x, shape);
}

uc_val uc_copy(uc_graph *g, uc_val x, uc_dtype dtype) {
    if (poisoned(g)) return UC_NONE;
    if (uc_value_of(g, x)->dtype == dtype) return x;
    uc_op op = op_of(UC_OP_reorder, x);
    op.out[0] = uc_graph_add_temp(g, dtype, uc_shape_of(g, x));
    uc_graph_add_op(g, &op);
    return op.out[0];
}

void uc_store(uc_graph *g, uc_val state, uc_val x) {
    if (poisoned(g) || !same_shape(g, "value to store", x, uc_shape_of(g, state))) return;
    uc_op op = op_of(UC_OP_reorder, x);
    op.out[0] = state;
    uc_graph_add_op(g, &op);
}

void uc_noise_step_(uc_graph *g, uc_noise_call call) {
    if (poisoned(g)) return;
    const uc_shape s = uc_shape_of(g, call.x);
    uc_shape p = uc_shape_of(g, call.prediction), expected = s;
    expected.dim[0] *= call.guided ? 2 : 1;
    if (p.rank == s.rank && p.dim[1] == 2 * s.dim[1]) expected.dim[1] = p.dim[1];
    if (!same_shape(g, "prediction", call.prediction, expected) || !same_shape(g, "x0", call.x0, s) ||
        !same_shape(g, "noise", call.noise, s) || !same_shape(g, "seeds", call.seeds, UC_SHAPE1(s.dim[0])))
        return;
    if (call.learned_variance && p.dim[1] != 2 * s.dim[1]) {
        misfit(g, "prediction with a learned variance", p, expected);
        return;
    }
    uc_op op = { .kind = UC_OP_noise_step, .in = { call.x, call.prediction, call.x0, call.seeds, call.noise },
                 .out = { call.x, call.x0 } };
    op.attrs.noise_step = (uc_noise_attrs){ .prediction = call.kind, .guided = call.guided,
                                            .learned_variance = call.learned_variance,
                                            .threshold = call.threshold };
    uc_graph_add_op(g, &op);
}

void uc_to_bytes(uc_graph *g, uc_val bytes, uc_val x) {
    if (poisoned(g) || !rank_is(g, "picture", x, 4)) return;
    const uc_shape s = uc_shape_of(g, x);
    const int64_t pixels = s.dim[2] * s.dim[3];
    if (!same_shape(g, "picture", x, UC_SHAPE4(s.dim[0], 3, s.dim[2], s.dim[3])) ||
        !same_shape(g, "bytes", bytes, UC_SHAPE3(s.dim[0], pixels, 4)))
        return;
    uc_op op = op_of(UC_OP_to_bytes, x);
    op.out[0] = bytes;
    uc_graph_add_op(g, &op);
}

void uc_sample_token(uc_graph *g, uc_val token, uc_val seeds, uc_val logits, bool guided) {
    if (poisoned(g) || !rank_is(g, "logits", logits, 2) || !rank_is(g, "seeds", seeds, 1)) return;
    const int64_t batch = uc_shape_of(g, seeds).dim[0];
    const uc_shape expected = UC_SHAPE2((guided ? 2 : 1) * batch, uc_shape_of(g, logits).dim[1]);
    if (!same_shape(g, "logits", logits, expected) || !same_shape(g, "token", token, UC_SHAPE2(batch, 1))) return;
    uc_op op = { .kind = UC_OP_sample_token, .in = { seeds, logits }, .out = { token } };
    op.attrs.sample_token.guided = guided;
    uc_graph_add_op(g, &op);
}

/* prior_ar.c - see prior_ar.h. */
#include "prior_ar.h"

#include <stdio.h>

enum { UC_MAX_PRIOR_AR_LAYERS = 256 };

typedef struct key_value { uc_val k, v; } key_value;
typedef struct projections { uc_val q, k, v; } projections;

static int64_t prefix_length(const uc_prior_ar_config *c) { return c->text_tokens + 2; }

static projections projections_of(uc_graph *g, const uc_prior_ar_config *c, uc_val x) {
    const uc_val h = uc_layer_norm(g, x, "ln_1", c->eps);
    projections p;
    p.q = uc_linear(g, h, "attn.q_proj", .features = c->width);
    p.k = uc_linear(g, h, "attn.k_proj", .features = c->width);
    p.v = uc_linear(g, h, "attn.v_proj", .features = c->width);
    return p;
}

/* What follows the attention in a layer. */
static uc_val finish_layer(uc_graph *g, const uc_prior_ar_config *c, uc_val x, uc_val seen) {
    x = uc_linear(g, seen, "attn.out_proj", .features = c->width, .residual = x);
    uc_val h = uc_layer_norm(g, x, "ln_2", c->eps);
    h = uc_linear(g, h, "mlp.fc", .features = c->intermediate, .act = UC_GELU);
    return uc_linear(g, h, "mlp.proj", .features = c->width, .residual = x);
}

static uc_val last_token(uc_graph *g, uc_val x) {
    const uc_shape s = uc_shape_of(g, x);
    return uc_reshape(g, uc_take_token(g, x, s.dim[1] - 1), UC_SHAPE3(s.dim[0], 1, s.dim[2]));
}

/* x [rows,1,width] -> the next component's token. */
static void draw(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in, uc_val x) {
    const uc_val row = uc_reshape(g, x, UC_SHAPE2(uc_shape_of(g, x).dim[0], c->width));
    const uc_val h = uc_layer_norm(g, row, "ln_f", c->eps);
    const uc_val logits = uc_linear(g, h, "head", .features = c->buckets, .no_bias = true);
    if (uc_present(in->logits)) uc_store(g, in->logits, logits);
    uc_sample_token(g, in->token, in->seeds, logits, in->guided);
}

static uc_val token_table(uc_graph *g, const uc_prior_ar_config *c) {
    return uc_weight(g, "token_embedding.weight", UC_SHAPE2(c->buckets + c->dot_buckets + 1, c->width));
}

static uc_val positions_of(uc_graph *g, const uc_prior_ar_config *c, int64_t begin, int64_t count) {
    const int64_t tokens = prefix_length(c) + c->components - 1;
    return uc_slice(g, uc_weight(g, "position_embedding.weight", UC_SHAPE2(tokens, c->width)), 0, begin, count);
}

static uc_val prefix_tokens(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in) {
    const int64_t rows = uc_shape_of(g, in->dot).dim[0];
    const uc_val text = uc_linear(g, in->text_hidden, "text_proj", .features = c->width);
    const uc_val embed = uc_linear(g, in->text_embeds, "text_embed_proj", .features = c->width);
    const uc_val dot = uc_embedding(g, in->dot, token_table(g, c), UC_NONE);
    const uc_val parts[] = { text, uc_reshape(g, embed, UC_SHAPE3(rows, 1, c->width)), dot };
    return uc_add(g, uc_concat(g, 1, parts, 3), positions_of(g, c, 0, prefix_length(c)));
}

/* What stands before the first component, through all layers, for its keys and values and the first draw. */
static void record_prefix(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in, key_value *cache) {
    uc_val x = prefix_tokens(g, c, in);
    for (int64_t i = 0; i < c->layers; i++) {
        const uc_scope scope = uc_scope_push(g, "layers.%lld", (long long)i);
        const projections p = projections_of(g, c, x);
        cache[i] = (key_value){ p.k, p.v };
        uc_val seen = uc_attention(g, .q = p.q, .k = p.k, .v = p.v, .heads = (int)c->heads, .causal = true,
                                   .bias = in->mask_bias);
        if (i + 1 == c->layers && !g->error.status) { /* of the last layer only the last token is wanted */
            seen = last_token(g, seen);
            x = last_token(g, x);
        }
        x = finish_layer(g, c, x, seen);
        uc_scope_pop(g, scope);
    }
    if (!g->error.status) draw(g, c, in, x);
}

/* The window [rows, components - 1, width] of one kind of one layer, moved on by the newest. */
static uc_val slide(uc_graph *g, const uc_prior_ar_config *c, const char *kind, int64_t layer, uc_val newest) {
    char name[32];
    snprintf(name, sizeof name, "%s.%lld", kind, (long long)layer);
    const int64_t length = c->components - 1;
    const uc_val window = uc_state(g, name, g->type, UC_SHAPE3(uc_shape_of(g, newest).dim[0], length, c->width));
    uc_val moved = newest;
    if (length > 1) {
        const uc_val parts[] = { uc_slice(g, window, 1, 1, length - 1), newest };
        moved = uc_concat(g, 1, parts, 2);
    }
    uc_store(g, window, moved);
    return moved;
}

static void record_step(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in,
                        const key_value *cache) {
    const int phase = uc_set_phase(g, 0);
    const uc_val positions = positions_of(g, c, prefix_length(c), c->components - 1);
    uc_set_phase(g, phase);
    const int rows = (int)uc_shape_of(g, in->dot).dim[0];
    const uc_val hidden = uc_repeat(g, uc_select_row(g, in->window_bias), rows);
    const uc_val window_bias = uc_copy(g, hidden, UC_F32);
    uc_val x = uc_embedding(g, in->token, token_table(g, c), UC_NONE);
    x = uc_repeat(g, uc_add(g, x, uc_select_row(g, positions)), in->guided ? 2 : 1);
    for (int64_t i = 0; i < c->layers && !g->error.status; i++) {
        const uc_scope scope = uc_scope_push(g, "layers.%lld", (long long)i);
        const projections p = projections_of(g, c, x);
        const uc_val keys = slide(g, c, "keys", i, p.k), values = slide(g, c, "values", i, p.v);
        const uc_val seen = uc_attention(g, .q = p.q, .k = keys, .v = values, .heads = (int)c->heads,
                                         .bias = window_bias, .ctx_k = cache[i].k, .ctx_v = cache[i].v,
                                         .ctx_bias = in->mask_bias);
        x = finish_layer(g, c, x, seen);
        uc_scope_pop(g, scope);
    }
    if (!g->error.status) draw(g, c, in, x);
}

void uc_prior_ar_record(uc_graph *g, const uc_prior_ar_config *c, const uc_prior_ar_inputs *in) {
    if (c->layers > UC_MAX_PRIOR_AR_LAYERS) {
        uc_graph_fail(g, UNCLIP_ERR_UNSUPPORTED, "%lld layers, at most %d are supported", (long long)c->layers,
                      UC_MAX_PRIOR_AR_LAYERS);
        return;
    }
    key_value cache[UC_MAX_PRIOR_AR_LAYERS] = { { UC_NONE, UC_NONE } };
    const int phase = uc_set_phase(g, 0);
    record_prefix(g, c, in, cache);
    uc_set_phase(g, 1);
    if (!g->error.status) record_step(g, c, in, cache);
    uc_set_phase(g, phase);
}

void uc_prior_ar_window_bias(const uc_prior_ar_config *c, float *bias) {
    const int64_t length = c->components - 1;
    for (int64_t r = 0; r < length; r++)
        for (int64_t i = 0; i < length; i++) bias[r * length + i] = i + r + 1 < length ? -10000.0f : 0.0f;
}

uc_step uc_prior_ar_step(int64_t component, uint32_t stage, float guidance, float temperature) {
    return (uc_step){ .index = component > 0 ? (int32_t)(component - 1) : 0, .stage = stage,
                      .noise_index = (uint32_t)component + 1, .guidance = guidance, .temperature = temperature };
}

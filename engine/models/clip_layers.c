/* clip_layers.c - pre-norm attention and MLP, both with residuals; see clip_layers.h. */
#include "clip_layers.h"

static uc_val self_attention(uc_graph *g, const uc_clip_layers *c, uc_val x, uc_val residual) {
    const int64_t width = uc_shape_of(g, x).dim[2];
    const uc_scope scope = uc_scope_push(g, "self_attn");
    const uc_val q = uc_linear(g, x, "q_proj", .features = width);
    const uc_val k = uc_linear(g, x, "k_proj", .features = width);
    const uc_val v = uc_linear(g, x, "v_proj", .features = width);
    const uc_val seen = uc_attention(g, .q = q, .k = k, .v = v, .heads = (int)c->heads, .causal = c->causal);
    const uc_val y = uc_linear(g, seen, "out_proj", .features = width, .residual = residual);
    uc_scope_pop(g, scope);
    return y;
}

uc_val uc_clip_encoder(uc_graph *g, const uc_clip_layers *c, uc_val x) {
    const int64_t width = uc_shape_of(g, x).dim[2];
    for (int64_t i = 0; i < c->layers; i++) {
        const uc_scope scope = uc_scope_push(g, "layers.%lld", (long long)i);
        x = self_attention(g, c, uc_layer_norm(g, x, "layer_norm1", c->eps), x);
        uc_val h = uc_layer_norm(g, x, "layer_norm2", c->eps);
        h = uc_linear(g, h, "mlp.fc1", .features = c->intermediate, .act = c->act);
        x = uc_linear(g, h, "mlp.fc2", .features = width, .residual = x);
        uc_scope_pop(g, scope);
    }
    return x;
}

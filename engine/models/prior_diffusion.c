/* prior_diffusion.c - see prior_diffusion.h. */
#include "prior_diffusion.h"

#include "time_embedding.h"

enum { UC_MAX_PRIOR_LAYERS = 256 };

typedef struct key_value { uc_val k, v; } key_value;

static int64_t inner_width(const uc_prior_config *c) { return c->heads * c->head_dim; }

/* Attention of one block over x; the keys and values of x are handed back for the steps to come. before, where present,
 * are those of the tokens in front of x. */
static uc_val block_attention(uc_graph *g, const uc_prior_config *c, uc_val x, uc_val mask_bias, key_value before,
                              key_value *own) {
    const int64_t width = inner_width(c);
    const uc_val h = uc_layer_norm(g, x, "norm1", 1e-5f);
    const uc_scope scope = uc_scope_push(g, "attn1");
    const uc_val q = uc_linear(g, h, "to_q", .features = width);
    own->k = uc_linear(g, h, "to_k", .features = width);
    own->v = uc_linear(g, h, "to_v", .features = width);
    const bool continues = uc_present(before.k);
    const uc_val seen = uc_attention(g, .q = q, .k = own->k, .v = own->v, .heads = (int)c->heads, .causal = true,
                                     .bias = continues ? UC_NONE : mask_bias, .ctx_k = before.k, .ctx_v = before.v,
                                     .ctx_bias = continues ? mask_bias : UC_NONE);
    x = uc_linear(g, seen, "to_out.0", .features = width, .residual = x);
    uc_scope_pop(g, scope);
    return x;
}

static uc_val block_mlp(uc_graph *g, const uc_prior_config *c, uc_val x) {
    const int64_t width = inner_width(c);
    uc_val h = uc_layer_norm(g, x, "norm3", 1e-5f);
    h = uc_linear(g, h, "ff.net.0.proj", .features = 4 * width, .act = UC_GELU);
    return uc_linear(g, h, "ff.net.2", .features = width, .residual = x);
}

static uc_val positions_of(uc_graph *g, const uc_prior_config *c, int64_t begin, int64_t count) {
    const int64_t tokens = c->num_embeddings + c->additional_embeddings;
    const uc_val all = uc_weight(g, "positional_embedding", UC_SHAPE3(1, tokens, inner_width(c)));
    return uc_slice(g, all, 1, begin, count);
}

/* Text tokens and text embedding through all blocks, for their keys and values. */
static void record_prefix(uc_graph *g, const uc_prior_config *c, const uc_prior_inputs *in, key_value *cache) {
    const int64_t width = inner_width(c), rows = uc_shape_of(g, in->x).dim[0];
    const uc_val text = uc_linear(g, in->text_hidden, "encoder_hidden_states_proj", .features = width);
    const uc_val embed = uc_linear(g, in->text_embeds, "embedding_proj", .features = width);
    const uc_val parts[] = { text, uc_reshape(g, embed, UC_SHAPE3(rows, 1, width)) };
    uc_val x = uc_add(g, uc_concat(g, 1, parts, 2), positions_of(g, c, 0, c->num_embeddings + 1));
    for (int64_t i = 0; i < c->layers; i++) {
        const uc_scope scope = uc_scope_push(g, "transformer_blocks.%lld", (long long)i);
        x = block_attention(g, c, x, in->mask_bias, (key_value){ UC_NONE, UC_NONE }, &cache[i]);
        if (i + 1 < c->layers) x = block_mlp(g, c, x);
        uc_scope_pop(g, scope);
    }
}

static uc_val step_tokens(uc_graph *g, const uc_prior_config *c, const uc_prior_inputs *in) {
    const int64_t width = inner_width(c), rows = uc_shape_of(g, in->x).dim[0];
    const uc_time_embedding time = { .sinusoid = width, .hidden = c->time_embed_dim, .out = width,
                                     .flip_sin_to_cos = true };
    const uc_val t = uc_repeat(g, uc_time_embedding_record(g, &time, in->timesteps), (int)rows);
    const uc_val noised = uc_linear(g, in->x, "proj_in", .features = width);

    const int phase = uc_set_phase(g, 0);
    const uc_val learned = uc_weight(g, "prd_embedding", UC_SHAPE3(1, 1, width));
    const uc_val query = uc_repeat(g, uc_copy(g, learned, g->type), (int)rows);
    const uc_val positions = positions_of(g, c, c->num_embeddings + 1, 3);
    uc_set_phase(g, phase);

    const uc_val parts[] = { uc_reshape(g, t, UC_SHAPE3(rows, 1, width)),
                             uc_reshape(g, noised, UC_SHAPE3(rows, 1, width)), query };
    return uc_add(g, uc_concat(g, 1, parts, 3), positions);
}

uc_val uc_prior_record(uc_graph *g, const uc_prior_config *c, const uc_prior_inputs *in) {
    if (c->layers > UC_MAX_PRIOR_LAYERS)
        return uc_graph_fail(g, UNCLIP_ERR_UNSUPPORTED, "%lld transformer blocks, at most %d are supported",
                             (long long)c->layers, UC_MAX_PRIOR_LAYERS);
    key_value cache[UC_MAX_PRIOR_LAYERS];
    const int phase = uc_set_phase(g, 0);
    record_prefix(g, c, in, cache);
    uc_set_phase(g, phase);

    uc_val x = step_tokens(g, c, in);
    for (int64_t i = 0; i < c->layers; i++) {
        const uc_scope scope = uc_scope_push(g, "transformer_blocks.%lld", (long long)i);
        key_value own;
        x = block_attention(g, c, x, in->mask_bias, cache[i], &own);
        x = block_mlp(g, c, x);
        uc_scope_pop(g, scope);
    }
    x = uc_layer_norm(g, uc_take_token(g, x, 2), "norm_out", 1e-5f);
    return uc_linear(g, x, "proj_to_clip_embeddings", .features = c->clip_embed_dim);
}

uc_val uc_prior_denormalise(uc_graph *g, const uc_prior_config *c, uc_val x) {
    const uc_shape row = UC_SHAPE2(1, c->clip_embed_dim);
    const uc_val std = uc_reshape(g, uc_weight(g, "clip_std", row), UC_SHAPE1(c->clip_embed_dim));
    const uc_val mean = uc_reshape(g, uc_weight(g, "clip_mean", row), UC_SHAPE1(c->clip_embed_dim));
    return uc_scale_shift(g, x, std, mean);
}

/* unet.c - see unet.h. Down the levels, through the middle, up again with the skips from the way down. */
#include "unet.h"

#include "time_embedding.h"

enum { UC_MAX_SKIPS = 128 };

typedef enum resize { SAME, DOWN, UP } resize;

typedef struct unet {
    uc_graph *g;
    const uc_unet_config *c;
    const uc_unet_inputs *in;
    uc_val emb;                /* [rows, time_dim], after its SiLU */
    uc_val skips[UC_MAX_SKIPS];
    int skip_count;
} unet;

static uc_val resized(uc_graph *g, uc_val x, resize how) {
    const uc_shape s = uc_shape_of(g, x);
    if (how == DOWN) return uc_resample(g, x, UC_AVERAGE, s.dim[2] / 2, s.dim[3] / 2);
    if (how == UP) return uc_resample(g, x, UC_NEAREST, 2 * s.dim[2], 2 * s.dim[3]);
    return x;
}

/* diffusers ResnetBlock2D. The time embedding shifts and scales the second norm ("scale_shift") or is added before it. */
static uc_val resnet(unet *u, uc_val x, int64_t channels, resize how) {
    uc_graph *g = u->g;
    const uc_unet_config *c = u->c;
    const int groups = (int)c->groups;
    uc_val h = uc_group_norm(g, x, "norm1", .groups = groups, .eps = c->eps, .act = UC_SILU);
    h = resized(g, h, how);
    x = resized(g, x, how);
    h = uc_conv2d(g, h, "conv1", .channels = channels, .kernel = 3, .pad = 1);
    const uc_val e = uc_linear(g, u->emb, "time_emb_proj", .features = c->scale_shift ? 2 * channels : channels);
    h = uc_group_norm(g, h, "norm2", .groups = groups, .eps = c->eps, .act = UC_SILU,
                      .scale_shift = c->scale_shift ? e : UC_NONE, .add = c->scale_shift ? UC_NONE : e);
    const bool same = uc_shape_of(g, x).dim[1] == channels;
    const uc_val skip = same ? x : uc_conv2d(g, x, "conv_shortcut", .channels = channels, .kernel = 1);
    return uc_conv2d(g, h, "conv2", .channels = channels, .kernel = 3, .pad = 1, .residual = skip);
}

static uc_val named_resnet(unet *u, uc_val x, int64_t channels, resize how, const char *list, int index) {
    const uc_scope scope = uc_scope_push(u->g, "%s.%d", list, index);
    x = resnet(u, x, channels, how);
    uc_scope_pop(u->g, scope);
    return x;
}

/* Each pixel looks at the context tokens and at all pixels (diffusers AttnAddedKVProcessor). */
static uc_val attention(unet *u, uc_val x, int64_t head_dim, int index) {
    uc_graph *g = u->g;
    const uc_shape s = uc_shape_of(g, x);
    const int64_t channels = s.dim[1];
    const uc_scope scope = uc_scope_push(g, "attentions.%d", index);

    const int phase = uc_set_phase(g, 0);
    const uc_val ctx_k = uc_linear(g, u->in->context, "add_k_proj", .features = channels);
    const uc_val ctx_v = uc_linear(g, u->in->context, "add_v_proj", .features = channels);
    uc_set_phase(g, phase);

    const uc_val normed = uc_group_norm(g, x, "group_norm", .groups = (int)u->c->groups, .eps = u->c->attention_eps);
    const uc_val tokens = uc_image_to_tokens(g, normed);
    const uc_val q = uc_linear(g, tokens, "to_q", .features = channels);
    const uc_val k = uc_linear(g, tokens, "to_k", .features = channels);
    const uc_val v = uc_linear(g, tokens, "to_v", .features = channels);
    const uc_val seen = uc_attention(g, .q = q, .k = k, .v = v, .ctx_k = ctx_k, .ctx_v = ctx_v,
                                     .ctx_bias = u->in->context_bias, .heads = (int)(channels / head_dim));
    const uc_val y = uc_linear(g, seen, "to_out.0", .features = channels, .residual = uc_image_to_tokens(g, x));
    uc_scope_pop(g, scope);
    return uc_tokens_to_image(g, y, s.dim[2], s.dim[3]);
}

static void push_skip(unet *u, uc_val x) {
    if (u->skip_count == UC_MAX_SKIPS) {
        uc_graph_fail(u->g, UNCLIP_ERR_UNSUPPORTED, "more than %d skip connections", UC_MAX_SKIPS);
        return;
    }
    u->skips[u->skip_count++] = x;
}

static uc_val with_skip(unet *u, uc_val x) {
    if (!u->skip_count) return uc_graph_fail(u->g, UNCLIP_ERR_INTERNAL, "no skip connection left");
    const uc_val parts[] = { x, u->skips[--u->skip_count] };
    return uc_concat(u->g, 1, parts, 2);
}

static uc_val down_block(unet *u, uc_val x, int level) {
    const uc_unet_config *c = u->c;
    const uc_scope scope = uc_scope_push(u->g, "down_blocks.%d", level);
    for (int i = 0; i < c->down_layers[level]; i++) {
        x = named_resnet(u, x, c->channels[level], SAME, "resnets", i);
        if (c->down_attention[level]) x = attention(u, x, c->down_head_dim[level], i);
        push_skip(u, x);
    }
    if (level + 1 < c->levels) {
        x = named_resnet(u, x, c->channels[level], DOWN, "downsamplers", 0);
        push_skip(u, x);
    }
    uc_scope_pop(u->g, scope);
    return x;
}

static uc_val mid_block(unet *u, uc_val x) {
    const int64_t channels = u->c->channels[u->c->levels - 1];
    const uc_scope scope = uc_scope_push(u->g, "mid_block");
    x = named_resnet(u, x, channels, SAME, "resnets", 0);
    if (u->c->mid_attention) x = attention(u, x, u->c->mid_head_dim, 0);
    x = named_resnet(u, x, channels, SAME, "resnets", 1);
    uc_scope_pop(u->g, scope);
    return x;
}

static uc_val up_block(unet *u, uc_val x, int block) {
    const uc_unet_config *c = u->c;
    const int64_t channels = c->channels[c->levels - 1 - block];
    const uc_scope scope = uc_scope_push(u->g, "up_blocks.%d", block);
    for (int i = 0; i < c->up_layers[block]; i++) {
        x = named_resnet(u, with_skip(u, x), channels, SAME, "resnets", i);
        if (c->up_attention[block]) x = attention(u, x, c->up_head_dim[block], i);
    }
    if (block + 1 < c->levels) x = named_resnet(u, x, channels, UP, "upsamplers", 0);
    uc_scope_pop(u->g, scope);
    return x;
}

static uc_val embedding(uc_graph *g, const uc_unet_config *c, const uc_unet_inputs *in) {
    const uc_time_embedding time = { .sinusoid = c->channels[0], .hidden = c->time_dim, .out = c->time_dim,
                                     .flip_sin_to_cos = c->flip_sin_to_cos, .freq_shift = c->freq_shift };
    const uc_val t = uc_time_embedding_record(g, &time, in->timesteps);
    const int rows = (int)uc_shape_of(g, in->x).dim[0];
    const uc_val emb = uc_present(in->time_addend) ? uc_add(g, in->time_addend, t) : uc_repeat(g, t, rows);
    return uc_activation(g, emb, UC_SILU);
}

uc_val uc_unet_record(uc_graph *g, const uc_unet_config *c, const uc_unet_inputs *in) {
    unet u = { .g = g, .c = c, .in = in, .emb = embedding(g, c, in) };
    uc_val x = uc_conv2d(g, in->x, "conv_in", .channels = c->channels[0], .kernel = 3, .pad = 1);
    push_skip(&u, x);
    for (int level = 0; level < c->levels; level++) x = down_block(&u, x, level);
    x = mid_block(&u, x);
    for (int block = 0; block < c->levels; block++) x = up_block(&u, x, block);
    x = uc_group_norm(g, x, "conv_norm_out", .groups = (int)c->groups, .eps = c->eps, .act = UC_SILU);
    return uc_conv2d(g, x, "conv_out", .channels = c->out_channels, .kernel = 3, .pad = 1);
}

/* clip_image.c - see clip_image.h. */
#include "clip_image.h"

#include "clip_layers.h"

static uc_val embeddings(uc_graph *g, const uc_clip_image_config *c, uc_val pixels) {
    const int batch = (int)uc_shape_of(g, pixels).dim[0];
    const int64_t side = c->image_size / c->patch, tokens = side * side + 1;
    const uc_scope scope = uc_scope_push(g, "vision_model.embeddings");
    uc_ignore_weight(g, "position_ids"); /* as in clip_text.c */
    const uc_val patches = uc_image_to_tokens(g, uc_conv2d(g, pixels, "patch_embedding", .channels = c->width,
                                                           .kernel = (int)c->patch, .stride = (int)c->patch,
                                                           .no_bias = true));
    const uc_val class_weight = uc_weight(g, "class_embedding", UC_SHAPE1(c->width));
    const uc_val class_token = uc_repeat(g, uc_reshape(g, uc_copy(g, class_weight, g->type),
                                                       UC_SHAPE3(1, 1, c->width)), batch);
    const uc_val parts[] = { class_token, patches };
    const uc_val positions = uc_weight(g, "position_embedding.weight", UC_SHAPE2(tokens, c->width));
    const uc_val x = uc_add(g, uc_concat(g, 1, parts, 2), positions);
    uc_scope_pop(g, scope);
    return x;
}

uc_val uc_clip_image_record(uc_graph *g, const uc_clip_image_config *c, uc_val pixels) {
    uc_val x = embeddings(g, c, pixels);
    x = uc_layer_norm(g, x, "vision_model.pre_layrnorm", c->eps); /* spelled so in the checkpoints */
    const uc_clip_layers layers = { .layers = c->layers, .heads = c->heads, .intermediate = c->intermediate,
                                    .act = c->act, .eps = c->eps };
    const uc_scope scope = uc_scope_push(g, "vision_model.encoder");
    x = uc_clip_encoder(g, &layers, x);
    uc_scope_pop(g, scope);
    x = uc_layer_norm(g, uc_take_token(g, x, 0), "vision_model.post_layernorm", c->eps);
    return uc_linear(g, x, "visual_projection", .features = c->projection, .no_bias = true);
}

/* text_proj.c - see text_proj.h. */
#include "text_proj.h"

static uc_val with_unconditional(uc_graph *g, const uc_text_proj_config *c, uc_val image) {
    const uc_val learned = uc_weight(g, "learned_classifier_free_guidance_embeddings", UC_SHAPE1(c->clip_dim));
    const uc_val row = uc_reshape(g, uc_copy(g, learned, g->type), UC_SHAPE2(1, c->clip_dim));
    const uc_val parts[] = { uc_repeat(g, row, (int)uc_shape_of(g, image).dim[0]), image };
    return uc_concat(g, 0, parts, 2);
}

uc_text_proj uc_text_proj_record(uc_graph *g, const uc_text_proj_config *c, uc_val image, uc_val text_embeds,
                                 uc_val text_hidden, bool guided) {
    if (guided) image = with_unconditional(g, c, image);
    else uc_weight(g, "learned_classifier_free_guidance_embeddings", UC_SHAPE1(c->clip_dim));
    const int64_t rows = uc_shape_of(g, image).dim[0];

    uc_text_proj out;
    const uc_val from_text = uc_linear(g, text_embeds, "embedding_proj", .features = c->time_dim);
    out.time = uc_linear(g, image, "clip_image_embeddings_project_to_time_embeddings", .features = c->time_dim,
                         .residual = from_text);

    /* element e of a row belongs to extra token e mod extra_tokens */
    uc_val extra = uc_linear(g, image, "clip_extra_context_tokens_proj", .features = c->extra_tokens * c->cross_dim);
    extra = uc_transpose(g, uc_reshape(g, extra, UC_SHAPE3(rows, c->cross_dim, c->extra_tokens)));
    uc_val text = uc_linear(g, text_hidden, "encoder_hidden_states_proj", .features = c->cross_dim);
    text = uc_layer_norm(g, text, "text_encoder_hidden_states_norm", 1e-5f);
    const uc_val parts[] = { extra, text };
    out.context = uc_concat(g, 1, parts, 2);
    return out;
}

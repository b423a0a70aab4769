/* clip_text.c - see clip_text.h. */
#include "clip_text.h"

#include "clip_layers.h"

uc_clip_text uc_clip_text_record(uc_graph *g, const uc_clip_text_config *c, uc_val ids, uc_val end) {
    uc_scope scope = uc_scope_push(g, "text_model.embeddings");
    const uc_val table = uc_weight(g, "token_embedding.weight", UC_SHAPE2(c->vocab, c->width));
    const uc_val positions = uc_weight(g, "position_embedding.weight", UC_SHAPE2(c->context, c->width));
    uc_ignore_weight(g, "position_ids"); /* 0, 1, 2 ... in files written before transformers 4.31 */
    uc_val x = uc_embedding(g, ids, table, positions);
    uc_scope_pop(g, scope);

    const uc_clip_layers layers = { .layers = c->layers, .heads = c->heads, .intermediate = c->intermediate,
                                    .act = c->act, .eps = c->eps, .causal = true };
    scope = uc_scope_push(g, "text_model.encoder");
    x = uc_clip_encoder(g, &layers, x);
    uc_scope_pop(g, scope);

    uc_clip_text out;
    out.hidden = uc_layer_norm(g, x, "text_model.final_layer_norm", c->eps);
    out.embeds = uc_linear(g, uc_gather_token(g, out.hidden, end), "text_projection", .features = c->projection,
                           .no_bias = true);
    return out;
}

int32_t uc_clip_text_end(const uc_clip_text_config *c, const int32_t *ids, int64_t count) {
    int32_t at = 0;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        if (c->eos != 2 && ids[i] == c->eos) return i;
        if (c->eos == 2 && ids[i] > ids[at]) at = i;
    }
    return at;
}

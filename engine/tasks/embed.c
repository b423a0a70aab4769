/* embed.c - see embed.h. */
#include "embed.h"

#include <stdlib.h>
#include <string.h>

#include "../models/image_processor.h"
#include "stage_graphs.h"
#include "text_features.h"

void unclip_embedding_free(unclip_embedding *embedding) {
    if (!embedding) return;
    free(embedding->values);
    free(embedding->tokens);
    *embedding = (unclip_embedding){ .struct_size = sizeof *embedding };
}

static unclip_status start(unclip_embedding *out, size_t dim, unclip_error *err) {
    *out = (unclip_embedding){ .struct_size = sizeof *out, .dim = dim };
    out->values = malloc(dim * sizeof *out->values);
    return out->values ? UNCLIP_OK : uc_fail_memory(err, dim * sizeof *out->values, "embedding");
}

unclip_status uc_embed_text(const uc_session *session, const char *text, size_t length, unclip_embedding *out,
                            unclip_error *err) {
    const uc_model *m = session->model;
    *out = (unclip_embedding){ .struct_size = sizeof *out };
    if (!m->text_params) return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no text_encoder");
    int used = 0;
    bool truncated = false;
    int32_t *ids = calloc((size_t)m->text.context, sizeof *ids);
    if (!ids) return uc_fail_memory(err, (size_t)m->text.context * sizeof *ids, "tokens");
    uc_text_features features = { 0 };
    unclip_status status = uc_tokenizer_encode(m->tokenizer, text, length, ids, (int)m->text.context, &used,
                                               &truncated, err);
    if (!status) status = uc_text_features_new(&features, session, ids, &used, 1, err);
    if (!status) status = start(out, (size_t)features.projection, err);
    if (!status) {
        memcpy(out->values, features.embeds, out->dim * sizeof *out->values);
        out->tokens = ids;
        out->token_count = (size_t)used;
        out->truncated = truncated;
        ids = NULL;
    }
    uc_text_features_free(&features);
    free(ids);
    return status;
}

static unclip_status encode(const uc_session *s, const float *pixels, float *out, unclip_error *err) {
    uc_backend *b = s->backend;
    uc_program *program = NULL;
    unclip_status status = uc_session_program(s, 1, uc_image_graph(s, 1), &program, err);
    if (status) return status;
    const uc_graph *g = b->plan(program)->graph;
    status = b->upload(program, uc_graph_state(g, "pixels"), pixels, err);
    if (!status) status = b->run(program, 0, NULL, err);
    if (!status) status = b->download(program, uc_graph_state(g, "embeds"), out, err);
    b->release(b, program);
    return status;
}

unclip_status uc_embed_image(const uc_session *session, const uint8_t *rgb, int width, int height,
                             unclip_embedding *out, unclip_error *err) {
    const uc_model *m = session->model;
    *out = (unclip_embedding){ .struct_size = sizeof *out };
    if (!m->image_params) return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no image_encoder");
    const size_t count = (size_t)(m->image.channels * m->image.image_size * m->image.image_size);
    float *pixels = malloc(count * sizeof *pixels);
    if (!pixels) return uc_fail_memory(err, count * sizeof *pixels, "pixels");
    unclip_status status = uc_image_process(&m->image_processor, rgb, width, height, pixels, err);
    if (!status) status = start(out, (size_t)m->image.projection, err);
    if (!status) status = encode(session, pixels, out->values, err);
    if (status) unclip_embedding_free(out);
    free(pixels);
    return status;
}

/* text_features.c - see text_features.h. */
#include "text_features.h"

#include <stdlib.h>
#include <string.h>

#include "../models/clip_text.h"
#include "stage_graphs.h"

static unclip_status encode(uc_text_features *f, const uc_session *s, uc_program *program, const int32_t *ids,
                            const int32_t *end, unclip_error *err) {
    uc_backend *b = s->backend;
    const uc_graph *g = b->plan(program)->graph;
    unclip_status status = b->upload(program, uc_graph_state(g, "ids"), ids, err);
    if (!status) status = b->upload(program, uc_graph_state(g, "end"), end, err);
    if (!status) status = b->run(program, 0, NULL, err);
    if (!status) status = b->download(program, uc_graph_state(g, "hidden"), f->hidden, err);
    if (!status) status = b->download(program, uc_graph_state(g, "embeds"), f->embeds, err);
    return status;
}

unclip_status uc_text_features_new(uc_text_features *f, const uc_session *session, const int32_t *ids, const int *used,
                                   int64_t rows, unclip_error *err) {
    const uc_clip_text_config *c = &session->model->text;
    *f = (uc_text_features){ .rows = rows, .context = c->context, .width = c->width, .projection = c->projection };
    const size_t n = (size_t)rows, tokens = n * (size_t)c->context;
    f->hidden = malloc(tokens * (size_t)c->width * sizeof(float));
    f->embeds = malloc(n * (size_t)c->projection * sizeof(float));
    f->used = malloc(n * sizeof *f->used);
    int32_t *end = malloc(n * sizeof *end);
    unclip_status status = UNCLIP_OK;
    if (!f->hidden || !f->embeds || !f->used || !end) {
        status = uc_fail_memory(err, tokens * (size_t)c->width * sizeof(float), "text features");
    } else {
        memcpy(f->used, used, n * sizeof *used);
        for (int64_t i = 0; i < rows; i++) end[i] = uc_clip_text_end(c, ids + i * c->context, c->context);
        uc_program *program = NULL;
        status = uc_session_program(session, rows, uc_text_graph(session, rows), &program, err);
        if (!status) {
            status = encode(f, session, program, ids, end, err);
            session->backend->release(session->backend, program);
        }
    }
    free(end);
    if (status) uc_text_features_free(f);
    return status;
}

void uc_text_features_free(uc_text_features *features) {
    free(features->hidden);
    free(features->embeds);
    free(features->used);
    *features = (uc_text_features){ 0 };
}

/* Rows of `size` floats from table, in the order that a network wants them. */
static unclip_status upload_rows(uc_backend *b, uc_program *p, const char *state, const float *table, size_t size,
                                 const uc_text_rows *rows, unclip_error *err) {
    const size_t count = (size_t)rows->count, bytes = size * sizeof(float);
    float *out = malloc(2 * count * bytes), *at = out;
    if (!out) return uc_fail_memory(err, 2 * count * bytes, state);
    for (size_t i = 0; rows->guided && i < count; i++, at += size)
        memcpy(at, table + (size_t)rows->empty_row * size, bytes);
    for (size_t i = 0; i < count; i++, at += size) memcpy(at, table + (size_t)rows->text_row[i] * size, bytes);
    const unclip_status status = b->upload(p, uc_graph_state(b->plan(p)->graph, state), out, err);
    free(out);
    return status;
}

unclip_status uc_text_features_upload(const uc_text_features *f, uc_backend *backend, uc_program *program,
                                      const uc_text_rows *rows, unclip_error *err) {
    const int64_t columns = rows->extra_before + f->context + rows->extra_after;
    float *bias = calloc((size_t)(f->rows * columns), sizeof *bias);
    if (!bias) return uc_fail_memory(err, (size_t)(f->rows * columns) * sizeof *bias, "attention bias");
    for (int64_t r = 0; r < f->rows; r++)
        for (int64_t t = f->used[r]; t < f->context; t++) bias[r * columns + rows->extra_before + t] = -10000.0f;
    unclip_status status = upload_rows(backend, program, rows->bias_state, bias, (size_t)columns, rows, err);
    if (!status)
        status = upload_rows(backend, program, "text_embeds", f->embeds, (size_t)f->projection, rows, err);
    if (!status)
        status = upload_rows(backend, program, "text_hidden", f->hidden, (size_t)(f->context * f->width), rows, err);
    free(bias);
    return status;
}

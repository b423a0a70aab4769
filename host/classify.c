/* classify.c - CLIP as a zero-shot classifier (paper, figure 6): a picture against some texts, both in the joint
 * space. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/sampling/slerp.h"
#include "../engine/tasks/embed.h"
#include "engine.h"
#include "image/png_read.h"

/* softmax(scale * cosine), the largest subtracted first. */
static void softmax(double scale, unclip_label *labels, size_t count) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, scale * labels[i].cosine);
    for (size_t i = 0; i < count; i++) sum += labels[i].probability = exp(scale * labels[i].cosine - most);
    for (size_t i = 0; i < count; i++) labels[i].probability /= sum;
}

static unclip_status compare(const uc_session *session, const float *picture, size_t dim, unclip_label *label,
                             unclip_error *err) {
    unclip_embedding text;
    unclip_status status = uc_embed_text(session, label->text, strlen(label->text), &text, err);
    if (status) return status;
    if (text.truncated)
        uc_log(session, UNCLIP_LOG_WARNING, "a label is longer than the model's %zu tokens: its end is not seen",
               text.token_count);
    if (text.dim == dim) label->cosine = uc_cosine(picture, text.values, dim);
    else
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "the text embedding has %zu numbers, the picture's %zu", text.dim,
                         dim);
    unclip_embedding_free(&text);
    return status;
}

static unclip_status check_labels(const unclip_engine *engine, const void *picture, const unclip_label *labels,
                                  size_t count, unclip_error *err) {
    if (!engine || !picture || !labels || !count)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no image or no labels were given");
    for (size_t i = 0; i < count; i++)
        if (!labels[i].text) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "label %zu is NULL", i);
    return UNCLIP_OK;
}

unclip_status unclip_classify_embedding(unclip_engine *engine, const float *embedding, size_t dim,
                                        unclip_label *labels, size_t label_count, double *logit_scale,
                                        unclip_error *err) {
    unclip_status status = check_labels(engine, embedding, labels, label_count, err);
    for (size_t i = 0; i < dim && !status; i++)
        if (!isfinite(embedding[i]))
            status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "the given embedding's number %zu is not finite", i);
    for (size_t i = 0; i < label_count && !status; i++)
        status = compare(&engine->session, embedding, dim, &labels[i], err);
    if (status) return status;
    const double scale = engine->loaded->dir->logit_scale;
    softmax(scale, labels, label_count);
    if (logit_scale) *logit_scale = scale;
    return UNCLIP_OK;
}

unclip_status unclip_classify_image(unclip_engine *engine, const uint8_t *png, size_t size, unclip_label *labels,
                                    size_t label_count, double *logit_scale, unclip_error *err) {
    unclip_embedding picture = { .struct_size = sizeof picture };
    unclip_status status = check_labels(engine, png, labels, label_count, err);
    if (!status) status = unclip_embed_image(engine, png, size, &picture, err);
    if (!status)
        status = unclip_classify_embedding(engine, picture.values, picture.dim, labels, label_count, logit_scale, err);
    unclip_embedding_free(&picture);
    return status;
}

/* classify.c - CLIP as a zero-shot classifier (paper, figure 6): a picture against some texts, both in the joint
 * space. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/tasks/embed.h"
#include "engine.h"
#include "image/png_read.h"

/* Of vectors of any length; 0 when one of them is all zeros. */
static double cosine(const unclip_embedding *a, const unclip_embedding *b) {
    double dot = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a->dim; i++) {
        dot += (double)a->values[i] * (double)b->values[i];
        aa += (double)a->values[i] * (double)a->values[i];
        bb += (double)b->values[i] * (double)b->values[i];
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}

/* softmax(scale * cosine), the largest subtracted first. */
static void softmax(double scale, unclip_label *labels, size_t count) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, scale * labels[i].cosine);
    for (size_t i = 0; i < count; i++) sum += labels[i].probability = exp(scale * labels[i].cosine - most);
    for (size_t i = 0; i < count; i++) labels[i].probability /= sum;
}

static unclip_status compare(const uc_session *session, const unclip_embedding *picture, unclip_label *label,
                             unclip_error *err) {
    unclip_embedding text;
    unclip_status status = uc_embed_text(session, label->text, strlen(label->text), &text, err);
    if (status) return status;
    if (text.truncated)
        uc_log(session, UNCLIP_LOG_WARNING, "a label is longer than the model's %zu tokens: its end is not seen",
               text.token_count);
    if (text.dim == picture->dim) label->cosine = cosine(picture, &text);
    else
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "the text embedding has %zu numbers, the picture's %zu", text.dim,
                         picture->dim);
    unclip_embedding_free(&text);
    return status;
}

unclip_status unclip_classify_image(unclip_engine *engine, const uint8_t *png, size_t size, unclip_label *labels,
                                    size_t label_count, double *logit_scale, unclip_error *err) {
    if (!engine || !png || !labels || !label_count)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no image or no labels were given");
    for (size_t i = 0; i < label_count; i++)
        if (!labels[i].text) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "label %zu is NULL", i);
    unclip_embedding picture;
    unclip_status status = unclip_embed_image(engine, png, size, &picture, err);
    if (status) return status;
    const double scale = engine->loaded->dir->logit_scale;
    for (size_t i = 0; i < label_count && !status; i++) status = compare(&engine->session, &picture, &labels[i], err);
    if (!status) softmax(scale, labels, label_count);
    if (!status && logit_scale) *logit_scale = scale;
    unclip_embedding_free(&picture);
    return status;
}

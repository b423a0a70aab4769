/* generate.c - see generate.h. Prompts are encoded once; then launch after launch goes down the cascade. */
#include "generate.h"

#include <stdlib.h>
#include <string.h>

#include "condition.h"
#include "prior_ar_run.h"

/* The launch's rows of a table that has one row for all images or one for each. */
static float *rows_of(const uc_cascade *c, const float *table, size_t rows, size_t row) {
    float *out = malloc(c->count * row * sizeof *out);
    for (size_t i = 0; out && i < c->count; i++)
        memcpy(out + i * row, table + (rows > 1 ? c->first + i : 0) * row, row * sizeof *out);
    return out;
}

/* bytes: of each pixel red, green, blue and one that is not wanted here. */
static unclip_status deliver(const uc_cascade *c, const uint8_t *bytes, unclip_error *err) {
    const unclip_generate_options *o = c->request->options;
    const int64_t size = uc_stage_size(c->session->model, c->request->last), pixels = size * size;
    if (!o->on_image) return UNCLIP_OK;
    uint8_t *rgb = malloc((size_t)(3 * pixels));
    if (!rgb) return uc_fail_memory(err, (size_t)(3 * pixels), "picture");
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < c->count && !status; i++) {
        const uint8_t *from = bytes + 4 * (int64_t)i * pixels;
        for (int64_t p = 0; p < pixels; p++) memcpy(rgb + 3 * p, from + 4 * p, 3);
        unclip_image image = { .struct_size = sizeof image, .width = (int)size, .height = (int)size, .rgb = rgb,
                               .index = c->first + i, .prompt_index = uc_prompt_of(c, i), .seed = uc_seed_of(c, i) };
        memcpy(image.stage_seconds, c->seconds, sizeof image.stage_seconds);
        if (c->request->given && c->request->given->frames) {
            const uc_frame *frame = &c->request->given->frames[c->first + i];
            image.theta = frame->theta;
            image.cosine = frame->cosine;
            image.components = frame->components;
        }
        if (o->on_image(o->user, &image))
            status = uc_fail(err, UNCLIP_ERR_CANCELLED, "cancelled after image %zu of %zu", c->first + i + 1,
                             c->request->images);
    }
    free(rgb);
    return status;
}

/* prior -> decoder -> upsamplers; each stage's result is the next one's input. */
static unclip_status run_cascade(uc_cascade *c, unclip_error *err) {
    const uc_model *m = c->session->model;
    const uc_given *given = c->request->given;
    float *before = NULL, *noise = NULL;
    uint8_t *bytes = NULL;
    unclip_status status = UNCLIP_OK;
    if (given && given->low) {
        const size_t low = (size_t)uc_sample_count(m, (unclip_stage)((int)c->request->first - 1));
        before = rows_of(c, given->low, given->low_rows, low);
        if (!before) status = uc_fail_memory(err, c->count * low * sizeof *before, "the given pictures");
    } else if (given) {
        const size_t dim = (size_t)m->text_proj.clip_dim, sample = (size_t)uc_sample_count(m, UNCLIP_STAGE_DECODER);
        before = rows_of(c, given->embeddings, given->embedding_rows, dim);
        if (given->noise) noise = rows_of(c, given->noise, given->noise_rows, sample);
        if (!before || (given->noise && !noise))
            status = uc_fail_memory(err, c->count * (dim + sample) * sizeof *noise, "the given embeddings");
    } else if (c->request->first == UNCLIP_STAGE_DECODER) {
        status = uc_condition_rows(c, &before, err);
    }
    for (int s = (int)c->request->first; s <= (int)c->request->last && !status; s++) {
        const unclip_stage stage = (unclip_stage)s;
        const size_t row = (size_t)(s == UNCLIP_STAGE_PRIOR ? uc_prior_dim(c->request, m)
                                                                : uc_sample_count(m, stage));
        const bool last = stage == c->request->last; /* which is a picture's */
        const size_t numbers = c->count * row, size = last ? numbers / 3 * 4 : numbers * sizeof(float);
        float *out = last ? NULL : malloc(size);
        if (last) bytes = malloc(size);
        if (!(last ? (void *)bytes : (void *)out)) {
            status = uc_fail_memory(err, size, unclip_stage_name(stage));
            break;
        }
        const uc_stage_io io = { .embedding = s == UNCLIP_STAGE_DECODER ? before : NULL,
                                 .noise = s == UNCLIP_STAGE_DECODER ? noise : NULL,
                                 .low = s > UNCLIP_STAGE_DECODER ? before : NULL, .out = out, .bytes = bytes };
        status = s == UNCLIP_STAGE_PRIOR && c->request->prior_ar ? uc_prior_ar_run(c, out, err)
                                                                  : uc_stage_run(c, stage, &io, err);
        free(before);
        before = out;
    }
    if (!status) status = deliver(c, bytes, err);
    free(before);
    free(bytes);
    free(noise);
    return status;
}

static unclip_status launch(const uc_session *session, const uc_request *request, const uc_text_features *text,
                            size_t first, size_t count, unclip_error *err) {
    uc_cascade cascade = { .session = session, .request = request, .first = first, .count = count, .text = text };
    uc_noise_source_init(&cascade.noise, request->options->rng, uc_seed_of(&cascade, 0));
    cascade.noise.one_row = request->given && request->given->one_seed;
    return run_cascade(&cascade, err);
}

/* Whether a launch that ran out of memory may be tried with half as many images, which are then the same images. PyTorch's
 * generator draws for a batch, so that with it they would be others. */
static bool may_halve(const uc_request *request, size_t count) {
    return count > 1 && request->options->rng == UNCLIP_RNG_PHILOX;
}

/* Launch after launch. Images are handed out when a launch is complete, so that one that failed has given none. */
static unclip_status launches(const uc_session *session, const uc_request *request, const uc_text_features *text,
                              unclip_error *err) {
    size_t batch = request->batch, count;
    for (size_t first = 0; first < request->images; first += count) {
        unclip_error failure = { 0 };
        count = request->images - first < batch ? request->images - first : batch;
        unclip_status status = launch(session, request, text, first, count, &failure);
        while (status == UNCLIP_ERR_MEMORY && may_halve(request, count)) {
            batch = count / 2;
            uc_log(session, UNCLIP_LOG_WARNING, "%zu images at once do not fit, going on with %zu: %s", count, batch,
                   failure.message);
            count = batch;
            failure = (unclip_error){ 0 };
            status = launch(session, request, text, first, count, &failure);
        }
        if (status) {
            if (err) *err = failure;
            if (status != UNCLIP_ERR_MEMORY) return status;
            return uc_fail_prefix(err, status, "%zu image%s at once", count, count > 1 ? "s" : "");
        }
    }
    return UNCLIP_OK;
}

unclip_status uc_generate(const uc_session *session, const uc_request *request, unclip_error *err) {
    uc_text_features text = { 0 };
    unclip_status status = UNCLIP_OK;
    if (request->first <= UNCLIP_STAGE_DECODER) /* the upsamplers see no text */
        status = uc_text_features_new(&text, session, request->ids, request->used,
                                      (int64_t)request->options->prompt_count + 1, err);
    if (!status) status = launches(session, request, &text, err);
    uc_text_features_free(&text);
    return status;
}

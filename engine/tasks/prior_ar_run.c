/* prior_ar_run.c - see prior_ar_run.h. Each token comes back to the host as it is drawn: the host knows the buckets. */
#include "prior_ar_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/philox.h"
#include "../models/prior_ar.h"
#include "../models/prior_ar_tables.h"

typedef struct running {
    uc_cascade *cascade;
    const uc_prior_ar_config *config;
    int candidates;   /* rows of an image */
    int64_t rows;
    bool guided, logits;
    uc_program *program;
    int64_t *seeds;   /* [rows] */
    int32_t *newest;  /* [rows]: the component that was just drawn */
    int32_t *tokens;  /* [rows, components] */
} running;

uc_graph *uc_prior_ar_graph(const uc_session *s, const uc_prior_ar_shape *shape) {
    const uc_prior_ar_config *c = &s->model->prior_ar;
    const int64_t rows = shape->guided ? 2 * shape->rows : shape->rows, window = c->components - 1;
    uc_graph *g = uc_graph_new("prior_ar", s->type);
    if (!g) return NULL;
    uc_use_params(g, s->model->prior_ar_params);
    const uc_val embeds = uc_state(g, "text_embeds", UC_F32, UC_SHAPE2(rows, c->text_projection));
    const uc_val hidden = uc_state(g, "text_hidden", UC_F32, UC_SHAPE3(rows, c->text_tokens, c->text_width));
    uc_prior_ar_inputs in = {
        .mask_bias = uc_state(g, "mask_bias", UC_F32, UC_SHAPE2(rows, c->text_tokens + 2)),
        .dot = uc_state(g, "dot", UC_I32, UC_SHAPE2(rows, 1)),
        .window_bias = uc_state(g, "window_bias", UC_F32, UC_SHAPE2(window, window)),
        .seeds = uc_state(g, "seeds", UC_I64, UC_SHAPE1(shape->rows)),
        .token = uc_state(g, "token", UC_I32, UC_SHAPE2(shape->rows, 1)),
        .guided = shape->guided,
    };
    if (shape->logits) in.logits = uc_state(g, "logits", UC_F32, UC_SHAPE2(rows, c->buckets));
    in.text_embeds = uc_copy(g, embeds, g->type);
    in.text_hidden = uc_copy(g, hidden, g->type);
    uc_prior_ar_record(g, c, &in);
    return g;
}

double uc_prior_ar_percentile(uint64_t seed, double low, double high) {
    float uniform[4];
    uc_philox_uniform4(seed, UNCLIP_STAGE_PRIOR, 0, 0, uniform); /* draw 0 of the prior: draw k + 1 is component k's */
    return low + (high - low) * (double)uniform[0];
}

static unclip_status upload(const running *r, const char *state, const void *data, unclip_error *err) {
    uc_backend *b = r->cascade->session->backend;
    return b->upload(r->program, uc_graph_state(b->plan(r->program)->graph, state), data, err);
}

static unclip_status upload_text(const running *r, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    int64_t *prompt = malloc((size_t)r->rows * sizeof *prompt);
    if (!prompt) return uc_fail_memory(err, (size_t)r->rows * sizeof *prompt, "prompt rows");
    for (int64_t i = 0; i < r->rows; i++)
        prompt[i] = (int64_t)uc_prompt_of(c, (size_t)(i / r->candidates));
    const uc_text_rows rows = { .text_row = prompt, .count = r->rows, .empty_row = c->text->rows - 1,
                                .guided = r->guided, .bias_state = "mask_bias", .extra_after = 2 };
    const unclip_status status = uc_text_features_upload(c->text, c->session->backend, r->program, &rows, err);
    free(prompt);
    return status;
}

/* The wanted dot products, "no text" for the unconditional rows. */
static unclip_status upload_dots(const running *r, unclip_error *err) {
    const unclip_generate_options *o = r->cascade->request->options;
    const int64_t none = r->guided ? r->rows : 0;
    int32_t *dot = malloc((size_t)(none + r->rows) * sizeof *dot);
    if (!dot) return uc_fail_memory(err, (size_t)(none + r->rows) * sizeof *dot, "dot products");
    for (int64_t i = 0; i < none; i++) dot[i] = uc_prior_ar_no_text_id(r->config);
    for (int64_t i = 0; i < r->rows; i++) {
        const double percentile = uc_prior_ar_percentile((uint64_t)r->seeds[i], (double)o->prior_dot_low,
                                                         (double)o->prior_dot_high);
        dot[none + i] = uc_prior_ar_dot_id(r->config, percentile);
    }
    const unclip_status status = upload(r, "dot", dot, err);
    free(dot);
    return status;
}

static unclip_status upload_inputs(const running *r, unclip_error *err) {
    const int64_t window = r->config->components - 1;
    float *bias = malloc((size_t)(window * window) * sizeof *bias);
    if (!bias) return uc_fail_memory(err, (size_t)(window * window) * sizeof *bias, "attention bias");
    uc_prior_ar_window_bias(r->config, bias);
    unclip_status status = upload(r, "window_bias", bias, err);
    free(bias);
    if (!status) status = upload(r, "seeds", r->seeds, err);
    return status ? status : upload_text(r, err);
}

static unclip_status report(const running *r, int64_t done, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const unclip_generate_options *o = c->request->options;
    const int steps = (int)r->config->components;
    if (!o->on_progress) return UNCLIP_OK;
    const unclip_progress progress = { .struct_size = sizeof progress, .stage = UNCLIP_STAGE_PRIOR, .step = (int)done,
                                       .steps = steps, .first_image = c->first, .image_count = c->count };
    if (o->on_progress(o->user, &progress))
        return uc_fail(err, UNCLIP_ERR_CANCELLED, "cancelled at token %d of %d of the prior", (int)done, steps);
    return UNCLIP_OK;
}

static unclip_status draw_tokens(const running *r, unclip_error *err) {
    uc_backend *b = r->cascade->session->backend;
    const uc_request *request = r->cascade->request;
    const uc_val token = uc_graph_state(b->plan(r->program)->graph, "token");
    unclip_status status = report(r, 0, err);
    for (int64_t k = 0; k < r->config->components && !status; k++) {
        const uc_step step = uc_prior_ar_step(k, UNCLIP_STAGE_PRIOR, request->guidance[UNCLIP_STAGE_PRIOR],
                                              request->options->prior_temperature);
        status = b->run(r->program, k > 0, &step, err);
        if (!status) status = b->download(r->program, token, r->newest, err);
        for (int64_t i = 0; i < r->rows && !status; i++) {
            r->tokens[i * r->config->components + k] = r->newest[i];
            if (r->newest[i] < 0 || r->newest[i] >= r->config->buckets)
                status = uc_fail(err, UNCLIP_ERR_NOT_FINITE,
                                 "the prior produced NaN: its weights or the precision are at fault");
        }
        if (!status) status = report(r, k + 1, err);
    }
    return status;
}

static unclip_status finish(const running *r, float *out, unclip_error *err) {
    const uc_model *m = r->cascade->session->model;
    const int64_t dim = r->config->embedding_dim;
    uc_prior_ar_tables tables;
    const unclip_status status = uc_prior_ar_tables_of(&tables, r->config, m->prior_ar_params, err);
    if (status) return status;
    float *all = malloc((size_t)(r->rows * dim) * sizeof *all);
    if (!all) return uc_fail_memory(err, (size_t)(r->rows * dim) * sizeof *all, "image embeddings");
    for (int64_t i = 0; i < r->rows; i++)
        uc_prior_ar_embedding(&tables, r->config, r->tokens + i * r->config->components, all + i * dim);
    uc_keep_best(r->cascade, all, dim, out);
    free(all);
    return UNCLIP_OK;
}

static unclip_status prepare(running *r, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const size_t rows = (size_t)r->rows, tokens = rows * (size_t)r->config->components;
    r->seeds = malloc(rows * sizeof *r->seeds);
    r->newest = malloc(rows * sizeof *r->newest);
    r->tokens = malloc(tokens * sizeof *r->tokens);
    if (!r->seeds || !r->newest || !r->tokens)
        return uc_fail_memory(err, tokens * sizeof *r->tokens, "tokens of the prior");
    for (int64_t i = 0; i < r->rows; i++)
        r->seeds[i] = uc_candidate_seed(uc_seed_of(c, (size_t)(i / r->candidates)), (int)(i % r->candidates));
    const uc_prior_ar_shape shape = { .rows = r->rows, .guided = r->guided, .logits = r->logits };
    return uc_session_program(c->session, r->rows, uc_prior_ar_graph(c->session, &shape), &r->program, err);
}

static void release(running *r) {
    uc_backend *b = r->cascade->session->backend;
    if (r->program) b->release(b, r->program);
    free(r->seeds);
    free(r->newest);
    free(r->tokens);
}

unclip_status uc_prior_ar_run(uc_cascade *cascade, float *out, unclip_error *err) {
    const double begin = uc_seconds_now();
    running r = { .cascade = cascade, .config = &cascade->session->model->prior_ar,
                  .candidates = cascade->request->candidates,
                  .rows = (int64_t)cascade->count * cascade->request->candidates,
                  .guided = uc_guided(cascade->request, UNCLIP_STAGE_PRIOR) };
    unclip_status status = prepare(&r, err);
    if (!status) status = upload_inputs(&r, err);
    if (!status) status = upload_dots(&r, err);
    if (!status) status = draw_tokens(&r, err);
    if (!status) status = finish(&r, out, err);
    release(&r);
    cascade->seconds[UNCLIP_STAGE_PRIOR] = uc_seconds_now() - begin;
    return status;
}

/* ---- the cross-entropy of what is known -------------------------------------------------------------------------- */

/* The tokens of true embeddings, and their dot products with the text. */
static unclip_status upload_truth(const running *r, const float *embeddings, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const int64_t dim = r->config->embedding_dim;
    uc_prior_ar_tables tables;
    unclip_status status = uc_prior_ar_tables_of(&tables, r->config, c->session->model->prior_ar_params, err);
    for (int64_t i = 0; i < r->rows && !status; i++) {
        const float *z = embeddings + i * dim;
        const float *text = c->text->embeds + (int64_t)uc_prompt_of(c, (size_t)i) * c->text->projection;
        double dot = 0;
        for (int64_t k = 0; k < dim; k++) dot += (double)z[k] * (double)text[k];
        uc_prior_ar_tokens(&tables, r->config, z, r->tokens + i * r->config->components);
        r->newest[i] = uc_prior_ar_dot_id_of(&tables, r->config, dot);
    }
    return status ? status : upload(r, "dot", r->newest, err);
}

static double nats_of(const float *logits, int64_t count, int32_t token) {
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, (double)logits[i]);
    for (int64_t i = 0; i < count; i++) sum += exp((double)logits[i] - most);
    return log(sum) + most - (double)logits[token];
}

/* Each component's logits, after which the true token takes the place of the drawn one. */
static unclip_status sum_nats(const running *r, float *logits, double *sum, unclip_error *err) {
    uc_backend *b = r->cascade->session->backend;
    const int64_t components = r->config->components, buckets = r->config->buckets;
    const uc_val state = uc_graph_state(b->plan(r->program)->graph, "logits");
    unclip_status status = UNCLIP_OK;
    for (int64_t k = 0; k < components && !status; k++) {
        const uc_step step = uc_prior_ar_step(k, UNCLIP_STAGE_PRIOR, 1, 0);
        status = b->run(r->program, k > 0, &step, err);
        if (!status) status = b->download(r->program, state, logits, err);
        for (int64_t i = 0; i < r->rows && !status; i++) {
            r->newest[i] = r->tokens[i * components + k];
            const double nats = nats_of(logits + i * buckets, buckets, r->newest[i]);
            if (!isfinite(nats))
                status = uc_fail(err, UNCLIP_ERR_NOT_FINITE,
                                 "the prior produced NaN: its weights or the precision are at fault");
            *sum += nats / (double)components;
        }
        if (!status) status = upload(r, "token", r->newest, err);
    }
    return status;
}

unclip_status uc_prior_ar_cross_entropy(uc_cascade *cascade, const float *embeddings, double *sum, unclip_error *err) {
    running r = { .cascade = cascade, .config = &cascade->session->model->prior_ar, .candidates = 1,
                  .rows = (int64_t)cascade->count, .logits = true };
    const size_t count = cascade->count * (size_t)r.config->buckets;
    float *logits = malloc(count * sizeof *logits);
    *sum = 0;
    unclip_status status = logits ? prepare(&r, err) : uc_fail_memory(err, count * sizeof *logits, "logits");
    if (!status) status = upload_inputs(&r, err);
    if (!status) status = upload_truth(&r, embeddings, err);
    if (!status) status = sum_nats(&r, logits, sum, err);
    release(&r);
    free(logits);
    return status;
}

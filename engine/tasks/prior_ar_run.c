/* prior_ar_run.c - see prior_ar_run.h. Each token comes back to the host as it is drawn: the host knows the buckets. */
#include "prior_ar_run.h"

#include <stdlib.h>
#include <string.h>

#include "../core/philox.h"
#include "../models/prior_ar.h"
#include "../models/prior_ar_tables.h"

typedef struct running {
    uc_cascade *cascade;
    const uc_prior_ar_config *config;
    int64_t rows;
    bool guided;
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
        prompt[i] = (int64_t)uc_prompt_of(c, (size_t)(i / c->request->candidates));
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
    if (!status) status = upload_text(r, err);
    return status ? status : upload_dots(r, err);
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
    const int candidates = c->request->candidates;
    for (int64_t i = 0; i < r->rows; i++)
        r->seeds[i] = uc_candidate_seed(uc_seed_of(c, (size_t)(i / candidates)), (int)(i % candidates));
    const uc_prior_ar_shape shape = { .rows = r->rows, .guided = r->guided };
    uc_backend *b = c->session->backend;
    const unclip_status status = uc_program_new(b, uc_prior_ar_graph(c->session, &shape), &r->program, err);
    if (!status)
        uc_log(c->session, UNCLIP_LOG_DEBUG, "prior: %lld rows, %d operations, arena of %llu bytes", (long long)r->rows,
               (int)b->plan(r->program)->graph->op_count, (unsigned long long)b->plan(r->program)->arena_bytes);
    return status;
}

unclip_status uc_prior_ar_run(uc_cascade *cascade, float *out, unclip_error *err) {
    const double begin = uc_seconds_now();
    running r = { .cascade = cascade, .config = &cascade->session->model->prior_ar,
                  .rows = (int64_t)cascade->count * cascade->request->candidates,
                  .guided = uc_guided(cascade->request, UNCLIP_STAGE_PRIOR) };
    unclip_status status = prepare(&r, err);
    if (!status) status = upload_inputs(&r, err);
    if (!status) status = draw_tokens(&r, err);
    if (!status) status = finish(&r, out, err);
    if (r.program) cascade->session->backend->release(cascade->session->backend, r.program);
    free(r.seeds);
    free(r.newest);
    free(r.tokens);
    cascade->seconds[UNCLIP_STAGE_PRIOR] = uc_seconds_now() - begin;
    return status;
}

/* eval_prior.c - see eval_prior.h. */
#include "eval_prior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../sampling/noise.h"
#include "../sampling/slerp.h"
#include "prior_ar_run.h"

enum { LOSS_DRAWS = 1 << 16 }; /* the loss's noise is none of the sampler's draws */

/* ---- the diffusion prior's loss ---------------------------------------------------------------------------------- */

typedef struct loss_run {
    const uc_cascade *cascade;
    uc_program *program;
    int64_t dim;
    float *clean, *noisy; /* [count, dim], in the prior's normalised units */
    int64_t *seeds, *prompts;
} loss_run;

static unclip_status upload(const loss_run *r, const char *state, const void *data, unclip_error *err) {
    uc_backend *b = r->cascade->session->backend;
    return b->upload(r->program, uc_graph_state(b->plan(r->program)->graph, state), data, err);
}

static unclip_status prepare_loss(loss_run *r, const float *embeddings, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const uc_params *params = c->session->model->prior_params;
    const uc_param *mean = uc_params_find(params, "clip_mean"), *std = uc_params_find(params, "clip_std");
    const size_t numbers = c->count * (size_t)r->dim;
    r->clean = malloc(numbers * sizeof *r->clean);
    r->noisy = malloc(numbers * sizeof *r->noisy);
    r->seeds = malloc(c->count * sizeof *r->seeds);
    r->prompts = malloc(c->count * sizeof *r->prompts);
    if (!r->clean || !r->noisy || !r->seeds || !r->prompts)
        return uc_fail_memory(err, numbers * sizeof *r->clean, "embeddings");
    for (size_t i = 0; i < c->count; i++) {
        r->seeds[i] = (int64_t)uc_seed_of(c, i);
        r->prompts[i] = (int64_t)uc_prompt_of(c, i);
        for (int64_t k = 0; k < r->dim; k++) {
            const double z = (double)embeddings[(int64_t)i * r->dim + k], scale = uc_get(std->data, std->dtype, k);
            r->clean[(int64_t)i * r->dim + k] = (float)((z - uc_get(mean->data, mean->dtype, k)) / scale);
        }
    }
    uc_sampler_plan raw = *c->request->sampler[UNCLIP_STAGE_PRIOR];
    raw.threshold = false; /* the estimate itself, as loss_at has no clamp either */
    const uc_stage_shape shape = { .rows = (int64_t)c->count, .sampler = &raw };
    unclip_status status = uc_program_new(c->session->backend, uc_prior_graph(c->session, &shape), &r->program, err);
    if (status) return status;
    const uc_text_rows rows = { .text_row = r->prompts, .count = (int64_t)c->count, .empty_row = c->text->rows - 1,
                                .bias_state = "mask_bias", .extra_after = 1 };
    status = uc_text_features_upload(c->text, c->session->backend, r->program, &rows, err);
    if (!status) status = upload(r, "seeds", r->seeds, err);
    if (!status) status = upload(r, "timesteps", shape.sampler->timesteps, err);
    return status ? status : c->session->backend->run(r->program, 0, NULL, err);
}

/* Squared error of the denoised embeddings at one timestep, the sum over the images of the mean over the numbers. */
static unclip_status loss_at(const loss_run *r, int index, double *sum, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    uc_backend *b = c->session->backend;
    uc_step step = c->request->sampler[UNCLIP_STAGE_PRIOR]->steps[index];
    for (size_t i = 0; i < c->count; i++) {
        float *row = r->noisy + (int64_t)i * r->dim;
        uc_philox_fill(row, r->dim, (uint64_t)r->seeds[i], UNCLIP_STAGE_PRIOR, LOSS_DRAWS + (uint32_t)index);
        for (int64_t k = 0; k < r->dim; k++)
            row[k] = step.sqrt_alpha_bar * r->clean[(int64_t)i * r->dim + k] + step.sqrt_beta_bar * row[k];
    }
    step.guidance = 1;
    step.clip = step.c_old = 0;
    step.add_noise = 0;
    unclip_status status = upload(r, "x", r->noisy, err);
    if (!status) status = b->run(r->program, 1, &step, err);
    if (!status)
        status = b->download(r->program, uc_graph_state(b->plan(r->program)->graph, "x0"), r->noisy, err);
    for (int64_t i = 0; i < (int64_t)c->count * r->dim && !status; i++) {
        const double error = (double)r->noisy[i] - (double)r->clean[i];
        *sum += error * error / (double)r->dim;
    }
    return status;
}

unclip_status uc_prior_diffusion_loss(const uc_cascade *c, const float *embeddings, double *sum, unclip_error *err) {
    loss_run r = { .cascade = c, .dim = c->session->model->prior.embedding_dim };
    const int steps = c->request->sampler[UNCLIP_STAGE_PRIOR]->count;
    unclip_status status = prepare_loss(&r, embeddings, err);
    *sum = 0;
    for (int i = 0; i < steps && !status; i++) status = loss_at(&r, i, sum, err);
    *sum /= steps;
    if (!status && !isfinite(*sum))
        status = uc_fail(err, UNCLIP_ERR_NOT_FINITE,
                         "the prior produced NaN: its weights or the precision are at fault");
    if (r.program) c->session->backend->release(c->session->backend, r.program);
    free(r.clean);
    free(r.noisy);
    free(r.seeds);
    free(r.prompts);
    return status;
}

/* ---- what is drawn ----------------------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b, int64_t dim) {
    double sum = 0;
    for (int64_t i = 0; i < dim; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Adds one pair; means and deviations are made of the sums at the end. */
static void add_pair(unclip_prior_statistics *s, const float *drawn, const float *truth, const float *text,
                     int64_t dim) {
    const size_t count = (size_t)dim;
    const double near = uc_cosine(drawn, truth, count);
    const double with_text = dot(drawn, text, dim), true_text = dot(truth, text, dim);
    double error = 0;
    for (int64_t i = 0; i < dim; i++) {
        const double difference = (double)drawn[i] - (double)truth[i];
        error += difference * difference;
    }
    s->mse += error / (double)dim;
    s->cosine += near;
    s->cosine_deviation += near * near;
    s->dot += with_text;
    s->dot_deviation += with_text * with_text;
    s->true_dot += true_text;
    s->true_dot_deviation += true_text * true_text;
    s->text_cosine += uc_cosine(drawn, text, count);
    s->true_text_cosine += uc_cosine(truth, text, count);
    s->length += uc_length(drawn, count);
    s->true_length += uc_length(truth, count);
    s->draws++;
}

static void finish_mean(double *mean, double *deviation, double count) {
    *mean /= count;
    *deviation = sqrt(fmax(*deviation / count - *mean * *mean, 0));
}

static void finish(unclip_prior_statistics *s) {
    const double n = (double)s->draws;
    double *const means[] = { &s->loss, &s->mse, &s->text_cosine, &s->true_text_cosine, &s->length, &s->true_length };
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) *means[i] /= n;
    finish_mean(&s->cosine, &s->cosine_deviation, n);
    finish_mean(&s->dot, &s->dot_deviation, n);
    finish_mean(&s->true_dot, &s->true_dot_deviation, n);
}

static unclip_status eval_launch(uc_cascade *c, const float *embeddings, int64_t dim, unclip_prior_statistics *s,
                                 unclip_error *err) {
    const size_t row = (size_t)dim;
    float *truth = malloc(c->count * row * sizeof *truth), *drawn = malloc(c->count * row * sizeof *drawn);
    unclip_status status = UNCLIP_OK;
    double loss = 0;
    if (!truth || !drawn) status = uc_fail_memory(err, 2 * c->count * row * sizeof *truth, "embeddings");
    for (size_t i = 0; i < c->count && !status; i++)
        memcpy(truth + i * row, embeddings + uc_prompt_of(c, i) * row, row * sizeof *truth);
    if (!status)
        status = c->request->prior_ar ? uc_prior_ar_cross_entropy(c, truth, &loss, err)
                                      : uc_prior_diffusion_loss(c, truth, &loss, err);
    const uc_stage_io io = { .out = drawn };
    if (!status)
        status = c->request->prior_ar ? uc_prior_ar_run(c, drawn, err) : uc_stage_run(c, UNCLIP_STAGE_PRIOR, &io, err);
    for (size_t i = 0; i < c->count && !status; i++)
        add_pair(s, drawn + i * row, truth + i * row, c->text->embeds + uc_prompt_of(c, i) * row, dim);
    s->loss += loss;
    s->seconds += c->seconds[UNCLIP_STAGE_PRIOR];
    free(truth);
    free(drawn);
    return status;
}

unclip_status uc_eval_prior(const uc_session *session, const uc_request *request, const float *embeddings,
                            unclip_prior_statistics *statistics, unclip_error *err) {
    *statistics = (unclip_prior_statistics){ .struct_size = sizeof *statistics };
    uc_text_features text;
    const int64_t dim = uc_prior_dim(request, session->model);
    unclip_status status = uc_text_features_new(&text, session, request->ids, request->used,
                                                (int64_t)request->options->prompt_count + 1, err);
    if (status) return status;
    if (text.projection != dim)
        status = uc_fail(err, UNCLIP_ERR_UNSUPPORTED,
                         "text embeddings have %lld numbers, image embeddings %lld: no dot product",
                         (long long)text.projection, (long long)dim);
    for (size_t first = 0; first < request->images && !status; first += request->batch) {
        uc_cascade cascade = { .session = session, .request = request, .first = first, .text = &text };
        cascade.count = request->images - first < request->batch ? request->images - first : request->batch;
        uc_noise_source_init(&cascade.noise, request->options->rng, uc_seed_of(&cascade, 0));
        status = eval_launch(&cascade, embeddings, dim, statistics, err);
    }
    uc_text_features_free(&text);
    if (!status) finish(statistics);
    return status;
}

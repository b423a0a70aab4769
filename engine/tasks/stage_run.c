/* stage_run.c - see stage_run.h. */
#include "stage_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A stage while it runs. */
typedef struct running {
    uc_cascade *cascade;
    unclip_stage stage;
    const uc_sampler_plan *sampler;
    uc_program *program;
    const uc_graph *graph;
    int64_t rows, sample;  /* rows of the launch, floats of one */
    int64_t *seeds;        /* [rows] */
    float *buffer;         /* [rows, sample] */
    uint8_t *preview;      /* RGB of the first picture */
} running;

static uc_backend *backend_of(const running *r) { return r->cascade->session->backend; }

double uc_seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int64_t uc_sample_count(const uc_model *model, unclip_stage stage) {
    if (stage == UNCLIP_STAGE_PRIOR) return model->prior.embedding_dim;
    const int64_t size = uc_stage_size(model, stage);
    return 3 * size * size;
}

/* A preview: [-1, 1] planes [3, size, size] as rows of RGB bytes, rounded as the operation to_bytes does. */
static void picture_bytes(uint8_t *rgb, const float *planes, int64_t size) {
    const int64_t pixels = size * size;
    for (int64_t i = 0; i < pixels; i++)
        for (int64_t c = 0; c < 3; c++) {
            const float unit = planes[c * pixels + i] * 0.5f + 0.5f;
            rgb[3 * i + c] = (uint8_t)nearbyintf(fminf(fmaxf(unit, 0.0f), 1.0f) * 255.0f);
        }
}

static unclip_status upload(running *r, const char *state, const void *data, unclip_error *err) {
    return backend_of(r)->upload(r->program, uc_graph_state(r->graph, state), data, err);
}

static unclip_status download(running *r, const char *state, void *data, unclip_error *err) {
    return backend_of(r)->download(r->program, uc_graph_state(r->graph, state), data, err);
}

static unclip_status upload_text(running *r, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const uc_text_proj_config *p = &c->session->model->text_proj;
    const bool prior = r->stage == UNCLIP_STAGE_PRIOR;
    int64_t *prompt = malloc((size_t)r->rows * sizeof *prompt);
    if (!prompt) return uc_fail_memory(err, (size_t)r->rows * sizeof *prompt, "prompt rows");
    for (int64_t i = 0; i < r->rows; i++)
        prompt[i] = (int64_t)uc_prompt_of(c, (size_t)(prior ? i / c->request->candidates : i));
    const uc_text_rows rows = {
        .text_row = prompt, .count = r->rows, .empty_row = c->text->rows - 1,
        .guided = uc_guided(c->request, r->stage),
        .bias_state = prior ? "mask_bias" : "context_bias",
        .extra_before = prior ? 0 : p->extra_tokens,
        .extra_after = prior ? 1 : 0,
    };
    const unclip_status status = uc_text_features_upload(c->text, backend_of(r), r->program, &rows, err);
    free(prompt);
    return status;
}

static unclip_status upload_inputs(running *r, const uc_stage_io *io, unclip_error *err) {
    uc_cascade *c = r->cascade;
    if (!io->noise) uc_noise_source_fill(&c->noise, r->buffer, r->rows, r->sample, r->seeds, (uint32_t)r->stage, 0);
    unclip_status status = upload(r, "x", io->noise ? io->noise : r->buffer, err);
    if (!status) status = upload(r, "seeds", r->seeds, err);
    if (!status) status = upload(r, "timesteps", r->sampler->timesteps, err);
    if (!status && r->stage <= UNCLIP_STAGE_DECODER) status = upload_text(r, err);
    if (!status && io->embedding) status = upload(r, "embedding", io->embedding, err);
    if (!status && io->low) status = upload(r, "low", io->low, err);
    return status ? status : backend_of(r)->run(r->program, 0, NULL, err);
}

/* Tells the caller where we are; with a picture of the current estimate when one is due. */
static unclip_status report(running *r, int done, unclip_error *err) {
    const uc_cascade *c = r->cascade;
    const unclip_generate_options *o = c->request->options;
    if (!o->on_progress) return UNCLIP_OK;
    unclip_progress progress = { .struct_size = sizeof progress, .stage = r->stage, .step = done,
                                 .steps = r->sampler->count, .first_image = c->first, .image_count = c->count };
    unclip_image preview = { .struct_size = sizeof preview };
    const bool due = r->stage != UNCLIP_STAGE_PRIOR && o->preview_interval && done && done % o->preview_interval == 0;
    if (due) {
        const int64_t size = uc_stage_size(c->session->model, r->stage);
        if (!r->preview) r->preview = malloc((size_t)r->sample);
        if (!r->preview) return uc_fail_memory(err, (size_t)r->sample, "preview");
        const unclip_status status = download(r, "x0", r->buffer, err);
        if (status) return status;
        picture_bytes(r->preview, r->buffer, size);
        preview.width = preview.height = (int)size;
        preview.rgb = r->preview;
        preview.index = c->first;
        preview.prompt_index = uc_prompt_of(c, 0);
        preview.seed = uc_seed_of(c, 0);
        progress.preview = &preview;
    }
    if (o->on_progress(o->user, &progress))
        return uc_fail(err, UNCLIP_ERR_CANCELLED, "cancelled at step %d of %d of the %s", done, r->sampler->count,
                       unclip_stage_name(r->stage));
    return UNCLIP_OK;
}

static unclip_status run_steps(running *r, unclip_error *err) {
    const bool host_noise = r->cascade->noise.kind == UNCLIP_RNG_TORCH_CPU;
    unclip_status status = report(r, 0, err);
    for (int i = 0; i < r->sampler->count && !status; i++) {
        const uc_step *step = &r->sampler->steps[i];
        if (host_noise && step->add_noise) {
            uc_noise_source_fill(&r->cascade->noise, r->buffer, r->rows, r->sample, r->seeds, step->stage,
                                 step->noise_index);
            status = upload(r, "noise", r->buffer, err);
        }
        if (!status)
            status = backend_of(r)->run(r->program, uc_step_phase(r->stage, i, r->sampler->count), step, err);
        if (!status) status = report(r, i + 1, err);
    }
    return status;
}

/* ---- DDIM inversion ---------------------------------------------------------------------------------------------- */

/* A round changes the sample by its share of how far the forward step from it misses the sample before. */
static double root_mean_square(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / (double)count);
}

/* Rounds of the plan's fixed-point iteration. Where the network is too steep for it a round makes matters worse, which
 * the next one shows: it is taken back, and half as large a share tried. now, best: room for a sample each. */
static unclip_status refine_sample(running *r, const uc_step *refine, int rounds, float *now, float *best,
                                   unclip_error *err) {
    const double enough = 1e-4;
    const size_t bytes = (size_t)(r->rows * r->sample) * sizeof *now;
    double share = 1, least = INFINITY;
    unclip_status status = download(r, "x", now, err);
    for (int k = 0; k < rounds && !status && least > enough; k++) {
        uc_step step = *refine;
        step.c_x = (float)(1 - share * (1 - (double)refine->c_x));
        step.c_x0 = (float)(share * (double)refine->c_x0);
        step.sigma = (float)(share * (double)refine->sigma);
        status = backend_of(r)->run(r->program, 1, &step, err);
        if (!status) status = download(r, "x", r->buffer, err);
        const double miss = status ? 0 : root_mean_square(r->buffer, now, r->rows * r->sample) / share;
        if (miss <= least) {
            least = miss;
            memcpy(best, now, bytes);
            memcpy(now, r->buffer, bytes);
        } else {
            share /= 2;
            memcpy(now, best, bytes);
            if (!status) status = upload(r, "x", best, err);
        }
    }
    return status;
}

/* Each step, and when asked the rounds that make it the exact inverse of the forward step; those need the sample that
 * the step began with, which goes where the host's noise goes. */
static unclip_status run_inverse_steps(running *r, unclip_error *err) {
    const uc_sampler_plan *plan = r->sampler;
    const int rounds = r->cascade->request->given->refinements;
    const size_t count = (size_t)(r->rows * r->sample);
    float *samples = malloc(2 * count * sizeof *samples);
    if (!samples) return uc_fail_memory(err, 2 * count * sizeof *samples, "the samples of an inversion");
    unclip_status status = report(r, 0, err);
    for (int i = 0; i + 1 < plan->count && !status; i++) {
        if (rounds > 0) status = download(r, "x", r->buffer, err);
        if (!status && rounds > 0) status = upload(r, "noise", r->buffer, err);
        if (!status) status = backend_of(r)->run(r->program, 1, &plan->steps[i], err);
        if (!status && rounds > 0)
            status = refine_sample(r, &plan->refine[i + 1], rounds, samples, samples + count, err);
        if (!status) status = report(r, i + 2, err);
    }
    free(samples);
    return status;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static unclip_status check_finite(const running *r, const float *data, int64_t per_row, unclip_error *err) {
    for (int64_t i = 0; i < r->rows * per_row; i++)
        if (!isfinite(data[i]))
            return uc_fail(err, UNCLIP_ERR_NOT_FINITE, "the %s produced %s: its weights or the precision are at fault",
                           unclip_stage_name(r->stage), isnan(data[i]) ? "NaN" : "infinity");
    return UNCLIP_OK;
}

void uc_keep_best(const uc_cascade *c, const float *candidates, int64_t dim, float *out) {
    const int n = c->request->candidates;
    for (size_t image = 0; image < c->count; image++) {
        const float *text = c->text->embeds + (int64_t)uc_prompt_of(c, image) * c->text->projection;
        int best = 0;
        double best_dot = -INFINITY;
        for (int k = 0; k < n; k++) {
            const float *z = candidates + ((int64_t)image * n + k) * dim;
            double dot = 0;
            for (int64_t i = 0; i < dim; i++) dot += (double)z[i] * text[i];
            if (dot > best_dot) {
                best_dot = dot;
                best = k;
            }
        }
        memcpy(out + (int64_t)image * dim, candidates + ((int64_t)image * n + best) * dim, (size_t)dim * sizeof *out);
    }
}

static unclip_status finish_prior(running *r, float *out, unclip_error *err) {
    const int64_t dim = r->cascade->session->model->prior.clip_embed_dim;
    float *all = malloc((size_t)(r->rows * dim) * sizeof *all);
    if (!all) return uc_fail_memory(err, (size_t)(r->rows * dim) * sizeof *all, "image embeddings");
    unclip_status status = backend_of(r)->run(r->program, 2, NULL, err);
    if (!status) status = download(r, "embedding", all, err);
    if (!status) status = check_finite(r, all, dim, err);
    if (!status) uc_keep_best(r->cascade, all, dim, out);
    free(all);
    return status;
}

static unclip_status finish_picture(running *r, float *out, unclip_error *err) {
    unclip_status status = download(r, "x", out, err);
    if (!status) status = check_finite(r, out, r->sample, err);
    if (r->sampler->refine) return status; /* noise, not a picture */
    for (int64_t i = 0; i < r->rows * r->sample && !status; i++) out[i] = fminf(fmaxf(out[i], -1.0f), 1.0f);
    return status;
}

static unclip_status finish_bytes(running *r, uint8_t *bytes, unclip_error *err) {
    unclip_status status = backend_of(r)->run(r->program, r->graph->phase_count - 1, NULL, err);
    if (!status) status = download(r, "bytes", bytes, err);
    bool finite = true;
    for (int64_t i = 0; i < r->rows * r->sample / 3 && !status; i++) finite = finite && bytes[4 * i + 3];
    if (status || finite) return status;
    status = download(r, "x", r->buffer, err);
    return status ? status : check_finite(r, r->buffer, r->sample, err);
}

static unclip_status prepare(running *r, bool bytes, unclip_error *err) {
    uc_cascade *c = r->cascade;
    const uc_session *s = c->session;
    r->seeds = malloc((size_t)r->rows * sizeof *r->seeds);
    r->buffer = malloc((size_t)(r->rows * r->sample) * sizeof *r->buffer);
    if (!r->seeds || !r->buffer)
        return uc_fail_memory(err, (size_t)(r->rows * r->sample) * sizeof *r->buffer, unclip_stage_name(r->stage));
    const int candidates = r->stage == UNCLIP_STAGE_PRIOR ? c->request->candidates : 1;
    for (int64_t i = 0; i < r->rows; i++)
        r->seeds[i] = uc_candidate_seed(uc_seed_of(c, (size_t)(i / candidates)), (int)(i % candidates));
    const uc_stage_shape shape = { .rows = r->rows, .guided = uc_guided(c->request, r->stage),
                                   .host_noise = c->noise.kind == UNCLIP_RNG_TORCH_CPU || r->sampler->refine,
                                   .bytes = bytes, .sampler = r->sampler };
    const unclip_status status = uc_session_program(s, r->rows, uc_stage_graph(s, r->stage, &shape), &r->program, err);
    if (!status) r->graph = s->backend->plan(r->program)->graph;
    return status;
}

unclip_status uc_stage_run(uc_cascade *cascade, unclip_stage stage, const uc_stage_io *io, unclip_error *err) {
    const double begin = uc_seconds_now();
    const bool prior = stage == UNCLIP_STAGE_PRIOR;
    running r = { .cascade = cascade, .stage = stage, .sampler = cascade->request->sampler[stage],
                  .rows = (int64_t)cascade->count * (prior ? cascade->request->candidates : 1),
                  .sample = uc_sample_count(cascade->session->model, stage) };
    unclip_status status = prepare(&r, io->bytes, err);
    if (!status) status = upload_inputs(&r, io, err);
    if (!status) status = r.sampler->refine ? run_inverse_steps(&r, err) : run_steps(&r, err);
    if (!status && io->bytes) status = finish_bytes(&r, io->bytes, err);
    else if (!status) status = prior ? finish_prior(&r, io->out, err) : finish_picture(&r, io->out, err);
    if (r.program) backend_of(&r)->release(backend_of(&r), r.program);
    free(r.seeds);
    free(r.buffer);
    free(r.preview);
    cascade->seconds[stage] = uc_seconds_now() - begin;
    return status;
}

/* eval_prior.c - text embedding to image embedding alone: what the model's priors draw from captions, against the
 * embeddings of the captions' pictures. One JSON object. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caption_pairs.h"
#include "commands.h"
#include "embedding_file.h"
#include "eval.h"
#include "model.h"
#include "settings.h"
#include "signals.h"
#include "text.h"
#include "unused.h"

enum { USUAL_BATCH = 32 };

typedef struct evaluation {
    unclip_engine *engine;
    cli_caption_pairs pairs;
    float *embeddings; /* [pairs, dim] */
    size_t dim;
} evaluation;

static int add_embedding(evaluation *e, size_t index, const float *values, size_t dim, cli_error *err) {
    if (!e->embeddings) {
        e->dim = dim;
        e->embeddings = malloc(e->pairs.count * e->dim * sizeof *e->embeddings);
        if (!e->embeddings) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    }
    if (dim != e->dim)
        return cli_fail(err, CLI_DATA, "%s: an embedding of %zu numbers after some of %zu", e->pairs.images[index], dim,
                        e->dim);
    memcpy(e->embeddings + index * e->dim, values, e->dim * sizeof *e->embeddings);
    return CLI_OK;
}

static int embed_pictures(evaluation *e, cli_error *err) {
    int code = CLI_OK;
    for (size_t i = 0; i < e->pairs.count && !code; i++) {
        float *values = NULL;
        size_t dim = 0;
        if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
        code = cli_embedding_of_picture(e->engine, e->pairs.images[i], &values, &dim, err);
        if (!code) code = add_embedding(e, i, values, dim, err);
        free(values);
    }
    return code;
}

static json_t *statistics_json(const unclip_prior_statistics *s) {
    const struct { const char *name; double value; } all[] = {
        { "loss", s->loss }, { "mse", s->mse },
        { "cosine", s->cosine }, { "cosine_deviation", s->cosine_deviation },
        { "dot", s->dot }, { "dot_deviation", s->dot_deviation },
        { "true_dot", s->true_dot }, { "true_dot_deviation", s->true_dot_deviation },
        { "text_cosine", s->text_cosine }, { "true_text_cosine", s->true_text_cosine },
        { "length", s->length }, { "true_length", s->true_length },
        { "seconds", s->seconds } };
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_object_set_new(out, all[i].name, json_real(all[i].value));
    json_object_set_new(out, "draws", json_integer((json_int_t)s->draws));
    return out;
}

static int measure(const evaluation *e, const unclip_generate_options *options, json_t *results, cli_error *err) {
    const char *name = options->prior == UNCLIP_PRIOR_AUTOREGRESSIVE ? "ar" : "diffusion";
    unclip_prior_statistics statistics;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_eval_prior(e->engine, options, e->embeddings, e->dim, &statistics, &error);
    if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
    if (status) return cli_fail_status(err, status, &error);
    json_object_set_new(results, name, statistics_json(&statistics));
    return CLI_OK;
}

/* Which priors: the one that was asked for, else all that the model has. */
static int measure_all(evaluation *e, const cli_args *args, unclip_generate_options *options, json_t *results,
                       cli_error *err) {
    if (args->flag[CLI_FLAG_PRIOR].given) return measure(e, options, results, err);
    char *text = NULL;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_engine_describe(e->engine, &text, &error);
    if (status) return cli_fail_status(err, status, &error);
    json_t *description = json_loads(text, 0, NULL), *parts = json_object_get(description, "parts");
    const bool diffusion = json_object_get(parts, "prior") != NULL, ar = json_object_get(parts, "prior_ar") != NULL;
    json_decref(description);
    unclip_free(text);
    int code = diffusion || ar ? CLI_OK : cli_fail(err, CLI_USAGE, "this model has no prior");
    if (!code && diffusion) code = measure(e, options, results, err);
    options->prior = UNCLIP_PRIOR_AUTOREGRESSIVE;
    return !code && ar ? measure(e, options, results, err) : code;
}

static int print_results(const evaluation *e, uint64_t seed, json_t *priors, cli_error *err) {
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)seed);
    json_t *root = json_object();
    json_object_set_new(root, "pairs", json_integer((json_int_t)e->pairs.count));
    json_object_set_new(root, "seed", seed <= INT64_MAX ? json_integer((json_int_t)seed) : json_string(number));
    json_object_set(root, "priors", priors);
    return cli_eval_print(root, err);
}

int cli_eval_prior(const cli_args *args, cli_log *log, cli_error *err) {
    const char *list = args->flag[CLI_FLAG_PAIRS].text;
    evaluation e = { 0 };
    unclip_generate_options options;
    int code = list ? cli_settings_fill(&options, args, NULL, err)
                    : cli_fail(err, CLI_USAGE, "eval prior: give captions and pictures by --pairs FILE");
    if (!code && args->flag[CLI_FLAG_PRIOR].given) code = cli_refuse_unused_prior(args, &options, err);
    if (!code) code = cli_caption_pairs_read(&e.pairs, list, err);
    if (!code) code = cli_open_engine(&e.engine, args, UNCLIP_TYPE_AUTO, log, err);
    if (!code) code = embed_pictures(&e, err);
    if (!code) {
        json_t *results = json_object();
        options.prompts = (const char *const *)e.pairs.captions;
        options.prompt_count = e.pairs.count;
        options.on_progress = cli_eval_progress;
        if (!options.batch_size) options.batch_size = USUAL_BATCH;
        code = measure_all(&e, args, &options, results, err);
        if (!code) code = print_results(&e, options.seed, results, err);
        json_decref(results);
    }
    unclip_engine_close(e.engine);
    cli_caption_pairs_free(&e.pairs);
    free(e.embeddings);
    return code;
}

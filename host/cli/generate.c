/* generate.c - the whole flow as seen from the command line: prompts in, files out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "drawing.h"
#include "embedding_file.h"
#include "model.h"
#include "prompts.h"
#include "settings.h"
#include "signals.h"
#include "text.h"
#include "unused.h"

typedef struct run {
    const cli_args *args;
    cli_log *log;
    cli_replay replay;
    cli_prompts prompts;
    cli_drawing drawing;
    float *embedding; /* of --prior-input */
} run;

/* ---- before it draws ---------------------------------------------------------------------------------------------- */

/* Has the model a table of the prior's optimal variances? Asked for by --sampling paper only. */
static bool has_analytic_table(unclip_engine *engine) {
    char *text = NULL;
    if (unclip_engine_describe(engine, &text, NULL)) return false;
    json_t *description = json_loads(text, 0, NULL);
    const json_t *prior = json_object_get(json_object_get(description, "stages"), "prior");
    bool has = json_is_true(json_object_get(prior, "analytic"));
    json_decref(description);
    unclip_free(text);
    return has;
}

static int gather_prompts(run *r, cli_error *err) {
    const cli_args *args = r->args;
    bool given = args->flag[CLI_FLAG_PROMPT].given || args->flag[CLI_FLAG_PROMPT_FILE].given;
    if (given) return cli_prompts_gather(&r->prompts, args, err);
    if (r->replay.prompt) return cli_prompts_add(&r->prompts, r->replay.prompt, strlen(r->replay.prompt), err);
    if (r->embedding) return cli_prompts_add(&r->prompts, "", 0, err); /* no caption */
    if (args->flag[CLI_FLAG_ESTIMATE].on) return cli_prompts_add_lines(&r->prompts, "an estimate", err);
    return cli_fail(err, CLI_USAGE, "nothing to draw: give a prompt (unclip-cuda -p \"a red cube\"); --help says more");
}

/* --prior-input, beside which no other condition makes sense. */
static int load_embedding(run *r, unclip_generate_options *options, cli_error *err) {
    const cli_value *flag = r->args->flag;
    if (!flag[CLI_FLAG_PRIOR_INPUT].given) {
        if (!r->replay.given_embedding || flag[CLI_FLAG_CONDITION].given) return CLI_OK;
        return cli_fail(err, CLI_USAGE, "%s was drawn from an embedding that it does not keep; give it with --prior-input",
                        flag[CLI_FLAG_PARAMS_FROM].text);
    }
    if (flag[CLI_FLAG_CONDITION].given && options->condition != UNCLIP_CONDITION_PRIOR)
        return cli_fail(err, CLI_USAGE, "--condition %s does without the embedding of --prior-input; give one of them",
                        flag[CLI_FLAG_CONDITION].text);
    options->condition = UNCLIP_CONDITION_PRIOR;
    const int code = cli_embedding_load(flag[CLI_FLAG_PRIOR_INPUT].text, &r->embedding, &options->prior_input_dim, err);
    options->prior_input = r->embedding;
    return code;
}

/* Everything that can be refused is refused here, before the model is even read. */
static int prepare(run *r, unclip_generate_options *options, cli_error *err) {
    const cli_value *flag = r->args->flag;
    int code = CLI_OK;
    if (flag[CLI_FLAG_PARAMS_FROM].given) {
        code = cli_replay_load(&r->replay, flag[CLI_FLAG_PARAMS_FROM].text, err);
        if (code) return code;
        const char *task = json_string_value(json_object_get(r->replay.json, "task"));
        if (task)
            return cli_fail(err, CLI_USAGE, "%s was drawn by %s; --params-from repeats what was drawn from text alone",
                            flag[CLI_FLAG_PARAMS_FROM].text, task);
    }
    const cli_replay *replay = flag[CLI_FLAG_PARAMS_FROM].given ? &r->replay : NULL;
    if ((code = cli_settings_fill(options, r->args, replay, err)) != 0) return code;
    if ((code = load_embedding(r, options, err)) != 0) return code;
    if ((code = cli_refuse_unused_prior(r->args, options, err)) != 0) return code;
    if ((code = gather_prompts(r, err)) != 0) return code;
    options->prompts = r->prompts.items;
    options->prompt_count = r->prompts.count;
    if (flag[CLI_FLAG_ESTIMATE].on) return CLI_OK;
    return cli_drawing_begin(&r->drawing, r->prompts.count * options->images_per_prompt, err);
}

static int draw(run *r, unclip_engine *engine, unclip_generate_options *options, cli_error *err) {
    /* The seed is a result as much as the picture: it is said even with -q. */
    cli_say(r->log, CLI_NOTICE, "seed: %" PRIu64, options->seed);
    options->on_progress = cli_drawing_progress;
    options->on_image = cli_drawing_image;
    options->user = &r->drawing;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_generate(engine, options, &error);
    return cli_drawing_end(&r->drawing, status, &error, err);
}

static int estimate(unclip_engine *engine, unclip_generate_options *options, cli_error *err) {
    unclip_estimate launch = { .struct_size = sizeof launch };
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_generate_estimate(engine, options, &launch, &error);
    return status ? cli_fail_status(err, status, &error) : cli_print_estimate(NULL, &launch, err);
}

static int run_engine(run *r, unclip_generate_options *options, cli_error *err) {
    unclip_engine *engine = NULL;
    int code = cli_open_engine(&engine, r->args, r->replay.type, r->log, err);
    if (code) return code;
    const cli_value *flag = r->args->flag;
    if (flag[CLI_FLAG_SAMPLING].given && flag[CLI_FLAG_SAMPLING].integer == CLI_SAMPLING_PAPER &&
        !flag[CLI_FLAG_PRIOR_SAMPLER].given && has_analytic_table(engine)) {
        options->stage[UNCLIP_STAGE_PRIOR].sampler = UNCLIP_SAMPLER_ANALYTIC;
    }
    if (cli_signal_received()) code = cli_fail(err, 128 + cli_signal_received(), "interrupted");
    else if (flag[CLI_FLAG_ESTIMATE].on) code = estimate(engine, options, err);
    else code = draw(r, engine, options, err);
    unclip_engine_close(engine);
    return code;
}

int cli_generate(const cli_args *args, cli_log *log, cli_error *err) {
    run r = { .args = args, .log = log, .drawing = { .args = args, .log = log, .err = err } };
    unclip_generate_options options;
    int code = prepare(&r, &options, err);
    if (!code) code = run_engine(&r, &options, err);
    cli_drawing_free(&r.drawing);
    cli_prompts_free(&r.prompts);
    free(r.embedding);
    cli_replay_free(&r.replay);
    return code;
}

/* generate.c - the whole flow as seen from the command line: prompts in, files out. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "model.h"
#include "output.h"
#include "progress.h"
#include "prompts.h"
#include "settings.h"
#include "signals.h"
#include "text.h"

typedef struct run {
    const cli_args *args;
    cli_log *log;
    cli_error *err; /* of a callback that stopped the run; code 0 while none did */
    cli_replay replay;
    cli_prompts prompts;
    cli_output output;
    cli_progress progress;
    bool preview_failed;
} run;

/* ---- while it draws ----------------------------------------------------------------------------------------------- */

static void write_preview(run *r, const unclip_progress *report) {
    const char *path = r->args->flag[CLI_FLAG_PREVIEW].text;
    cli_error error = { 0 };
    if (!path || !report->preview || r->preview_failed || !cli_write_image(report->preview, path, &error)) return;
    r->preview_failed = true;
    cli_say(r->log, CLI_WARNING, "no more previews: %s", error.message);
}

static int on_progress(void *user, const unclip_progress *report) {
    run *r = user;
    if (cli_signal_received()) return 1;
    cli_progress_show(&r->progress, report);
    write_preview(r, report);
    return 0;
}

static void say_times(cli_log *log, const unclip_image *image, const char *name) {
    char times[256] = "";
    size_t used = 0;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        if (image->stage_seconds[i] <= 0 || used >= sizeof times) continue;
        int length = snprintf(times + used, sizeof times - used, ", %s %.3f s", unclip_stage_name((unclip_stage)i),
                              image->stage_seconds[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    cli_say(log, CLI_DEBUG, "%s: %d x %d, seed %" PRIu64 "%s", name, image->width, image->height, image->seed, times);
}

static int on_image(void *user, const unclip_image *image) {
    run *r = user;
    if (r->output.to_stdout) {
        say_times(r->log, image, "standard output");
        return cli_write_image_to_stdout(image, r->err);
    }
    char *name = cli_output_name(&r->output, image->index);
    if (!name) return cli_fail(r->err, CLI_TRY_AGAIN, "out of memory");
    int code = cli_write_image(image, name, r->err);
    if (!code) {
        say_times(r->log, image, name);
        printf("%s\n", name);
        code = cli_flush_results(r->err);
    }
    free(name);
    return code;
}

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
    if (r->replay.prompt) {
        r->prompts.items = malloc(sizeof *r->prompts.items);
        char *copy = strdup(r->replay.prompt);
        if (!r->prompts.items || !copy) {
            free(copy);
            return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
        }
        r->prompts.items[r->prompts.count++] = copy;
        return CLI_OK;
    }
    if (args->flag[CLI_FLAG_ESTIMATE].on) return cli_prompts_add_lines(&r->prompts, "an estimate", err);
    return cli_fail(err, CLI_USAGE, "nothing to draw: give a prompt (unclip-cuda -p \"a red cube\"); --help says more");
}

/* A pipe of its own, that is: one that standard error shares is somebody's log. */
static bool stdout_is_pipe(void) {
    struct stat about, log;
    if (fstat(STDOUT_FILENO, &about) != 0 || !(S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode))) return false;
    return fstat(STDERR_FILENO, &log) != 0 || log.st_ino != about.st_ino || log.st_dev != about.st_dev;
}

/* Everything that can be refused is refused here, before the model is even read. */
static int prepare(run *r, unclip_generate_options *options, cli_error *err) {
    const cli_value *flag = r->args->flag;
    int code = CLI_OK;
    if (flag[CLI_FLAG_PARAMS_FROM].given) {
        code = cli_replay_load(&r->replay, flag[CLI_FLAG_PARAMS_FROM].text, err);
        if (code) return code;
    }
    const cli_replay *replay = flag[CLI_FLAG_PARAMS_FROM].given ? &r->replay : NULL;
    if ((code = cli_settings_fill(options, r->args, replay, err)) != 0) return code;
    if ((code = gather_prompts(r, err)) != 0) return code;
    options->prompts = r->prompts.items;
    options->prompt_count = r->prompts.count;
    if (flag[CLI_FLAG_ESTIMATE].on) return CLI_OK;
    size_t images = r->prompts.count * options->images_per_prompt;
    code = cli_output_plan(&r->output, flag[CLI_FLAG_OUTPUT].text, images, stdout_is_pipe(), err);
    if (!code) code = cli_output_check(&r->output, err);
    if (!code && flag[CLI_FLAG_PREVIEW].given) code = cli_check_writable(flag[CLI_FLAG_PREVIEW].text, err);
    if (!code) cli_progress_init(&r->progress, r->log, images);
    return code;
}

static int draw(run *r, unclip_engine *engine, unclip_generate_options *options, cli_error *err) {
    /* The seed is a result as much as the picture: it is said even with -q. */
    cli_say(r->log, CLI_NOTICE, "seed: %" PRIu64, options->seed);
    options->on_progress = on_progress;
    options->on_image = on_image;
    options->user = r;
    unclip_error error = { .status = UNCLIP_OK };
    double began = cli_clock();
    unclip_status status = unclip_generate(engine, options, &error);
    if (status == UNCLIP_OK) {
        struct rusage usage = { .ru_maxrss = 0 }; /* in KiB, on Linux */
        getrusage(RUSAGE_SELF, &usage);
        cli_say(r->log, CLI_DEBUG, "%zu picture%s in %.2f s, peak resident memory %ld MiB", r->output.count,
                r->output.count == 1 ? "" : "s", cli_clock() - began, usage.ru_maxrss / 1024);
        return CLI_OK;
    }
    if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
    if (r->err->code) return r->err->code;
    return cli_fail_status(err, status, &error);
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
    else if (flag[CLI_FLAG_ESTIMATE].on) code = cli_print_estimate(engine, options, err);
    else code = draw(r, engine, options, err);
    unclip_engine_close(engine);
    return code;
}

int cli_generate(const cli_args *args, cli_log *log, cli_error *err) {
    run r = { .args = args, .log = log, .err = err };
    unclip_generate_options options;
    int code = prepare(&r, &options, err);
    if (!code) code = run_engine(&r, &options, err);
    cli_output_free(&r.output);
    cli_prompts_free(&r.prompts);
    cli_replay_free(&r.replay);
    return code;
}

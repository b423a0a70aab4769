/* upscale.c - the end of the flow alone: a picture in, larger pictures out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "drawing.h"
#include "model.h"
#include "pairs.h"
#include "settings.h"
#include "signals.h"
#include "text.h"

typedef struct job {
    cli_drawing drawing;
    unclip_upscale_options options;
    char *png;
} job;

/* The flags of `generate` that mean the same here. */
static void take_over(unclip_upscale_options *to, const unclip_generate_options *from) {
    to->images = from->images_per_prompt;
    to->batch_size = from->batch_size;
    to->seed = from->seed;
    to->rng = from->rng;
    to->size = from->size;
    memcpy(to->stage, from->stage, sizeof to->stage);
    memcpy(to->threshold, from->threshold, sizeof to->threshold);
    to->preview_interval = from->preview_interval;
}

/* Everything that can be refused before the model is read. */
static int prepare(job *j, const cli_args *args, cli_error *err) {
    const cli_value *flag = args->flag;
    const cli_list *images = &flag[CLI_FLAG_INIT_IMG].list;
    if (images->count != 1)
        return cli_fail(err, CLI_USAGE, "upscale takes one picture, not %zu: unclip-cuda upscale IMAGE.png",
                        images->count);
    if (cli_is_pair_file(images->items[0]))
        return cli_fail(err, CLI_USAGE, "%s: a pair keeps no picture to upscale; draw it first: vary --eta 0",
                        images->items[0]);
    unclip_generate_options generate;
    int code = cli_settings_fill(&generate, args, NULL, err);
    if (code) return code;
    unclip_upscale_options *o = &j->options;
    unclip_upscale_options_init(o);
    take_over(o, &generate);
    if (flag[CLI_FLAG_FROM_SIZE].given) o->from = (int)flag[CLI_FLAG_FROM_SIZE].integer;
    if (flag[CLI_FLAG_DEGRADE].given) o->degrade = (unclip_degrade)flag[CLI_FLAG_DEGRADE].integer;
    const cli_value *degrade_seed = &flag[CLI_FLAG_DEGRADE_SEED];
    if (degrade_seed->typed && o->degrade != UNCLIP_DEGRADE_BSR)
        return cli_fail(err, CLI_USAGE, "--degrade-seed would do nothing: it is for --degrade bsr");
    o->degrade_seed = degrade_seed->given && !degrade_seed->seed_random ? degrade_seed->seed : o->seed;
    if ((code = cli_read_file(images->items[0], CLI_LARGEST_PNG, &j->png, &o->png_size, err)) != 0) return code;
    o->png = (const uint8_t *)j->png;
    return flag[CLI_FLAG_ESTIMATE].on ? CLI_OK : cli_drawing_begin(&j->drawing, o->images, err);
}

static int draw(job *j, const char *name, unclip_engine *engine, cli_error *err) {
    unclip_upscale_options *o = &j->options;
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    const bool estimating = j->drawing.args->flag[CLI_FLAG_ESTIMATE].on;
    if (estimating) o->estimate = &estimate;
    else cli_say(j->drawing.log, CLI_NOTICE, "seed: %" PRIu64, o->seed);
    o->on_progress = cli_drawing_progress;
    o->on_image = cli_drawing_image;
    o->user = &j->drawing;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_upscale(engine, o, &error);
    if (status == UNCLIP_ERR_IMAGE) return cli_fail(err, CLI_DATA, "%s: %s", name, error.message);
    if (!status && estimating) return cli_print_estimate(NULL, &estimate, err);
    return cli_drawing_end(&j->drawing, status, &error, err);
}

int cli_upscale(const cli_args *args, cli_log *log, cli_error *err) {
    job j = { .drawing = { .args = args, .log = log, .err = err } };
    unclip_engine *engine = NULL;
    int code = prepare(&j, args, err);
    if (!code) code = cli_open_engine(&engine, args, UNCLIP_TYPE_AUTO, log, err);
    if (!code && cli_signal_received()) code = cli_fail(err, 128 + cli_signal_received(), "interrupted");
    if (!code) code = draw(&j, args->flag[CLI_FLAG_INIT_IMG].list.items[0], engine, err);
    unclip_engine_close(engine);
    cli_drawing_free(&j.drawing);
    free(j.png);
    return code;
}

/* generate.c - the public library's promises about a request: a picture does not depend on its batch, threads or run
 * mode, everything wrong is refused by name, callbacks may stop it. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"

static const char *const PROMPTS[] = { "a red cube", "two dogs in the park" };

static unclip_generate_options quick(void) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = PROMPTS;
    o.prompt_count = 1;
    o.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 3;
    return o;
}

static unclip_engine *open_with(unclip_engine_options *options) {
    unclip_error err = { 0 };
    unclip_engine *engine = NULL;
    options->model_dir = TINY_A;
    if (!options->device) options->device = test_device();
    cr_assert_eq(unclip_engine_open(&engine, options, &err), UNCLIP_OK, "%s", err.message);
    return engine;
}

/* ---- the same bytes ---------------------------------------------------------------------------------------------- */

static album draw_with(int threads, unclip_run_mode mode, unclip_generate_options o) {
    unclip_engine_options options;
    unclip_engine_options_init(&options);
    options.threads = threads;
    options.run_mode = mode;
    unclip_engine *engine = open_with(&options);
    const album a = draw_album(engine, &o);
    unclip_engine_close(engine);
    return a;
}

static void expect_equal(const char *what, const album *a, const album *b) {
    cr_assert_eq(a->size, b->size);
    cr_expect_eq(memcmp(a->rgb, b->rgb, a->size), 0, "%s: other bytes", what);
}

Test(tasks_generate, threads_and_run_modes_do_not_change_a_picture) {
    album one = draw_with(1, UNCLIP_RUN_REPLAY, quick());
    const struct { const char *what; int threads; unclip_run_mode mode; } others[] = {
        { "again", 1, UNCLIP_RUN_REPLAY }, { "2 threads", 2, UNCLIP_RUN_REPLAY }, { "3 threads", 3, UNCLIP_RUN_REPLAY },
        { "eager", 1, UNCLIP_RUN_EAGER },  { "checked", 1, UNCLIP_RUN_CHECKED },  { "timed", 1, UNCLIP_RUN_TIMED } };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        album other = draw_with(others[i].threads, others[i].mode, quick());
        expect_equal(others[i].what, &one, &other);
        free(other.rgb);
    }
    free(one.rgb);
}

Test(tasks_generate, a_picture_does_not_depend_on_its_batch) {
    unclip_generate_options o = quick();
    o.prompt_count = 2;
    o.images_per_prompt = 2;
    o.prior_candidates = 2;
    o.batch_size = 4;
    album together = draw_with(2, UNCLIP_RUN_REPLAY, o);
    for (size_t batch = 1; batch < 4; batch++) {
        o.batch_size = batch;
        album apart = draw_with(1, UNCLIP_RUN_REPLAY, o);
        expect_equal("batch size", &together, &apart);
        free(apart.rgb);
    }
    /* the last picture alone: second prompt, seed 5 + 3 */
    unclip_generate_options alone = quick();
    alone.prompts = PROMPTS + 1;
    alone.seed = 8;
    alone.prior_candidates = 2;
    album last = draw_with(1, UNCLIP_RUN_REPLAY, alone);
    cr_expect_eq(memcmp(together.rgb + 3 * last.size, last.rgb, last.size), 0);
    free(last.rgb);
    free(together.rgb);
}

Test(tasks_generate, seeds_prompts_and_samplers_matter) {
    album base = draw_with(1, UNCLIP_RUN_REPLAY, quick());
    for (int change = 0; change < 6; change++) {
        unclip_generate_options o = quick();
        if (change == 0) o.seed = 6;
        if (change == 1) o.prompts = PROMPTS + 1;
        if (change == 2) o.stage[UNCLIP_STAGE_DECODER].sampler = UNCLIP_SAMPLER_DDIM;
        if (change == 3) o.stage[UNCLIP_STAGE_DECODER].guidance = 1.5f;
        if (change == 4) o.stage[UNCLIP_STAGE_PRIOR].sampler = UNCLIP_SAMPLER_DPMPP_2M;
        if (change == 5) o.rng = UNCLIP_RNG_TORCH_CPU;
        album other = draw_with(1, UNCLIP_RUN_REPLAY, o);
        cr_expect_neq(memcmp(base.rgb, other.rgb, base.size), 0, "change %d did nothing", change);
        free(other.rgb);
    }
    free(base.rgb);
}

/* Ratios low enough for the small model's estimates, which are not far out of range. */
Test(tasks_generate, a_dynamic_threshold_depends_on_its_picture_alone) {
    unclip_generate_options o = quick();
    o.prompt_count = 2;
    o.threshold[UNCLIP_STAGE_DECODER] = 0.75f;
    o.threshold[UNCLIP_STAGE_SR256] = 0.25f;
    album together = draw_with(2, UNCLIP_RUN_CHECKED, o);
    for (size_t i = 0; i < 2; i++) {
        unclip_generate_options alone = o;
        alone.prompts = PROMPTS + i;
        alone.prompt_count = 1;
        alone.seed = o.seed + i;
        album one = draw_with(1, UNCLIP_RUN_REPLAY, alone);
        cr_expect_eq(memcmp(together.rgb + i * one.size, one.rgb, one.size), 0, "picture %zu of a batch", i);
        alone.threshold[UNCLIP_STAGE_DECODER] = -1;
        alone.threshold[UNCLIP_STAGE_SR256] = -1;
        album fixed = draw_with(1, UNCLIP_RUN_REPLAY, alone);
        memset(alone.threshold, 0, sizeof alone.threshold);
        album model = draw_with(1, UNCLIP_RUN_REPLAY, alone);
        cr_expect_neq(memcmp(one.rgb, fixed.rgb, one.size), 0, "picture %zu: the threshold did nothing", i);
        expect_equal("this model's scheduler has no threshold", &fixed, &model);
        free(one.rgb);
        free(fixed.rgb);
        free(model.rgb);
    }
    free(together.rgb);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refused(unclip_engine *engine, const unclip_generate_options *o, unclip_status status,
                           const char *message) {
    unclip_error err = { 0 };
    cr_expect_eq(unclip_generate(engine, o, &err), status, "%s", err.message);
    cr_expect_str_eq(err.message, message);
}

Test(tasks_generate, wrong_options_are_named) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_generate_options o = quick();
    o.struct_size = 1;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "generate options were not filled by unclip_generate_options_init");
    o = quick();
    o.prompt_count = 0;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "no prompt was given");
    o = quick();
    o.images_per_prompt = 0;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "images per prompt is 0, expected 1 to 1000000");
    o = quick();
    o.size = 1024;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "size is 1024, this model draws 16, 64");
    o = quick();
    o.prior_candidates = 0;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "prior candidates is 0, expected 1 to 64");
    o = quick();
    o.stage[UNCLIP_STAGE_DECODER].guidance = NAN;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "decoder: guidance is nan, expected at most 1000");
    o = quick();
    o.stage[UNCLIP_STAGE_SR256].steps = -1;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "sr256: steps is -1, expected 1 or more");
    o = quick();
    o.stage[UNCLIP_STAGE_PRIOR].eta = 2;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "prior: eta is 2, expected 0 to 1");
    o = quick();
    o.threshold[UNCLIP_STAGE_DECODER] = 1.5f;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "decoder: threshold is 1.5, expected at most 1");
    o = quick();
    o.threshold[UNCLIP_STAGE_PRIOR] = 0.5f;
    expect_refused(engine, &o, UNCLIP_ERR_ARGUMENT, "prior: threshold is 0.5, expected none: it is for pictures");
    const char *bad = "ab\xFF";
    o = quick();
    o.prompts = &bad;
    unclip_error err = { 0 };
    cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_UTF8);
    cr_expect(strstr(err.message, "prompt 0: "), "%s", err.message);
    cr_expect_eq(unclip_generate(NULL, &o, &err), UNCLIP_ERR_ARGUMENT);
    unclip_engine_close(engine);
}

Test(tasks_generate, a_part_that_is_missing_is_named) {
    unclip_engine *engine = open_engine(UC_TEST_DATA "/goldens/models/tiny-c");
    unclip_embedding e;
    unclip_error err = { 0 };
    const uint8_t png[] = { 0 };
    cr_expect_eq(unclip_embed_image(engine, png, 1, &e, &err), UNCLIP_ERR_IMAGE);
    unclip_generate_options o = quick();
    o.stage[UNCLIP_STAGE_PRIOR].sampler = UNCLIP_SAMPLER_ANALYTIC;
    cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "prior: "), "%s", err.message);
    unclip_engine_close(engine);
}

Test(tasks_engine, wrong_options_are_named) {
    unclip_engine *engine = NULL;
    unclip_engine_options o;
    unclip_error err = { 0 };
    unclip_engine_options_init(&o);
    cr_expect_eq(unclip_engine_open(&engine, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "no model directory was given");
    o.model_dir = UC_TEST_DATA "/no-such-model";
    cr_expect_eq(unclip_engine_open(&engine, &o, &err), UNCLIP_ERR_MODEL_MISSING, "%s", err.message);
    o.model_dir = TINY_A;
    o.device = "tpu";
    cr_expect_eq(unclip_engine_open(&engine, &o, &err), UNCLIP_ERR_NO_DEVICE, "%s", err.message);
    o.device = NULL;
    o.threads = -1;
    cr_expect_eq(unclip_engine_open(&engine, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "threads is -1, expected 1 to 1024");
    o.threads = 0;
    o.type = UNCLIP_TYPE_F16;
    cr_expect_eq(unclip_engine_open(&engine, &o, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect_null(engine);
    unclip_engine_close(NULL);
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

typedef struct watched { int calls, previews, stop_at; unclip_stage last; } watched;

static int watch(void *user, const unclip_progress *p) {
    watched *w = user;
    cr_expect(p->step >= 0 && p->step <= p->steps);
    cr_expect_geq((int)p->stage, (int)w->last);
    w->last = p->stage;
    if (p->preview) {
        w->previews++;
        cr_expect(p->preview->width > 0 && p->preview->rgb);
    }
    return w->stop_at && ++w->calls == w->stop_at;
}

Test(tasks_generate, progress_previews_and_cancelling) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_generate_options o = quick();
    unclip_error err = { 0 };
    watched w = { .stop_at = 0 };
    o.on_progress = watch;
    o.user = &w;
    o.preview_interval = 2;
    cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(w.previews, 2, "steps 2 of the decoder and of the upsampler: %d", w.previews);
    for (int stop = 1; stop <= 12; stop++) { /* 4 calls a stage: steps 0 to 3 */
        watched again = { .stop_at = stop };
        o.user = &again;
        cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_CANCELLED, "stop at call %d", stop);
    }
    unclip_engine_close(engine);
}

/* prior_ar.c - pictures by the autoregressive prior through the public library: they depend on their seed alone, follow
 * temperature and percentiles, keep their settings, cost what the estimate says, and what cannot be is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"

static const char *const PROMPTS[] = { "a red cube", "two dogs in the park" };

static unclip_generate_options quick(void) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = PROMPTS;
    o.prompt_count = 1;
    o.seed = 5;
    o.size = 16;
    o.prior = UNCLIP_PRIOR_AUTOREGRESSIVE;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 3;
    return o;
}

static album draw_in(unclip_run_mode mode, int threads, unclip_generate_options o) {
    unclip_engine_options options;
    unclip_engine *engine = NULL;
    unclip_error err = { 0 };
    unclip_engine_options_init(&options);
    options.model_dir = TINY_A;
    options.run_mode = mode;
    options.threads = threads;
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    const album a = draw_album(engine, &o);
    unclip_engine_close(engine);
    return a;
}

static bool same(unclip_generate_options a, unclip_generate_options b) {
    album first = draw_in(UNCLIP_RUN_REPLAY, 1, a), second = draw_in(UNCLIP_RUN_REPLAY, 1, b);
    const bool equal = first.size == second.size && !memcmp(first.rgb, second.rgb, first.size);
    free(first.rgb);
    free(second.rgb);
    return equal;
}

Test(tasks_prior_ar, threads_and_run_modes_do_not_change_a_picture) {
    album one = draw_in(UNCLIP_RUN_REPLAY, 1, quick());
    const struct { const char *what; int threads; unclip_run_mode mode; } others[] = {
        { "again", 1, UNCLIP_RUN_REPLAY }, { "3 threads", 3, UNCLIP_RUN_REPLAY }, { "eager", 1, UNCLIP_RUN_EAGER },
        { "checked", 1, UNCLIP_RUN_CHECKED }, { "timed", 1, UNCLIP_RUN_TIMED } };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        album other = draw_in(others[i].mode, others[i].threads, quick());
        cr_assert_eq(one.size, other.size);
        cr_expect_eq(memcmp(one.rgb, other.rgb, one.size), 0, "%s: other bytes", others[i].what);
        free(other.rgb);
    }
    free(one.rgb);
}

Test(tasks_prior_ar, a_picture_does_not_depend_on_its_batch) {
    unclip_generate_options o = quick();
    o.prompt_count = 2;
    o.images_per_prompt = 2;
    o.prior_candidates = 2;
    o.batch_size = 4;
    unclip_generate_options apart = o;
    apart.batch_size = 1;
    cr_expect(same(o, apart), "four at once and one after the other");
    apart.batch_size = 3;
    cr_expect(same(o, apart), "three and one");
    unclip_generate_options last = quick(); /* the second prompt's second picture has the seed 5 + 3 */
    last.prompts = PROMPTS + 1;
    last.seed = 8;
    last.prior_candidates = 2;
    album all = draw_in(UNCLIP_RUN_REPLAY, 1, o), alone = draw_in(UNCLIP_RUN_REPLAY, 1, last);
    cr_expect_eq(memcmp(all.rgb + 3 * alone.size, alone.rgb, alone.size), 0, "the last picture alone");
    free(all.rgb);
    free(alone.rgb);
}

Test(tasks_prior_ar, every_setting_reaches_the_draw) {
    const unclip_generate_options base = quick();
    cr_expect(same(base, base));
    unclip_generate_options o = base;
    o.prior = UNCLIP_PRIOR_DIFFUSION;
    cr_expect_not(same(base, o), "the diffusion prior draws something else");
    o = base;
    o.seed = 6;
    cr_expect_not(same(base, o), "another seed");
    o = base;
    o.prior_dot_low = o.prior_dot_high = 0;
    cr_expect_not(same(base, o), "another percentile");
    o = base;
    o.stage[UNCLIP_STAGE_PRIOR].guidance = 1;
    cr_expect_not(same(base, o), "no guidance");
    o = base;
    o.stage[UNCLIP_STAGE_PRIOR].steps = 17;
    o.stage[UNCLIP_STAGE_PRIOR].sampler = UNCLIP_SAMPLER_DDIM;
    cr_expect(same(base, o), "steps and sampler are the diffusion prior's");
    unclip_generate_options cold = base, colder = base;
    cold.prior_temperature = 0;
    colder.prior_temperature = 1e-4f;
    cr_expect(same(cold, colder), "a low temperature draws the most probable tokens");
    colder.prior_temperature = 1.5f;
    cr_expect_not(same(cold, colder), "a high one does not");
}

static int keep_settings(void *user, const unclip_image *image) {
    snprintf(user, 2048, "%s", image->parameters_json);
    return 0;
}

Test(tasks_prior_ar, settings_are_kept) {
    char json[2048] = "";
    unclip_generate_options o = quick();
    unclip_error err = { 0 };
    o.prior_temperature = 0.5f;
    o.prior_dot_low = 85;
    o.on_image = keep_settings;
    o.user = json;
    unclip_engine *engine = open_engine(TINY_A);
    cr_assert_eq(unclip_generate(engine, &o, &err), UNCLIP_OK, "%s", err.message);
    unclip_engine_close(engine);
    cr_expect(strstr(json, "\"prior\":\"ar\",\"prior_temperature\":0.5,\"prior_dot_percentile\":[85.0,100.0]"), "%s",
              json);
    cr_expect(strstr(json, "\"prior\":{\"guidance\":4.0}"), "%s", json);
}

/* ---- progress and estimate --------------------------------------------------------------------------------------- */

typedef struct watch { int calls, last, steps, stop_at; } watch;

static int look(void *user, const unclip_progress *progress) {
    watch *w = user;
    if (progress->stage != UNCLIP_STAGE_PRIOR) return 0;
    cr_expect_eq(progress->step, w->calls, "steps come one by one");
    w->calls++;
    w->last = progress->step;
    w->steps = progress->steps;
    return w->stop_at > 0 && progress->step == w->stop_at;
}

Test(tasks_prior_ar, progress_and_cancel) {
    unclip_generate_options o = quick();
    unclip_error err = { 0 };
    watch w = { 0 };
    o.on_progress = look;
    o.user = &w;
    unclip_engine *engine = open_engine(TINY_A);
    cr_assert_eq(unclip_generate(engine, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(w.last == 6 && w.steps == 6 && w.calls == 7, "steps of 6 components: %d of %d", w.last, w.steps);
    w = (watch){ .stop_at = 2 };
    cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_CANCELLED);
    cr_expect_str_eq(err.message, "cancelled at token 2 of 6 of the prior");
    unclip_engine_close(engine);
}

static void note_arena(void *user, unclip_log_level level, const char *message) {
    unsigned long long rows, operations, bytes;
    (void)level;
    if (sscanf(message, "prior_ar: %llu rows, %llu operations, arena of %llu bytes", &rows, &operations, &bytes) == 3)
        *(unsigned long long *)user = bytes;
}

Test(tasks_prior_ar, the_estimate_is_exact) {
    unsigned long long measured = 0;
    unclip_engine_options options;
    unclip_engine *engine = NULL;
    unclip_error err = { 0 };
    unclip_engine_options_init(&options);
    options.model_dir = TINY_A;
    options.threads = 1;
    options.on_log = note_arena;
    options.log_user = &measured;
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    unclip_generate_options o = quick();
    o.images_per_prompt = 3;
    o.prior_candidates = 2;
    unclip_estimate estimate;
    cr_assert_eq(unclip_generate_estimate(engine, &o, &estimate, &err), UNCLIP_OK, "%s", err.message);
    free(draw_album(engine, &o).rgb);
    const unclip_estimate_stage *prior = &estimate.stage[UNCLIP_STAGE_PRIOR];
    cr_expect_gt(measured, 0);
    cr_expect_eq(prior->activation_bytes, measured);
    cr_expect_eq(prior->steps, 6);
    /* 12 rows of 79 + 5 tokens through 2 layers of about 4 24^2 + 2 24 40 weights, and the attention's share */
    const double products = 12.0 * (79 + 5) * 2 * (4 * 24 * 24 + 2 * 24 * 40) * 2;
    cr_expect(prior->flops > 0.9 * products && prior->flops < 3 * products, "%g FLOP, products alone are %g",
              prior->flops, products);
    unclip_engine_close(engine);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

Test(tasks_prior_ar, what_cannot_be_is_refused) {
    unclip_error err = { 0 };
    unclip_engine *engine = open_engine(TINY_A);
    const struct { unclip_prior prior; float temperature, low, high; const char *message; } cases[] = {
        { (unclip_prior)2, 1, 50, 100, "prior 2 is unknown" },
        { UNCLIP_PRIOR_AUTOREGRESSIVE, -1, 50, 100, "prior temperature is -1, expected 0 to 100" },
        { UNCLIP_PRIOR_AUTOREGRESSIVE, NAN, 50, 100, "prior temperature is nan, expected 0 to 100" },
        { UNCLIP_PRIOR_AUTOREGRESSIVE, 1, 60, 50, "prior dot percentiles are 60 to 50, expected a range in 0 to 100" },
        { UNCLIP_PRIOR_AUTOREGRESSIVE, 1, -1, 50, "prior dot percentiles are -1 to 50, expected a range in 0 to 100" },
        { UNCLIP_PRIOR_AUTOREGRESSIVE, 1, 0, 101, "prior dot percentiles are 0 to 101, expected a range in 0 to 100" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unclip_generate_options o = quick();
        o.prior = cases[i].prior;
        o.prior_temperature = cases[i].temperature;
        o.prior_dot_low = cases[i].low;
        o.prior_dot_high = cases[i].high;
        cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_ARGUMENT);
        cr_expect_str_eq(err.message, cases[i].message);
    }
    unclip_engine_close(engine);
    engine = open_engine(UC_TEST_DATA "/goldens/models/tiny-b");
    unclip_generate_options o = quick();
    o.size = 0;
    cr_expect_eq(unclip_generate(engine, &o, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect_str_eq(err.message, "this model has no autoregressive prior (prior_ar)");
    unclip_engine_close(engine);
}

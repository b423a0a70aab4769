/* alloc.c - every allocation of the library failing in turn, once and from then on: each time an error that says so, nothing
 * is left allocated, and nothing crashes. Along the whole flow: opening a model, embeddings, pictures on the CPU and on a
 * simulated device, PNG files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/unclip.h"
#include "failing.h"

#define TINY UC_TEST_DATA "/goldens/models/tiny-a"

typedef unclip_status (*scenario)(unclip_error *err);

static unclip_status open_on(const char *device, unclip_engine **engine, unclip_error *err) {
    unclip_engine_options options;
    unclip_engine_options_init(&options);
    options.model_dir = TINY;
    options.device = device;
    options.threads = 1;
    return unclip_engine_open(engine, &options, err);
}

static unclip_status open_model(unclip_error *err) {
    unclip_engine *engine = NULL;
    const unclip_status status = open_on("cpu", &engine, err);
    unclip_engine_close(engine);
    return status;
}

static unclip_status embed(unclip_error *err) {
    unclip_engine *engine = NULL;
    unclip_embedding e = { 0 };
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_embed_text(engine, "a red cube", &e, err);
    if (!status) unclip_embedding_free(&e);
    unclip_engine_close(engine);
    return status;
}

static uint8_t file[1 << 16];
static size_t file_size;

static void read_picture(void) {
    FILE *f = fopen(UC_TEST_DATA "/goldens/images/small-grey.png", "rb");
    cr_assert_not_null(f);
    file_size = fread(file, 1, sizeof file, f);
    fclose(f);
}

static unclip_status embed_picture(unclip_error *err) {
    unclip_engine *engine = NULL;
    unclip_embedding e = { 0 };
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_embed_image(engine, file, file_size, &e, err);
    if (!status) unclip_embedding_free(&e);
    unclip_engine_close(engine);
    return status;
}

static unclip_status draw(const char *device, size_t images, unclip_error *err) {
    static const char *const prompts[] = { "a red cube" };
    unclip_engine *engine = NULL;
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = prompts;
    o.prompt_count = 1;
    o.images_per_prompt = images;
    o.size = 64;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 1;
    unclip_status status = open_on(device, &engine, err);
    if (!status) status = unclip_generate(engine, &o, err);
    unclip_engine_close(engine);
    return status;
}

static unclip_status draw_one(unclip_error *err) { return draw("cpu", 1, err); }
static unclip_status draw_two(unclip_error *err) { return draw("cpu", 2, err); }
static unclip_status draw_on_a_device(unclip_error *err) { return draw("sim:0", 1, err); }

static unclip_status estimate(unclip_error *err) {
    static const char *const prompts[] = { "a red cube" };
    unclip_engine *engine = NULL;
    unclip_generate_options o;
    unclip_estimate e = { .struct_size = sizeof e };
    unclip_generate_options_init(&o);
    o.prompts = prompts;
    o.prompt_count = 1;
    unclip_status status = open_on("ref", &engine, err);
    if (!status) status = unclip_generate_estimate(engine, &o, &e, err);
    unclip_engine_close(engine);
    return status;
}

/* ---- pictures from pictures: a picture becomes a pair, and that is drawn from ------------------------------------ */

typedef unclip_status (*drawing)(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                                 unclip_error *err);

static unclip_status invert_and(drawing draw_pair, unclip_estimate *estimate, unclip_error *err) {
    unclip_engine *engine = NULL;
    unclip_pair pair = { .struct_size = sizeof pair };
    unclip_invert_options invert;
    unclip_generate_options base;
    unclip_invert_options_init(&invert);
    unclip_generate_options_init(&base);
    invert.steps = 2;
    invert.refinements = 1;
    base.size = 16;
    base.stage[UNCLIP_STAGE_DECODER].steps = 1;
    base.estimate = invert.estimate = estimate;
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_invert(engine, file, file_size, &invert, &pair, err);
    if (!status) status = draw_pair(engine, &pair, &base, err);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
    return status;
}

static unclip_status draw_variation(unclip_engine *engine, const unclip_pair *pair,
                                    const unclip_generate_options *base, unclip_error *err) {
    unclip_vary_options o;
    unclip_vary_options_init(&o);
    return unclip_vary(engine, pair, base, &o, err);
}

static unclip_status draw_path(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                               unclip_error *err) {
    const unclip_pair pairs[] = { *pair, *pair };
    unclip_interpolate_options o;
    unclip_interpolate_options_init(&o);
    o.frames = 2;
    return unclip_interpolate(engine, pairs, 2, base, &o, err);
}

static unclip_status draw_text_diff(unclip_engine *engine, const unclip_pair *pair,
                                    const unclip_generate_options *base, unclip_error *err) {
    unclip_text_diff_options o;
    unclip_text_diff_options_init(&o);
    o.from = "a cube";
    o.to = "a ring";
    o.frames = 1;
    return unclip_text_diff(engine, pair, base, &o, err);
}

static unclip_status draw_probe(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                                unclip_error *err) {
    const int components[] = { 2 };
    unclip_probe_options o;
    unclip_probe_options_init(&o);
    o.components = components;
    o.component_count = 1;
    return unclip_probe(engine, pair, base, &o, err);
}

static unclip_status vary(unclip_error *err) { return invert_and(draw_variation, NULL, err); }
static unclip_status interpolate(unclip_error *err) { return invert_and(draw_path, NULL, err); }
static unclip_status text_diff(unclip_error *err) { return invert_and(draw_text_diff, NULL, err); }
static unclip_status probe(unclip_error *err) { return invert_and(draw_probe, NULL, err); }
static unclip_status estimate_vary(unclip_error *err) {
    unclip_estimate e = { .struct_size = sizeof e };
    return invert_and(draw_variation, &e, err);
}

static unclip_status upscale(unclip_error *err) {
    unclip_engine *engine = NULL;
    unclip_upscale_options o;
    unclip_upscale_options_init(&o);
    o.png = file;
    o.png_size = file_size;
    o.degrade = UNCLIP_DEGRADE_BSR;
    o.stage[UNCLIP_STAGE_SR256].steps = 1;
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_upscale(engine, &o, err);
    unclip_engine_close(engine);
    return status;
}

static unclip_status classify(unclip_error *err) {
    unclip_engine *engine = NULL;
    unclip_label labels[] = { { .text = "a cube" }, { .text = "a ring" } };
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_classify_image(engine, file, file_size, labels, 2, NULL, err);
    unclip_engine_close(engine);
    return status;
}

static unclip_status eval_priors(unclip_error *err) {
    static const char *const prompts[] = { "a red cube" };
    static const unclip_prior priors[] = { UNCLIP_PRIOR_DIFFUSION, UNCLIP_PRIOR_AUTOREGRESSIVE };
    float truth[32] = { 1 };
    unclip_engine *engine = NULL;
    unclip_prior_statistics statistics;
    unclip_status status = open_on("cpu", &engine, err);
    for (int i = 0; i < 2 && !status; i++) {
        unclip_generate_options o;
        unclip_generate_options_init(&o);
        o.prompts = prompts;
        o.prompt_count = 1;
        o.prior = priors[i];
        o.stage[UNCLIP_STAGE_PRIOR].steps = 1;
        status = unclip_eval_prior(engine, &o, truth, 32, &statistics, err);
    }
    unclip_engine_close(engine);
    return status;
}

static unclip_status describe(unclip_error *err) {
    unclip_engine *engine = NULL;
    char *json = NULL;
    unclip_status status = open_on("cpu", &engine, err);
    if (!status) status = unclip_engine_describe(engine, &json, err);
    unclip_free(json);
    unclip_engine_close(engine);
    return status;
}

static unclip_status png_there_and_back(unclip_error *err) {
    static const uint8_t rgb[8 * 8 * 3] = { 1, 2, 3 };
    const unclip_image image = { .struct_size = sizeof image, .width = 8, .height = 8, .rgb = rgb,
                                 .parameters_json = "{\"seed\": 7}" };
    uint8_t *png = NULL;
    char *json = NULL;
    size_t size = 0;
    unclip_status status = unclip_image_encode_png(&image, &png, &size, err);
    if (!status) status = unclip_png_parameters(png, size, &json, err);
    unclip_free(json);
    unclip_free(png);
    return status;
}

static void fail_at(const char *name, scenario run, uint64_t number, bool for_ever) {
    unclip_error err = { 0 };
    failing_begin(number, for_ever);
    const unclip_status status = run(&err);
    const failing_result r = failing_end();
    const char *how = for_ever ? "from then on" : "once";
    cr_expect(r.failed, "%s: allocation %llu was not reached", name, (unsigned long long)number);
    /* what can be done without, or with less, need not fail */
    cr_expect(!status || (status == UNCLIP_ERR_MEMORY && err.status == status && err.message[0]),
              "%s: allocation %llu failing %s gives status %d, \"%s\"", name, (unsigned long long)number, how, (int)status,
              err.message);
    cr_expect_eq(r.left, 0, "%s: allocation %llu failing %s leaves %llu blocks", name, (unsigned long long)number, how,
                 (unsigned long long)r.left);
}

/* At most about `most` allocations of the scenario, spread over all of it. */
static void every_allocation(const char *name, scenario run, uint64_t most) {
    unclip_error err = { 0 };
    cr_assert_eq(run(&err), UNCLIP_OK, "%s: %s", name, err.message); /* what libraries allocate at their first use */
    failing_begin(0, false);
    cr_assert_eq(run(&err), UNCLIP_OK, "%s: %s", name, err.message);
    const failing_result r = failing_end();
    cr_assert_eq(r.left, 0, "%s leaves %llu blocks", name, (unsigned long long)r.left);
    cr_assert_gt(r.allocations, 0);
    const uint64_t stride = (r.allocations + most - 1) / most;
    for (uint64_t number = 1; number <= r.allocations; number += stride) {
        fail_at(name, run, number, false);
        fail_at(name, run, number, true);
    }
}

#define SCENARIO(name, most) \
    Test(alloc, name, .timeout = 600) { every_allocation(#name, name, most); }

SCENARIO(open_model, 1000)
SCENARIO(embed, 500)
#define PICTURE_SCENARIO(name, most)          \
    Test(alloc, name, .timeout = 600) {       \
        read_picture();                       \
        every_allocation(#name, name, most);  \
    }
PICTURE_SCENARIO(embed_picture, 300)
PICTURE_SCENARIO(vary, 60)
PICTURE_SCENARIO(interpolate, 60)
PICTURE_SCENARIO(text_diff, 60)
PICTURE_SCENARIO(probe, 60)
PICTURE_SCENARIO(estimate_vary, 60)
PICTURE_SCENARIO(upscale, 60)
PICTURE_SCENARIO(classify, 60)
SCENARIO(eval_priors, 60)
SCENARIO(draw_one, 150)
SCENARIO(draw_two, 60)
SCENARIO(draw_on_a_device, 150)
SCENARIO(estimate, 200)
SCENARIO(describe, 300)
SCENARIO(png_there_and_back, 1000)

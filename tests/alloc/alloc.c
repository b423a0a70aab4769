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
Test(alloc, embed_picture, .timeout = 600) {
    read_picture();
    every_allocation("embed_picture", embed_picture, 300);
}
SCENARIO(draw_one, 150)
SCENARIO(draw_two, 60)
SCENARIO(draw_on_a_device, 150)
SCENARIO(estimate, 200)
SCENARIO(describe, 300)
SCENARIO(png_there_and_back, 1000)

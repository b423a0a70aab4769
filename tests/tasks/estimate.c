/* estimate.c - what a request would cost is what it costs: the planned memory of every road through the library is, to the
 * byte, that of its run; nothing is run or delivered meanwhile. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/device.h"
#include "support/pictures.h"
#include "roads.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"
#define TINY_C UC_TEST_DATA "/goldens/models/tiny-c"
#define PICTURE UC_TEST_DATA "/goldens/images/wide-rgb.png"

/* The largest arena of each part since the last reset. */
typedef struct arenas { unsigned long long text, image, stage[UNCLIP_STAGE_COUNT]; } arenas;

static void note_arena(void *user, unclip_log_level level, const char *message) {
    arenas *a = user;
    char name[16];
    unsigned long long rows, operations, bytes, *to = NULL;
    (void)level;
    if (sscanf(message, "%15[^:]: %llu rows, %llu operations, arena of %llu bytes", name, &rows, &operations,
               &bytes) != 4)
        return;
    if (!strcmp(name, "text_encoder")) to = &a->text;
    if (!strcmp(name, "image_encoder")) to = &a->image;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++)
        if (!strcmp(name, unclip_stage_name((unclip_stage)s))) to = &a->stage[s];
    cr_assert_not_null(to, "%s", message);
    if (bytes > *to) *to = bytes;
}

static unclip_engine *open_noting(const char *model, arenas *measured) {
    unclip_engine_options options;
    unclip_engine *engine = NULL;
    unclip_error err = { 0 };
    unclip_engine_options_init(&options);
    options.model_dir = model;
    options.device = test_device();
    options.threads = 1;
    options.on_log = note_arena;
    options.log_user = measured;
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    return engine;
}

static int count_picture(void *user, const unclip_image *image) {
    (void)image;
    ++*(size_t *)user;
    return 0;
}

/* Three pictures of a tiny model, the upsampler included; drawn counts them. */
static unclip_generate_options quick(size_t *drawn) {
    static const char *const prompts[] = { "a red cube" };
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = prompts;
    o.prompt_count = 1;
    o.images_per_prompt = 3;
    o.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 3;
    o.on_image = count_picture;
    o.user = drawn;
    return o;
}

static void expect_measured(const char *what, const unclip_estimate *e, const arenas *a) {
    uint64_t peak = e->text.activation_bytes > e->image.activation_bytes ? e->text.activation_bytes
                                                                         : e->image.activation_bytes;
    cr_expect_eq(e->text.activation_bytes, a->text, "%s: text, %llu measured", what, a->text);
    cr_expect_eq(e->image.activation_bytes, a->image, "%s: image, %llu measured", what, a->image);
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) {
        const unclip_estimate_stage *stage = &e->stage[s];
        cr_expect_eq(stage->activation_bytes, a->stage[s], "%s: %s, %llu measured", what,
                     unclip_stage_name((unclip_stage)s), a->stage[s]);
        cr_expect_eq(stage->flops > 0, a->stage[s] > 0, "%s: %s", what, unclip_stage_name((unclip_stage)s));
        cr_expect_eq(stage->weight_bytes > 0, a->stage[s] > 0, "%s: %s", what, unclip_stage_name((unclip_stage)s));
        if (stage->activation_bytes > peak) peak = stage->activation_bytes;
    }
    cr_expect_eq(e->peak_activation_bytes, peak, "%s", what);
}

Test(tasks_estimate, equals_what_generate_allocates) {
    arenas measured = { 0 };
    size_t drawn = 0;
    unclip_engine *engine = open_noting(TINY_A, &measured);
    unclip_generate_options o = quick(&drawn);
    o.prior_candidates = 2;
    unclip_estimate estimate;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_generate_estimate(engine, &o, &estimate, &err), UNCLIP_OK, "%s", err.message);
    cr_assert(drawn == 0 && measured.text == 0, "an estimate runs nothing");
    cr_assert_eq(unclip_generate(engine, &o, &err), UNCLIP_OK, "%s", err.message);
    expect_measured("generate", &estimate, &measured);
    cr_expect_gt(estimate.stage[UNCLIP_STAGE_PRIOR].flops, 1e6);
    unclip_engine_close(engine);
}

/* ---- every road -------------------------------------------------------------------------------------------------- */

static unclip_invert_options inversion(unclip_estimate *estimate) {
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    o.steps = 4;
    o.estimate = estimate;
    return o;
}

static unclip_pair invert(unclip_engine *engine, const unclip_invert_options *o) {
    unclip_pair pair;
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(PICTURE, &size);
    cr_assert_eq(unclip_invert(engine, png, size, o, &pair, &err), UNCLIP_OK, "%s", err.message);
    free(png);
    return pair;
}

Test(tasks_estimate, equals_what_every_road_allocates) {
    arenas measured = { 0 };
    unclip_engine *engine = open_noting(TINY_A, &measured);
    unclip_estimate inversions;
    unclip_error err = { 0 };
    const unclip_invert_options planned = inversion(&inversions), run = inversion(NULL);
    unclip_pair blank[2] = { invert(engine, &planned), invert(engine, &planned) };
    cr_assert_eq(measured.image, 0, "an estimate runs nothing");
    unclip_pair pairs[2] = { invert(engine, &run), invert(engine, &run) };
    expect_measured("inversion", &inversions, &measured);
    cr_expect_eq(inversions.stage[UNCLIP_STAGE_DECODER].steps, 4);
    cr_expect_str_eq(blank[0].settings_json, pairs[0].settings_json);
    cr_expect(blank[0].dim == pairs[0].dim && blank[0].noise_size == pairs[0].noise_size);
    for (size_t i = 0; i < road_count; i++) {
        size_t drawn = 0;
        unclip_estimate estimate;
        unclip_generate_options base = quick(&drawn);
        if (roads[i].first == UNCLIP_STAGE_DECODER)
            base.stage[UNCLIP_STAGE_DECODER].steps = 0; /* the inversion's, where there is one */
        base.estimate = &estimate;
        measured = (arenas){ 0 };
        cr_assert_eq(roads[i].draw(engine, blank, &base, &err), UNCLIP_OK, "%s: %s", roads[i].name, err.message);
        cr_assert(drawn == 0 && measured.text == 0, "%s: an estimate runs nothing", roads[i].name);
        base.estimate = NULL;
        cr_assert_eq(roads[i].draw(engine, pairs, &base, &err), UNCLIP_OK, "%s: %s", roads[i].name, err.message);
        cr_expect_eq(drawn, roads[i].pictures, "%s: %zu", roads[i].name, drawn);
        expect_measured(roads[i].name, &estimate, &measured);
    }
    for (int i = 0; i < 2; i++) {
        unclip_pair_free(&blank[i]);
        unclip_pair_free(&pairs[i]);
    }
    unclip_engine_close(engine);
}

/* 5 steps more cost what one round more at each of 5 steps costs: a plan of n steps runs n - 1. */
Test(tasks_estimate, counts_the_rounds_of_an_inversion) {
    static const int steps[] = { 6, 11, 6 }, refinements[] = { 0, 0, 1 };
    arenas measured = { 0 };
    unclip_engine *engine = open_noting(TINY_A, &measured);
    double flops[3];
    for (int i = 0; i < 3; i++) {
        unclip_estimate estimate;
        unclip_invert_options o = inversion(&estimate);
        o.steps = steps[i];
        o.refinements = refinements[i];
        unclip_pair pair = invert(engine, &o);
        unclip_pair_free(&pair);
        flops[i] = estimate.stage[UNCLIP_STAGE_DECODER].flops;
    }
    /* time embeddings, made once for all steps, are less than a hundredth */
    cr_expect_float_eq((flops[1] - flops[0]) / (flops[2] - flops[0]), 1, 0.01, "%g, %g, %g", flops[0], flops[1],
                       flops[2]);
    unclip_engine_close(engine);
}

Test(tasks_estimate, an_embedding_alone_costs_the_image_encoder) {
    arenas measured = { 0 };
    unclip_engine *engine = open_noting(TINY_A, &measured);
    unclip_estimate estimate;
    unclip_invert_options o = inversion(&estimate);
    o.embed_only = 1;
    unclip_pair blank = invert(engine, &o);
    o.estimate = NULL;
    unclip_pair pair = invert(engine, &o);
    expect_measured("embedding", &estimate, &measured);
    cr_expect_eq(estimate.peak_activation_bytes, measured.image);
    cr_expect_null(blank.noise);
    unclip_pair_free(&blank);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

Test(tasks_estimate, a_model_without_image_encoder_is_refused) {
    arenas measured = { 0 };
    unclip_engine *engine = open_noting(TINY_C, &measured);
    unclip_estimate estimate;
    unclip_error err = { 0 };
    unclip_pair pair;
    size_t size = 0;
    uint8_t *png = read_file(PICTURE, &size);
    const unclip_invert_options o = inversion(&estimate);
    cr_expect_eq(unclip_invert(engine, png, size, &o, &pair, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect_str_eq(err.message, "this model has no image_encoder");
    free(png);
    unclip_engine_close(engine);
}

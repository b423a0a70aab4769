/* upscale.c - the upsamplers alone: the same picture as the cascade's from the same low-resolution picture, the same
 * bytes in any batch, degradations, and every wrong request refused by name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/engine.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a" /* 16 -> 64 */
#define TINY_B UC_TEST_DATA "/goldens/models/tiny-b" /* 12 -> 48 -> 192 */
#define WIDE UC_TEST_DATA "/goldens/images/wide-rgb.png"

typedef struct collected {
    uint8_t *rgb;
    size_t size;
    int width, calls;
    char settings[4096];
    uint64_t last_seed;
} collected;

static int collect(void *user, const unclip_image *image) {
    collected *c = user;
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    c->rgb = realloc(c->rgb, c->size + bytes);
    memcpy(c->rgb + c->size, image->rgb, bytes);
    c->size += bytes;
    c->width = image->width;
    c->calls++;
    c->last_seed = image->seed;
    snprintf(c->settings, sizeof c->settings, "%s", image->parameters_json);
    return 0;
}

static unclip_upscale_options quick(const char *path) {
    unclip_upscale_options o;
    unclip_upscale_options_init(&o);
    o.png = read_file(path, &o.png_size);
    o.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 3;
    return o;
}

static collected upscale(unclip_engine *engine, unclip_upscale_options *o) {
    collected c = { 0 };
    unclip_error err = { 0 };
    o->on_image = collect;
    o->user = &c;
    cr_assert_eq(unclip_upscale(engine, o, &err), UNCLIP_OK, "%s", err.message);
    return c;
}

static void release(unclip_upscale_options *o) { free((void *)(uintptr_t)o->png); }

static uint8_t *encode(const uint8_t *rgb, int side, size_t *size) {
    const unclip_image image = { .struct_size = sizeof image, .width = side, .height = side, .rgb = rgb };
    uint8_t *png = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_image_encode_png(&image, &png, size, &err), UNCLIP_OK, "%s", err.message);
    return png;
}

/* Noise is keyed by seed and stage, so the decoder's picture, rounded to 8 bits and upscaled with the same seed, is the
 * cascade's up to that rounding. */
Test(tasks_upscale, continues_the_cascade_from_the_decoders_picture) {
    unclip_engine *engine = open_engine(TINY_B);
    const char *prompt = "a red cube";
    unclip_generate_options g;
    unclip_generate_options_init(&g);
    g.prompts = &prompt;
    g.prompt_count = 1;
    g.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) g.stage[s].steps = 3;
    g.size = 12;
    album small = draw_album(engine, &g);
    static const int sizes[] = { 48, 192 };
    for (int i = 0; i < 2; i++) {
        g.size = sizes[i];
        album whole = draw_album(engine, &g);
        unclip_upscale_options o = quick(WIDE);
        release(&o);
        o.png = encode(small.rgb, small.width, &o.png_size);
        o.size = sizes[i];
        collected alone = upscale(engine, &o);
        cr_assert_eq(alone.width, sizes[i]);
        double off = 0;
        for (size_t k = 0; k < whole.size; k++) off += abs((int)alone.rgb[k] - (int)whole.rgb[k]);
        cr_expect_lt(off / (double)whole.size, 1.0, "%d: %.3f levels apart on average", sizes[i],
                     off / (double)whole.size);
        free(alone.rgb);
        free(whole.rgb);
        release(&o);
    }
    free(small.rgb);
    unclip_engine_close(engine);
}

/* 120 x 80 pixels: its square has 80, more than half of 48. */
Test(tasks_upscale, begins_where_the_picture_or_from_says) {
    static const struct { int size, from; const char *begins; } cases[] = {
        { 0, 0, "\"from\":48" }, { 192, 0, "\"from\":48" }, { 48, 0, "\"from\":12" }, { 192, 12, "\"from\":12" } };
    unclip_engine *engine = open_engine(TINY_B);
    unclip_upscale_options o = quick(WIDE);
    uint8_t *before = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o.size = cases[i].size;
        o.from = cases[i].from;
        collected c = upscale(engine, &o);
        cr_expect_eq(c.width, cases[i].size ? cases[i].size : 192);
        cr_expect(strstr(c.settings, cases[i].begins), "case %zu: %s", i, c.settings);
        cr_expect(strstr(c.settings, "\"task\":\"upscale\""), "%s", c.settings);
        if (i == 1) cr_expect_arr_eq(before, c.rgb, c.size, "0 is the largest size");
        free(before);
        before = c.rgb;
    }
    free(before);
    release(&o);
    unclip_engine_close(engine);
}

Test(tasks_upscale, batches_and_neighbours_do_not_change_a_picture) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_upscale_options o = quick(WIDE);
    o.images = 3;
    collected all = upscale(engine, &o);
    cr_assert_eq(all.calls, 3);
    cr_assert_eq(all.last_seed, 7);
    o.batch_size = 2;
    collected pairs = upscale(engine, &o);
    cr_expect_arr_eq(all.rgb, pairs.rgb, all.size);
    o.images = 1;
    o.seed = 7;
    collected alone = upscale(engine, &o);
    cr_expect_arr_eq(all.rgb + 2 * alone.size, alone.rgb, alone.size);
    cr_expect_neq(memcmp(all.rgb, alone.rgb, alone.size), 0, "another seed draws another picture");
    free(all.rgb);
    free(pairs.rgb);
    free(alone.rgb);
    release(&o);
    unclip_engine_close(engine);
}

Test(tasks_upscale, degradations_change_the_picture_and_bsr_follows_its_seed) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_upscale_options o = quick(WIDE);
    static const struct { unclip_degrade kind; uint64_t seed; } cases[] = {
        { UNCLIP_DEGRADE_NONE, 1 }, { UNCLIP_DEGRADE_BLUR, 1 }, { UNCLIP_DEGRADE_BSR, 1 }, { UNCLIP_DEGRADE_BSR, 2 },
        { UNCLIP_DEGRADE_BSR, 2 } };
    collected c[5];
    for (int i = 0; i < 5; i++) {
        o.degrade = cases[i].kind;
        o.degrade_seed = cases[i].seed;
        c[i] = upscale(engine, &o);
        if (i && i < 4) cr_expect_neq(memcmp(c[i].rgb, c[i - 1].rgb, c[i].size), 0, "cases %d and %d", i - 1, i);
    }
    cr_expect_arr_eq(c[4].rgb, c[3].rgb, c[4].size);
    cr_expect(strstr(c[3].settings, "\"degrade\":\"bsr\"") && strstr(c[3].settings, "\"degrade_seed\":\"2\""), "%s",
              c[3].settings);
    for (int i = 0; i < 5; i++) free(c[i].rgb);
    release(&o);
    unclip_engine_close(engine);
}

typedef struct refusal {
    const char *text;
    unclip_status status;
    void (*spoil)(unclip_upscale_options *o);
} refusal;

static void no_stamp(unclip_upscale_options *o) { o->struct_size = 1; }
static void no_png(unclip_upscale_options *o) { o->png = NULL; }
static void cut_png(unclip_upscale_options *o) { o->png_size /= 2; }
static void no_images(unclip_upscale_options *o) { o->images = 0; }
static void odd_size(unclip_upscale_options *o) { o->size = 100; }
static void small_size(unclip_upscale_options *o) { o->size = 12; }
static void odd_from(unclip_upscale_options *o) { o->from = 100; }
static void from_its_size(unclip_upscale_options *o) { o->size = o->from = 48; }
static void odd_degradation(unclip_upscale_options *o) { o->degrade = (unclip_degrade)7; }
static void odd_batch(unclip_upscale_options *o) { o->batch_size = 100000; }
static void odd_steps(unclip_upscale_options *o) { o->stage[UNCLIP_STAGE_SR1024].steps = -1; }

Test(tasks_upscale, wrong_requests_are_refused_by_name) {
    static const refusal cases[] = {
        { "upscale_options_init", UNCLIP_ERR_ARGUMENT, no_stamp }, { "no picture", UNCLIP_ERR_ARGUMENT, no_png },
        { "ends early", UNCLIP_ERR_IMAGE, cut_png },               { "images is 0", UNCLIP_ERR_ARGUMENT, no_images },
        { "size is 100", UNCLIP_ERR_ARGUMENT, odd_size },          { "size is 12", UNCLIP_ERR_ARGUMENT, small_size },
        { "from is 100", UNCLIP_ERR_ARGUMENT, odd_from },          { "size is 48", UNCLIP_ERR_ARGUMENT, from_its_size },
        { "degradation 7", UNCLIP_ERR_ARGUMENT, odd_degradation }, { "batch size", UNCLIP_ERR_ARGUMENT, odd_batch },
        { "steps is -1", UNCLIP_ERR_ARGUMENT, odd_steps },
    };
    unclip_engine *engine = open_engine(TINY_B);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unclip_upscale_options o = quick(WIDE), spoilt = o;
        unclip_error err = { 0 };
        cases[i].spoil(&spoilt);
        cr_expect_eq(unclip_upscale(engine, &spoilt, &err), cases[i].status, "case %zu: %s", i, err.message);
        cr_expect(strstr(err.message, cases[i].text), "case %zu, \"%s\": %s", i, cases[i].text, err.message);
        release(&o);
    }
    unclip_error err = { 0 };
    cr_expect_eq(unclip_upscale(NULL, NULL, &err), UNCLIP_ERR_ARGUMENT);
    unclip_upscale_options o = quick(WIDE);
    engine->loaded->model.sr1024_params = NULL;
    o.size = 192;
    cr_expect_eq(unclip_upscale(engine, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "this model draws 48"), "%s", err.message);
    engine->loaded->model.sr256_params = NULL;
    cr_expect_eq(unclip_upscale(engine, &o, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "cannot upscale: it has no super_res_first"), "%s", err.message);
    release(&o);
    unclip_engine_close(engine);
}

static int stop_at_once(void *user, const unclip_progress *p) {
    *(int *)user += 1;
    cr_expect_eq(p->stage, UNCLIP_STAGE_SR256);
    return 1;
}

Test(tasks_upscale, cancelling) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_upscale_options o = quick(WIDE);
    unclip_error err = { 0 };
    int calls = 0;
    o.on_progress = stop_at_once;
    o.user = &calls;
    cr_expect_eq(unclip_upscale(engine, &o, &err), UNCLIP_ERR_CANCELLED);
    cr_expect_eq(calls, 1);
    release(&o);
    unclip_engine_close(engine);
}

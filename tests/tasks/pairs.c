/* pairs.c - pictures from pictures through the public library: what is promised of a pair, its file, variations,
 * paths, text diffs and probes, and a defined answer to everything odd. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/sampling/noise.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"
#define TINY_C UC_TEST_DATA "/goldens/models/tiny-c"
#define PICTURES UC_TEST_DATA "/goldens/images/"

static const char *const CAPTION[] = { "a red cube" };

static unclip_generate_options quick(void) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.seed = 5;
    for (int s = UNCLIP_STAGE_SR256; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 2;
    return o;
}

static unclip_invert_options few_steps(void) {
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    o.steps = 6;
    o.refinements = 0;
    return o;
}

static unclip_pair inverted(unclip_engine *engine, const char *name, const unclip_invert_options *options) {
    char path[512];
    size_t size = 0;
    unclip_pair pair;
    unclip_error err = { 0 };
    snprintf(path, sizeof path, PICTURES "%s.png", name);
    uint8_t *png = read_file(path, &size);
    cr_assert_eq(unclip_invert(engine, png, size, options, &pair, &err), UNCLIP_OK, "%s", err.message);
    free(png);
    return pair;
}

static unclip_pair pair_of(unclip_engine *engine, const char *name) {
    const unclip_invert_options o = few_steps();
    return inverted(engine, name, &o);
}

/* ---- collecting pictures ----------------------------------------------------------------------------------------- */

typedef struct frames {
    uint8_t *rgb;
    size_t size, count, bytes; /* bytes: of one */
    double theta[16], cosine[16];
    int components[16];
    uint64_t seed[16];
    char settings[4096]; /* of the last */
} frames;

static int keep_frame(void *user, const unclip_image *image) {
    frames *f = user;
    f->bytes = (size_t)image->width * (size_t)image->height * 3;
    f->rgb = realloc(f->rgb, f->size + f->bytes);
    memcpy(f->rgb + f->size, image->rgb, f->bytes);
    f->size += f->bytes;
    cr_assert_lt(f->count, 16);
    f->theta[f->count] = image->theta;
    f->cosine[f->count] = image->cosine;
    f->components[f->count] = image->components;
    f->seed[f->count++] = image->seed;
    snprintf(f->settings, sizeof f->settings, "%s", image->parameters_json);
    return 0;
}

static unclip_generate_options into(frames *f, unclip_generate_options o) {
    *f = (frames){ 0 };
    o.on_image = keep_frame;
    o.user = f;
    return o;
}

static frames vary(unclip_engine *engine, const unclip_pair *pair, unclip_generate_options base, int from_noise) {
    frames f;
    unclip_error err = { 0 };
    unclip_vary_options o;
    unclip_vary_options_init(&o);
    o.from_noise = from_noise;
    base = into(&f, base);
    cr_assert_eq(unclip_vary(engine, pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    return f;
}

static frames interpolate(unclip_engine *engine, const unclip_pair *pairs, size_t count, unclip_generate_options base,
                          int number, int fixed_noise) {
    frames f;
    unclip_error err = { 0 };
    unclip_interpolate_options o;
    unclip_interpolate_options_init(&o);
    o.frames = number;
    o.fixed_noise = fixed_noise;
    base = into(&f, base);
    cr_assert_eq(unclip_interpolate(engine, pairs, count, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    return f;
}

static bool same_frame(const frames *a, size_t i, const frames *b, size_t j) {
    return a->bytes == b->bytes && !memcmp(a->rgb + i * a->bytes, b->rgb + j * b->bytes, a->bytes);
}

/* ---- inversion --------------------------------------------------------------------------------------------------- */

Test(tasks_pairs, a_picture_becomes_a_pair) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_pair pair = pair_of(engine, "exact-rgb");
    unclip_embedding e;
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(PICTURES "exact-rgb.png", &size);
    cr_assert_eq(unclip_embed_image(engine, png, size, &e, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(pair.dim, e.dim);
    cr_assert_arr_eq(pair.embedding, e.values, e.dim * sizeof *e.values, "z_i is the image encoder's");
    cr_assert_eq(pair.noise_size, 16);
    for (size_t i = 0; i < 3 * 16 * 16; i++) cr_assert(isfinite(pair.noise[i]));
    cr_expect(strstr(pair.settings_json, "\"steps\":6"), "%s", pair.settings_json);
    unclip_embedding_free(&e);
    unclip_pair_free(&pair);
    free(png);
    unclip_engine_close(engine);
}

static double distance(const uint8_t *a, const uint8_t *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum / (double)count);
}

/* How far a picture of the decoder's own size is from its reconstruction, in levels of 255. */
static double reconstruction_error(unclip_engine *engine, int steps, int refinements) {
    uint8_t rgb[16 * 16 * 3], *png = NULL;
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(128 + 60 * sin((double)i / 40));
    const unclip_image image = { .struct_size = sizeof image, .width = 16, .height = 16, .rgb = rgb };
    size_t size = 0;
    unclip_pair pair;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_image_encode_png(&image, &png, &size, &err), UNCLIP_OK, "%s", err.message);
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    o.steps = steps;
    o.refinements = refinements;
    cr_assert_eq(unclip_invert(engine, png, size, &o, &pair, &err), UNCLIP_OK, "%s", err.message);
    unclip_generate_options base = quick();
    base.size = 16;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    frames f = vary(engine, &pair, base, 0);
    const double off = distance(f.rgb, rgb, sizeof rgb);
    free(f.rgb);
    unclip_pair_free(&pair);
    unclip_free(png);
    return off;
}

/* Of eight such pictures, shifted, 50 steps lose 9.4 to 11.4 levels, with 11 refinements 5.3 to 7.5. With 6, before the
 * iteration has settled, it is 5 to 10: there roundings decide. */
Test(tasks_pairs, inversion_and_ddim_reconstruct) {
    unclip_engine *engine = open_engine(TINY_A);
    const double plain = reconstruction_error(engine, 50, 0), refined = reconstruction_error(engine, 50, 11);
    cr_expect_lt(plain, 25, "plain: %g of 255", plain);
    cr_expect_lt(refined, 9, "refined: %g of 255", refined);
    cr_expect_lt(refined, 0.8 * plain, "plain %g, refined %g of 255", plain, refined);
    unclip_engine_close(engine);
}

/* With few steps the iteration does not contract; it must not carry the sample away. */
Test(tasks_pairs, refinement_of_few_steps_does_no_harm) {
    unclip_engine *engine = open_engine(TINY_A);
    const double plain = reconstruction_error(engine, 6, 0), refined = reconstruction_error(engine, 6, 12);
    cr_expect_lt(refined, 1.25 * plain, "plain %g, refined %g of 255", plain, refined);
    unclip_engine_close(engine);
}

static int stop_at_third(void *user, const unclip_progress *p) {
    int *calls = user;
    cr_expect_eq(p->stage, UNCLIP_STAGE_DECODER);
    return ++*calls == 3;
}

Test(tasks_pairs, inversion_reports_and_stops) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_invert_options o = few_steps();
    int calls = 0;
    o.on_progress = stop_at_third;
    o.user = &calls;
    size_t size = 0;
    uint8_t *png = read_file(PICTURES "exact-rgb.png", &size);
    unclip_pair pair;
    unclip_error err = { 0 };
    cr_expect_eq(unclip_invert(engine, png, size, &o, &pair, &err), UNCLIP_ERR_CANCELLED, "%s", err.message);
    cr_expect_eq(calls, 3);
    cr_expect_null(pair.embedding);
    free(png);
    unclip_engine_close(engine);
}

/* ---- pictures that are odd --------------------------------------------------------------------------------------- */

static unclip_status invert_size(unclip_engine *engine, int width, int height, size_t cut, unclip_error *err) {
    uint8_t *rgb = calloc((size_t)width * (size_t)height, 3), *png = NULL;
    const unclip_image image = { .struct_size = sizeof image, .width = width, .height = height, .rgb = rgb };
    size_t size = 0;
    cr_assert_eq(unclip_image_encode_png(&image, &png, &size, err), UNCLIP_OK, "%s", err->message);
    unclip_invert_options o = few_steps();
    o.steps = 2;
    unclip_pair pair;
    const unclip_status status = unclip_invert(engine, png, size - cut, &o, &pair, err);
    unclip_pair_free(&pair);
    unclip_free(png);
    free(rgb);
    return status;
}

Test(tasks_pairs, one_pixel_and_a_line_are_pictures_a_truncated_file_is_none) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_error err = { 0 };
    cr_expect_eq(invert_size(engine, 1, 1, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(invert_size(engine, 4096, 1, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(invert_size(engine, 1, 4096, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(invert_size(engine, 40, 40, 30, &err), UNCLIP_ERR_IMAGE);
    cr_expect(strstr(err.message, "the file ends early"), "%s", err.message);
    unclip_engine_close(engine);
}

Test(tasks_pairs, alpha_is_composed_on_white) {
    unclip_engine *engine = open_engine(TINY_A);
    int width = 0, height = 0;
    uint8_t *rgb = read_png_file(PICTURES "square-rgba.png", &width, &height), *png = NULL;
    const unclip_image image = { .struct_size = sizeof image, .width = width, .height = height, .rgb = rgb };
    size_t size = 0;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_image_encode_png(&image, &png, &size, &err), UNCLIP_OK, "%s", err.message);
    const unclip_invert_options o = few_steps();
    unclip_pair composed, pair = pair_of(engine, "square-rgba");
    cr_assert_eq(unclip_invert(engine, png, size, &o, &composed, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_arr_eq(pair.embedding, composed.embedding, pair.dim * sizeof(float));
    cr_expect_arr_eq(pair.noise, composed.noise, 3 * 16 * 16 * sizeof(float));
    unclip_pair_free(&composed);
    unclip_pair_free(&pair);
    unclip_free(png);
    free(rgb);
    unclip_engine_close(engine);
}

Test(tasks_pairs, a_model_without_image_encoder_says_so) {
    unclip_engine *engine = open_engine(TINY_C);
    unclip_error err = { 0 };
    cr_expect_eq(invert_size(engine, 8, 8, 0, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect_str_eq(err.message, "this model has no image_encoder");
    unclip_engine_close(engine);
}

Test(tasks_pairs, wrong_inversions_are_named) {
    unclip_engine *engine = open_engine(TINY_A);
    static const struct { int steps, refinements; float guidance; const char *message; } wrong[] = {
        { 1, 0, 1, "steps of the inversion is 1, expected 2 to 1000" },
        { 1001, 0, 1, "steps of the inversion is 1001, expected 2 to 1000" },
        { 5, 101, 1, "refinements is 101, expected 0 to 100" },
        { 5, -1, 1, "refinements is -1, expected 0 to 100" },
        { 5, 0, -1, "guidance of the inversion is -1, expected 0 to 1000" },
    };
    const uint8_t png[] = { 0 };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        unclip_invert_options o;
        unclip_invert_options_init(&o);
        o.steps = wrong[i].steps;
        o.refinements = wrong[i].refinements;
        o.guidance = wrong[i].guidance;
        unclip_pair pair;
        unclip_error err = { 0 };
        cr_expect_eq(unclip_invert(engine, png, 1, &o, &pair, &err), UNCLIP_ERR_ARGUMENT);
        cr_expect_str_eq(err.message, wrong[i].message);
    }
    unclip_engine_close(engine);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

Test(tasks_pairs, a_pair_survives_its_file) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_pair pair = pair_of(engine, "exact-rgb"), again;
    unclip_error err = { 0 };
    char path[] = "/tmp/unclip-pair-XXXXXX";
    close(mkstemp(path));
    cr_assert_eq(unclip_pair_save(&pair, path, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(unclip_pair_load(&again, path, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(again.dim, pair.dim);
    cr_assert_eq(again.noise_size, pair.noise_size);
    cr_assert_arr_eq(again.embedding, pair.embedding, pair.dim * sizeof(float));
    cr_assert_arr_eq(again.noise, pair.noise, 3 * 16 * 16 * sizeof(float));
    cr_assert_str_eq(again.settings_json, pair.settings_json);
    unclip_pair_free(&again);

    pair.noise[7] = NAN;
    cr_assert_eq(unclip_pair_save(&pair, path, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(unclip_pair_load(&again, path, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect(strstr(err.message, "tensor x_T: element 7 is not a finite number"), "%s", err.message);
    cr_expect_eq(truncate(path, 100), 0);
    cr_expect_eq(unclip_pair_load(&again, path, &err), UNCLIP_ERR_MODEL_DATA, "%s", err.message);
    unlink(path);
    cr_expect_eq(unclip_pair_load(&again, path, &err), UNCLIP_ERR_MODEL_MISSING, "%s", err.message);
    cr_expect_eq(unclip_pair_load(&again, UC_TEST_DATA "/goldens/tiny-a/text.safetensors", &err),
                 UNCLIP_ERR_MODEL_DATA);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

Test(tasks_pairs, pairs_that_do_not_fit_are_named) {
    unclip_engine *engine = open_engine(TINY_A);
    float numbers[3 * 8 * 8] = { 1 };
    unclip_pair pair = { .struct_size = sizeof pair, .embedding = numbers, .dim = 7 };
    unclip_generate_options base = quick();
    unclip_vary_options o;
    unclip_vary_options_init(&o);
    unclip_error err = { 0 };
    cr_expect_eq(unclip_vary(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the pair's embedding has 7 numbers, this model's have 32");
    pair.dim = 32;
    cr_expect_eq(unclip_vary(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the pair has no noise x_T: it was made from the embedding alone");
    pair.noise = numbers;
    pair.noise_size = 8;
    cr_expect_eq(unclip_vary(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the pair's noise is of 8 pixels a side, this model's of 16");
    o.struct_size = 1;
    cr_expect_eq(unclip_vary(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "vary options were not filled by unclip_vary_options_init");
    unclip_engine_close(engine);
}

static void note_warning(void *user, unclip_log_level level, const char *message) {
    if (level == UNCLIP_LOG_WARNING) snprintf(user, 256, "%s", message);
}

Test(tasks_pairs, a_pair_of_another_model_is_drawn_with_a_warning) {
    char warning[256] = "";
    unclip_engine *engine = NULL;
    unclip_engine_options options;
    unclip_error err = { 0 };
    unclip_engine_options_init(&options);
    options.model_dir = TINY_A;
    options.on_log = note_warning;
    options.log_user = warning;
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    unclip_pair pair = pair_of(engine, "exact-rgb");
    unclip_generate_options base = quick();
    base.size = 16;
    free(vary(engine, &pair, base, 0).rgb);
    cr_expect_str_eq(warning, "", "the model's own pair is warned of");
    free(pair.settings_json);
    pair.settings_json = strdup("{\"model\": \"other\", \"model_hash\": \"0123456789abcdef\", \"steps\": 3}");
    free(vary(engine, &pair, base, 0).rgb);
    cr_expect_str_eq(warning, "the pair was made by another model (other)");
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

/* ---- variations -------------------------------------------------------------------------------------------------- */

Test(tasks_pairs, variations_differ_and_eta_0_reconstructs_whatever_the_seed) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_pair pair = pair_of(engine, "exact-rgb");
    unclip_generate_options base = quick();
    base.size = 16;
    base.images_per_prompt = 3;
    base.batch_size = 2;
    frames noisy = vary(engine, &pair, base, 0);
    cr_expect_eq(noisy.count, 3);
    cr_expect_eq(noisy.seed[2], 7);
    cr_expect(!same_frame(&noisy, 0, &noisy, 1) && !same_frame(&noisy, 1, &noisy, 2));
    cr_expect(strstr(noisy.settings, "\"task\":\"vary\"") && strstr(noisy.settings, "\"steps\":6"), "%s",
              noisy.settings);
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    frames exact = vary(engine, &pair, base, 0);
    cr_expect(same_frame(&exact, 0, &exact, 1) && same_frame(&exact, 0, &exact, 2));
    frames fresh = vary(engine, &pair, base, 1);
    cr_expect(!same_frame(&fresh, 0, &fresh, 1), "from noise every picture is another");
    base.images_per_prompt = 1;
    base.prompts = CAPTION;
    base.prompt_count = 1;
    frames captioned = vary(engine, &pair, base, 0);
    cr_expect(!same_frame(&captioned, 0, &exact, 0), "the decoder's caption does nothing");
    free(noisy.rgb);
    free(exact.rgb);
    free(fresh.rgb);
    free(captioned.rgb);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

/* ---- interpolations ---------------------------------------------------------------------------------------------- */

static void ends_are_reconstructions(unclip_rng rng, size_t batch) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_pair pairs[] = { pair_of(engine, "exact-rgb"), pair_of(engine, "tall-rgb"), pair_of(engine, "exact-rgb") };
    unclip_generate_options base = quick();
    base.rng = rng;
    base.batch_size = batch;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    frames path = interpolate(engine, pairs, 3, base, 5, 0);
    frames first = vary(engine, &pairs[0], base, 0), second = vary(engine, &pairs[1], base, 0);
    cr_expect_eq(path.count, 5);
    cr_expect(same_frame(&path, 0, &first, 0), "the first frame is not the reconstruction");
    cr_expect(same_frame(&path, 2, &second, 0), "the middle frame is not the reconstruction");
    cr_expect(same_frame(&path, 4, &first, 0), "the last frame is not the reconstruction");
    cr_expect(!same_frame(&path, 1, &path, 0) && !same_frame(&path, 1, &path, 2));
    for (size_t i = 0; i < 5; i++) {
        cr_expect_float_eq(path.theta[i], 0.5 * (double)i, 1e-12);
        cr_expect_eq(path.seed[i], 5);
    }
    cr_expect_float_eq(path.cosine[0], 1, 1e-12);
    cr_expect_lt(path.cosine[2], path.cosine[1]);
    free(path.rgb);
    free(first.rgb);
    free(second.rgb);
    for (int i = 0; i < 3; i++) unclip_pair_free(&pairs[i]);
    unclip_engine_close(engine);
}

Test(tasks_pairs, ends_of_a_path_are_reconstructions) { ends_are_reconstructions(UNCLIP_RNG_PHILOX, 0); }
Test(tasks_pairs, ends_of_a_path_are_reconstructions_with_torch_noise) {
    ends_are_reconstructions(UNCLIP_RNG_TORCH_CPU, 2);
}

Test(tasks_pairs, fixed_noise_needs_none_of_the_pairs) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_invert_options o = few_steps();
    o.embed_only = 1;
    unclip_pair pairs[] = { inverted(engine, "exact-rgb", &o), inverted(engine, "tall-rgb", &o) };
    cr_expect_null(pairs[0].noise);
    unclip_generate_options base = quick();
    base.size = 16;
    base.stage[UNCLIP_STAGE_DECODER].steps = 4;
    frames path = interpolate(engine, pairs, 2, base, 3, 1), one = interpolate(engine, pairs, 2, base, 1, 1);
    cr_expect_eq(one.count, 1);
    cr_expect(same_frame(&one, 0, &path, 0), "one frame is the first");
    cr_expect(!same_frame(&path, 0, &path, 2));
    free(path.rgb);
    free(one.rgb);
    unclip_interpolate_options i;
    unclip_interpolate_options_init(&i);
    unclip_error err = { 0 };
    cr_expect_eq(unclip_interpolate(engine, pairs, 1, &base, &i, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "an interpolation goes through 2 to 1000 pairs, not 1");
    i.frames = 0;
    cr_expect_eq(unclip_interpolate(engine, pairs, 2, &base, &i, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "frames is 0, expected 1 to 100000");
    for (int k = 0; k < 2; k++) unclip_pair_free(&pairs[k]);
    unclip_engine_close(engine);
}

/* ---- text diffs -------------------------------------------------------------------------------------------------- */

Test(tasks_pairs, text_diffs_begin_at_the_reconstruction) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_pair pair = pair_of(engine, "exact-rgb");
    unclip_generate_options base = quick();
    base.size = 16;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    base.stage[UNCLIP_STAGE_DECODER].guidance = 1;
    frames exact = vary(engine, &pair, base, 0), f;
    unclip_text_diff_options o;
    unclip_text_diff_options_init(&o);
    unclip_error err = { 0 };
    o.from = "a red cube";
    o.to = "a blue cube";
    o.frames = 3;
    o.theta_max = 0.4;
    base = into(&f, base);
    cr_assert_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(f.count, 3);
    cr_expect(same_frame(&f, 0, &exact, 0), "theta 0 is not the reconstruction");
    cr_expect(!same_frame(&f, 1, &f, 0) && !same_frame(&f, 2, &f, 1));
    cr_expect_float_eq(f.theta[1], 0.2, 1e-12);
    cr_expect(f.cosine[0] > f.cosine[1] && f.cosine[1] > f.cosine[2]);
    free(f.rgb);
    o.frames = 1;
    o.theta_max = 0;
    base = into(&f, base);
    cr_assert_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(f.count == 1 && same_frame(&f, 0, &exact, 0), "one frame at theta 0 is the reconstruction");
    free(f.rgb);
    base.stage[UNCLIP_STAGE_DECODER].guidance = -1;
    base = into(&f, base);
    cr_assert_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(!same_frame(&f, 0, &exact, 0), "the model's guidance does nothing");
    free(f.rgb);
    o.from = NULL;
    o.theta_max = 1;
    base = into(&f, base);
    cr_assert_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    unclip_embedding to;
    cr_assert_eq(unclip_embed_text(engine, o.to, &to, &err), UNCLIP_OK);
    double dot = 0, a = 0, b = 0;
    for (size_t i = 0; i < to.dim; i++) {
        dot += (double)to.values[i] * (double)pair.embedding[i];
        a += (double)to.values[i] * (double)to.values[i];
        b += (double)pair.embedding[i] * (double)pair.embedding[i];
    }
    cr_expect_float_eq(f.cosine[0], dot / sqrt(a * b), 1e-6, "without --from the path ends at the text itself");
    free(f.rgb);
    o.from = o.to;
    cr_expect_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "\"from\" and \"to\" mean the same to this model: no direction");
    o.from = NULL;
    o.theta_max = 1.5;
    cr_expect_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "theta_max is 1.5, expected 0 to 1");
    o.to = NULL;
    cr_expect_eq(unclip_text_diff(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "no text was given to go to");
    unclip_embedding_free(&to);
    free(exact.rgb);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

Test(tasks_pairs, probes_with_all_components_draw_the_embedding) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_invert_options i = few_steps();
    i.embed_only = 1;
    unclip_pair pair = inverted(engine, "exact-rgb", &i);
    float rows[40 * 32];
    uc_philox_fill(rows, 40 * 32, 3, 0, 0);
    char path[] = "/tmp/unclip-pca-XXXXXX";
    close(mkstemp(path));
    unclip_error err = { 0 };
    cr_assert_eq(unclip_pca_fit(rows, 40, 32, 0, path, &err), UNCLIP_OK, "%s", err.message);
    unclip_generate_options base = quick();
    base.size = 16;
    base.stage[UNCLIP_STAGE_DECODER].steps = 4;
    base.stage[UNCLIP_STAGE_DECODER].sampler = UNCLIP_SAMPLER_DDIM;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    frames whole = vary(engine, &pair, base, 1), f;
    const int components[] = { 0, 5, 32 };
    unclip_probe_options o;
    unclip_probe_options_init(&o);
    o.components = components;
    o.component_count = 3;
    o.pca_file = path;
    unclip_generate_options mine = into(&f, base);
    cr_assert_eq(unclip_probe(engine, &pair, &mine, &o, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(f.count, 3);
    cr_expect_eq(f.components[1], 5);
    cr_expect(f.cosine[0] < f.cosine[1] && f.cosine[1] < f.cosine[2]);
    cr_expect_float_eq(f.cosine[2], 1, 1e-6);
    cr_expect_lt(distance(f.rgb + 2 * f.bytes, whole.rgb, f.bytes), 1, "all components are not the whole embedding");
    cr_expect_gt(distance(f.rgb, whole.rgb, f.bytes), 1);
    free(f.rgb);
    o.components = NULL; /* the paper's 20 ... 320 of 1024 are 1, 1, 1, 3, 4, 5, 6, 10 of 32 */
    mine = into(&f, base);
    cr_assert_eq(unclip_probe(engine, &pair, &mine, &o, &err), UNCLIP_OK, "%s", err.message);
    static const int scaled[] = { 1, 3, 4, 5, 6, 10 };
    cr_expect_eq(f.count, 6);
    for (size_t k = 0; k < 6; k++) cr_expect_eq(f.components[k], scaled[k]);
    free(f.rgb);
    const int too_many[] = { 33 };
    o.components = too_many;
    o.component_count = 1;
    cr_expect_eq(unclip_probe(engine, &pair, &base, &o, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "33 components were asked for, the basis has 32");
    o.pca_file = UC_TEST_DATA "/goldens/tiny-a/text.safetensors";
    cr_expect_eq(unclip_probe(engine, &pair, &base, &o, &err), UNCLIP_ERR_MODEL_DATA, "%s", err.message);
    unlink(path);
    free(whole.rgb);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

Test(tasks_pairs, a_model_without_principal_components_says_so) {
    unclip_engine *engine = open_engine(TINY_C);
    float numbers[16] = { 1 };
    const unclip_pair pair = { .struct_size = sizeof pair, .embedding = numbers, .dim = 16 };
    const unclip_generate_options base = quick();
    unclip_probe_options o;
    unclip_probe_options_init(&o);
    unclip_error err = { 0 };
    cr_expect_eq(unclip_probe(engine, &pair, &base, &o, &err), UNCLIP_ERR_UNSUPPORTED, "%s", err.message);
    cr_expect(strstr(err.message, "no principal components"), "%s", err.message);
    unclip_engine_close(engine);
}

/* solids.c - the model that ships against diffusers, at the defaults of its unclip.json: tokens, stages, the 256-pixel
 * picture and the 1024-pixel one (a crop in full, the whole averaged by eight). And the third stage of tiny-b. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image/png_read.h"
#include "support/golden.h"
#include "support/pictures.h"

enum { CROP = 448, CROP_SIZE = 128, FACTOR = 8 };

static const struct { const char *name, *prompt; } prompts[] = {
    { "cube-on-sphere", "a red cube on top of a blue sphere" },
    { "cone", "a small shiny green cone on grass" },
    { "empty", "" },
    { "sunset", "a white cube on top of a black sphere at sunset" },
};

static unclip_engine *open_shipped(void) { return open_engine(UC_SOURCE_DIR "/weights/solids"); }

/* As the settings of the goldens: PyTorch's numbers, seed from cases.json's order of prompts. */
static album draw(unclip_engine *engine, const char *prompt, uint64_t seed, int size) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = &prompt;
    o.prompt_count = 1;
    o.seed = seed;
    o.rng = UNCLIP_RNG_TORCH_CPU;
    o.size = size;
    return draw_album(engine, &o);
}

static void expect_png(const char *what, const uint8_t *got, int size, const char *path) {
    char full[512];
    snprintf(full, sizeof full, "%s/goldens/%s", UC_TEST_DATA, path);
    int width = 0, height = 0;
    uint8_t *want = read_png_file(full, &width, &height);
    cr_assert(width == size && height == size, "%s: %d x %d", full, width, height);
    expect_same_bytes(what, got, want, (int64_t)size * size * 3);
    free(want);
}

static void expect_large(const char *name, const uint8_t *rgb) {
    char what[128], path[128];
    uint8_t *crop = malloc(CROP_SIZE * CROP_SIZE * 3);
    for (int y = 0; y < CROP_SIZE; y++) memcpy(crop + y * CROP_SIZE * 3, rgb + ((CROP + y) * 1024 + CROP) * 3,
                                               CROP_SIZE * 3);
    snprintf(what, sizeof what, "%s, crop of 1024", name);
    snprintf(path, sizeof path, "solids/%s-1024-crop.png", name);
    expect_png(what, crop, CROP_SIZE, path);
    enum { SIDE = 1024 / FACTOR };
    uint8_t *small = malloc(SIDE * SIDE * 3);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++) {
                int sum = 0;
                for (int k = 0; k < FACTOR * FACTOR; k++)
                    sum += rgb[((y * FACTOR + k / FACTOR) * 1024 + x * FACTOR + k % FACTOR) * 3 + c];
                small[(y * SIDE + x) * 3 + c] = (uint8_t)nearbyint((double)sum / (FACTOR * FACTOR));
            }
    snprintf(what, sizeof what, "%s, 1024 averaged", name);
    snprintf(path, sizeof path, "solids/%s-1024-by-8.png", name);
    expect_png(what, small, SIDE, path);
    free(crop);
    free(small);
}

static void one_prompt(int i) {
    unclip_engine *engine = open_shipped();
    char what[128], path[128];
    const uint64_t seed = golden_seed("solids", prompts[i].name);
    album a = draw(engine, prompts[i].prompt, seed, 256);
    snprintf(what, sizeof what, "%s at 256", prompts[i].name);
    snprintf(path, sizeof path, "solids/%s-256.png", prompts[i].name);
    expect_png(what, a.rgb, 256, path);
    free(a.rgb);
    a = draw(engine, prompts[i].prompt, seed, 1024);
    expect_large(prompts[i].name, a.rgb);
    free(a.rgb);
    unclip_engine_close(engine);
}

Test(parity_solids, cube_on_sphere) { one_prompt(0); }
Test(parity_solids, cone) { one_prompt(1); }
Test(parity_solids, empty_prompt) { one_prompt(2); }
Test(parity_solids, sunset) { one_prompt(3); }

Test(parity_solids, text_embeddings) {
    unclip_engine *engine = open_shipped();
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        golden_file g = golden_open("solids/%s.safetensors", prompts[i].name);
        const uc_param *both = golden_get(&g, "text_embeds"), *ids = golden_get(&g, "input_ids");
        uc_param row = *both; /* the conditional one */
        row.dim[0] = 1;
        row.data = (const float *)both->data + both->dim[1];
        unclip_embedding e;
        unclip_error err = { 0 };
        cr_assert_eq(unclip_embed_text(engine, prompts[i].prompt, &e, &err), UNCLIP_OK, "%s", err.message);
        golden_expect_close(prompts[i].name, e.values, &row, 1e-5);
        for (size_t t = 0; t < e.token_count; t++)
            cr_expect_eq(e.tokens[t], (int32_t)uc_get(ids->data, ids->dtype, (int64_t)t));
        unclip_embedding_free(&e);
        golden_close(&g);
    }
    unclip_engine_close(engine);
}

/* Pictures without transparency: diffusers drops alpha, this engine composes on white. */
Test(parity_solids, image_embeddings) {
    static const char *const names[] = { "exact-rgb", "palette", "small-grey", "tall-rgb", "wide-rgb" };
    unclip_engine *engine = open_shipped();
    golden_file g = golden_open("solids/images.safetensors");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512], tensor[128];
        snprintf(path, sizeof path, "%s/goldens/images/%s.png", UC_TEST_DATA, names[i]);
        snprintf(tensor, sizeof tensor, "%s.image_embeds", names[i]);
        size_t size = 0;
        uint8_t *png = read_file(path, &size);
        unclip_embedding e;
        unclip_error err = { 0 };
        cr_assert_eq(unclip_embed_image(engine, png, size, &e, &err), UNCLIP_OK, "%s", err.message);
        golden_expect_close(names[i], e.values, golden_get(&g, tensor), 1e-5);
        unclip_embedding_free(&e);
        free(png);
    }
    golden_close(&g);
    unclip_engine_close(engine);
}

Test(parity_tiny_b, third_stage) {
    unclip_engine *engine = open_engine(UC_TEST_DATA "/goldens/models/tiny-b");
    const char *prompt = "a robot reading a book";
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = &prompt;
    o.prompt_count = 1;
    o.seed = golden_seed("tiny-b", "main");
    o.rng = UNCLIP_RNG_TORCH_CPU;
    const int steps[] = { 7, 6, 4, 2 };
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = steps[s];
    o.stage[UNCLIP_STAGE_PRIOR].guidance = 2;
    o.stage[UNCLIP_STAGE_DECODER].guidance = 3;
    album a = draw_album(engine, &o);
    expect_png("tiny-b, third stage", a.rgb, a.width, "tiny-b/main-1024.png");
    free(a.rgb);
    unclip_engine_close(engine);
}

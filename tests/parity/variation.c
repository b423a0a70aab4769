/* variation.c - variations from fresh noise with PyTorch's random numbers against diffusers'
 * UnCLIPImageVariationPipeline: the embedding, the decoder's first noise by way of the pictures, and the final
 * pictures of a batch of two. The case is "variation" of tests/goldens/<model>/cases.json. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/golden.h"
#include "support/pictures.h"

static const double PARITY = 1e-4;

typedef struct collected { uint8_t *rgb; size_t size; } collected;

static int collect(void *user, const unclip_image *image) {
    collected *c = user;
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    c->rgb = realloc(c->rgb, c->size + bytes);
    for (size_t i = 0; i < bytes; i++) c->rgb[c->size + i] = image->rgb[i];
    c->size += bytes;
    return 0;
}

static unclip_pair embedded(unclip_engine *engine, const char *picture, const golden_file *g) {
    char path[512];
    size_t size = 0;
    unclip_pair pair;
    unclip_error err = { 0 };
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    o.embed_only = 1;
    snprintf(path, sizeof path, "%s/goldens/images/%s.png", UC_TEST_DATA, picture);
    uint8_t *png = read_file(path, &size);
    cr_assert_eq(unclip_invert(engine, png, size, &o, &pair, &err), UNCLIP_OK, "%s", err.message);
    free(png);
    const uc_param *want = golden_get(g, "image_embeddings");
    uc_param first = *want;
    first.dim[0] = 1;
    golden_expect_close("image_embeddings", pair.embedding, &first, PARITY);
    return pair;
}

static void variation(const char *model) {
    char path[512];
    snprintf(path, sizeof path, "%s/goldens/%s/cases.json", UC_TEST_DATA, model);
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *settings = json_object_get(root, "variation");
    if (!settings) settings = json_object_get(json_object_get(root, "cases"), "variation");
    cr_assert_not_null(settings, "%s: no variation", path);
    golden_file g = golden_open("%s/variation.safetensors", model);
    const uc_param *want = golden_get(&g, "image_u8");
    snprintf(path, sizeof path, "%s/goldens/models/%s", UC_TEST_DATA, model);
    unclip_engine *engine = open_engine(path);
    unclip_pair pair = embedded(engine, json_string_value(json_object_get(settings, "picture")), &g);

    collected got = { 0 };
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.images_per_prompt = (size_t)json_integer_value(json_object_get(settings, "images_per_prompt"));
    o.batch_size = o.images_per_prompt;
    o.seed = (uint64_t)json_integer_value(json_object_get(settings, "seed"));
    o.rng = UNCLIP_RNG_TORCH_CPU;
    o.size = (int)want->dim[1];
    o.stage[UNCLIP_STAGE_DECODER].steps = (int)json_integer_value(json_object_get(settings, "decoder_steps"));
    o.stage[UNCLIP_STAGE_DECODER].guidance =
        (float)json_number_value(json_object_get(settings, "decoder_guidance_scale"));
    o.stage[UNCLIP_STAGE_SR256].steps = (int)json_integer_value(json_object_get(settings, "super_res_steps"));
    o.on_image = collect;
    o.user = &got;
    unclip_vary_options vary;
    unclip_vary_options_init(&vary);
    vary.from_noise = 1;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_vary(engine, &pair, &o, &vary, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq((int64_t)got.size, golden_count(want));
    expect_same_bytes(model, got.rgb, want->data, golden_count(want));
    free(got.rgb);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
    golden_close(&g);
    json_decref(root);
}

Test(parity_pictures, variation_tiny_a) { variation("tiny-a"); }
Test(parity_pictures, variation_tiny_b) { variation("tiny-b"); }

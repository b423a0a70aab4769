/* processor.c - picture -> pixels against CLIPImageProcessor and Pillow, bit for bit: tests/goldens/make_units.py,
 * make_goldens.py and make_image_processor.py. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/models/image_processor.h"
#include "support/golden.h"
#include "weights/config_read.h"

/* A golden picture U8 [height, width, 3] through the processor; the result is released with free. */
static float *process(const uc_image_processor_config *config, const uc_param *rgb, int64_t *width, int64_t *height) {
    unclip_error err = { 0 };
    uc_image_processor_size(config, rgb->dim[1], rgb->dim[0], width, height);
    float *out = malloc((size_t)(3 * *width * *height) * sizeof *out);
    cr_assert_eq(uc_image_process(config, rgb->data, (int)rgb->dim[1], (int)rgb->dim[0], out, &err), UNCLIP_OK, "%s",
                 err.message);
    return out;
}

Test(image_processor, resize_equals_pillow_bit_for_bit) {
    golden_file g = golden_open("unit/pil_resize.safetensors");
    int checked = 0;
    for (size_t k = 0; k < g.file.count; k++) {
        const uc_param *want = &g.file.items[k];
        char name[64];
        int edge;
        if (sscanf(want->name, "%48[^.].edge%d", name, &edge) != 2) continue;
        strcat(name, ".rgb");
        const uc_image_processor_config config = { .resize = true, .shortest_edge = edge };
        int64_t width, height;
        float *got = process(&config, golden_get(&g, name), &width, &height);
        cr_assert(want->dim[0] == height && want->dim[1] == width, "%s: %d x %d", want->name, (int)width, (int)height);
        const uint8_t *bytes = want->data;
        for (int64_t i = 0; i < width * height; i++) {
            for (int c = 0; c < 3; c++) {
                const int value = (int)got[c * width * height + i];
                cr_assert_eq(value, bytes[3 * i + c], "%s: pixel %d channel %d is %d, expected %d", want->name, (int)i,
                             c, value, bytes[3 * i + c]);
            }
        }
        free(got);
        checked++;
    }
    cr_expect_geq(checked, 14);
    golden_close(&g);
}

static void expect_pixels(const char *name, const float *got, const uc_param *want) {
    const float *numbers = want->data;
    for (int64_t i = 0; i < golden_count(want); i++) {
        cr_assert_eq(got[i], numbers[i], "%s: [%d] is %.9g, expected %.9g", name, (int)i, (double)got[i],
                     (double)numbers[i]);
    }
}

static void check_model(const char *model) {
    golden_file pictures = golden_open("unit/pil_resize.safetensors"),
                images = golden_open("%s/images.safetensors", model);
    char path[1024];
    uc_image_processor_config config;
    uc_warnings warnings = { 0 };
    unclip_error err = { 0 };
    snprintf(path, sizeof path, "%s/goldens/models/%s/feature_extractor/preprocessor_config.json", UC_TEST_DATA, model);
    cr_assert_eq(uc_read_image_processor(path, &config, &warnings, &err), UNCLIP_OK, "%s", err.message);
    int checked = 0;
    for (size_t k = 0; k < images.file.count; k++) {
        const uc_param *want = &images.file.items[k];
        char name[64];
        if (sscanf(want->name, "%48[^.].pixel_values", name) != 1 || !strstr(want->name, ".pixel_values")) continue;
        strcat(name, ".rgb");
        int64_t width, height;
        float *got = process(&config, golden_get(&pictures, name), &width, &height);
        cr_assert_eq(golden_count(want), 3 * width * height, "%s", want->name);
        expect_pixels(want->name, got, want);
        free(got);
        checked++;
    }
    cr_expect_geq(checked, 7);
    uc_warnings_free(&warnings);
    golden_close(&pictures);
    golden_close(&images);
}

Test(image_processor, pixels_of_tiny_a_equal_transformers) { check_model("tiny-a"); }
Test(image_processor, pixels_of_tiny_b_equal_transformers) { check_model("tiny-b"); }

static int64_t number(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

static uc_image_processor_config config_of(const json_t *item) {
    const json_t *size = json_object_get(item, "size"), *crop = json_object_get(item, "crop_size");
    uc_image_processor_config c = { .resize = json_is_true(json_object_get(item, "do_resize")),
                                    .shortest_edge = number(size, "shortest_edge"),
                                    .resize_height = number(size, "height"),
                                    .resize_width = number(size, "width"),
                                    .center_crop = json_is_true(json_object_get(item, "do_center_crop")),
                                    .crop_height = number(crop, "height"),
                                    .crop_width = number(crop, "width"),
                                    .rescale = json_is_true(json_object_get(item, "do_rescale")),
                                    .rescale_factor = json_number_value(json_object_get(item, "rescale_factor")),
                                    .normalize = json_is_true(json_object_get(item, "do_normalize")) };
    for (size_t i = 0; i < 3; i++) {
        c.mean[i] = (float)json_number_value(json_array_get(json_object_get(item, "image_mean"), i));
        c.std[i] = (float)json_number_value(json_array_get(json_object_get(item, "image_std"), i));
    }
    return c;
}

Test(image_processor, every_setting_equals_transformers) {
    json_error_t where;
    json_t *cases = json_load_file(UC_TEST_DATA "/goldens/unit/image_processor.json", 0, &where);
    cr_assert_geq(json_array_size(cases), 15, "%s", where.text);
    golden_file g = golden_open("unit/image_processor.safetensors");
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *item = json_array_get(cases, k);
        const char *name = json_string_value(json_object_get(item, "name"));
        char key[64];
        const uc_image_processor_config config = config_of(item);
        snprintf(key, sizeof key, "%s.pixels", name);
        const uc_param *want = golden_get(&g, key);
        snprintf(key, sizeof key, "%s.rgb", name);
        int64_t width, height;
        float *got = process(&config, golden_get(&g, key), &width, &height);
        cr_assert(want->dim[1] == height && want->dim[2] == width, "%s: %d x %d", name, (int)width, (int)height);
        expect_pixels(name, got, want);
        free(got);
    }
    golden_close(&g);
    json_decref(cases);
}

/* A picture of one colour keeps it, whatever the sizes; and a line of 4096 pixels does not cost a gigabyte. */
Test(image_processor, one_colour_stays_one_colour, .timeout = 30) {
    static uint8_t rgb[4096 * 3 * 3];
    static const int sizes[][2] = { { 4096, 1 }, { 1, 4096 }, { 3, 4096 }, { 7, 5 }, { 64, 64 }, { 65, 63 } };
    const uc_image_processor_config config = {
        .resize = true, .shortest_edge = 224, .center_crop = true, .crop_height = 224, .crop_width = 224
    };
    static float out[3 * 224 * 224];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (uint8_t)(i % 3 == 0 ? 255 : i % 3 == 1 ? 1 : 128);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        cr_assert_eq(uc_image_process(&config, rgb, sizes[k][0], sizes[k][1], out, NULL), UNCLIP_OK);
        for (int i = 0; i < 224 * 224; i++) {
            cr_assert(out[i] == 255 && out[224 * 224 + i] == 1 && out[2 * 224 * 224 + i] == 128, "%d x %d, pixel %d",
                      sizes[k][0], sizes[k][1], i);
        }
    }
}

Test(image_processor, impossible_sizes_are_refused) {
    const uint8_t rgb[3] = { 0 };
    float out[3];
    unclip_error err = { 0 };
    const uc_image_processor_config config = { .resize = true };
    cr_expect_eq(uc_image_process(&config, rgb, 1, 1, out, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect_str_eq(err.message, "the image processor makes an empty picture of 1 x 1 pixels");
    cr_expect_eq(uc_image_process(&config, rgb, 0, 1, out, &err), UNCLIP_ERR_IMAGE);
}

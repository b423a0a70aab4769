/* pictures.c - see pictures.h. */
#include "pictures.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "host/image/png_read.h"

unclip_engine *open_engine(const char *model_dir) {
    unclip_error err = { 0 };
    unclip_engine *engine = NULL;
    unclip_engine_options options;
    unclip_engine_options_init(&options);
    options.model_dir = model_dir;
    options.device = test_device();
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    return engine;
}

static int keep(void *user, const unclip_image *image) {
    album *a = user;
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    a->rgb = realloc(a->rgb, a->size + bytes);
    memcpy(a->rgb + a->size, image->rgb, bytes);
    a->size += bytes;
    a->width = image->width;
    return 0;
}

album draw_album(unclip_engine *engine, unclip_generate_options *options) {
    album a = { 0 };
    unclip_error err = { 0 };
    options->on_image = keep;
    options->user = &a;
    cr_assert_eq(unclip_generate(engine, options, &err), UNCLIP_OK, "%s", err.message);
    return a;
}

uint64_t golden_seed(const char *model, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/goldens/%s/cases.json", UC_TEST_DATA, model);
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *seed = json_object_get(json_object_get(json_object_get(root, "cases"), name), "seed");
    cr_assert(json_is_integer(seed), "%s: no seed of %s", path, name);
    const uint64_t value = (uint64_t)json_integer_value(seed);
    json_decref(root);
    return value;
}

uint8_t *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    uint8_t *data = malloc(*size);
    cr_assert_eq(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

uint8_t *read_png_file(const char *path, int *width, int *height) {
    size_t size = 0;
    uint8_t *png = read_file(path, &size), *rgb = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_png_read(png, size, &rgb, width, height, &err), UNCLIP_OK, "%s: %s", path, err.message);
    free(png);
    return rgb;
}

void expect_same_bytes(const char *what, const uint8_t *got, const uint8_t *want, int64_t count) {
    int64_t off = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const int d = abs((int)got[i] - (int)want[i]);
        sum += d;
        off += d > 1;
    }
    const double mean = (double)sum / (double)count;
    cr_expect_leq(mean, 0.05, "%s: mean difference %.4f of 255", what, mean);
    cr_expect_leq(1000 * off, count, "%s: %lld of %lld samples are off by more than one", what, (long long)off,
                  (long long)count);
}

/* classify.c - zero-shot probabilities are the softmax of the model's scale times the cosines of what embed says. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/engine.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"
#define TINY_C UC_TEST_DATA "/goldens/models/tiny-c" /* has no image encoder */
#define WIDE UC_TEST_DATA "/goldens/images/wide-rgb.png"

enum { COUNT = 3 };
static const char *const TEXTS[COUNT] = { "a red cube", "two dogs in the park", "" };

static double length(const unclip_embedding *e) {
    double sum = 0;
    for (size_t i = 0; i < e->dim; i++) sum += (double)e->values[i] * (double)e->values[i];
    return sqrt(sum);
}

Test(tasks_classify, is_the_softmax_of_scaled_cosines) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(WIDE, &size);
    unclip_embedding z;
    cr_assert_eq(unclip_embed_image(engine, png, size, &z, &err), UNCLIP_OK, "%s", err.message);
    static const double scales[] = { 100, 3 };
    for (int s = 0; s < 2; s++) {
        unclip_label labels[COUNT] = { { .text = TEXTS[0] }, { .text = TEXTS[1] }, { .text = TEXTS[2] } };
        double scale = 0, cosines[COUNT], sum = 0, total = 0;
        engine->loaded->dir->logit_scale = scales[s];
        cr_assert_eq(unclip_classify_image(engine, png, size, labels, COUNT, &scale, &err), UNCLIP_OK, "%s",
                     err.message);
        cr_expect_eq(scale, scales[s]);
        unclip_label again[COUNT] = { { .text = TEXTS[0] }, { .text = TEXTS[1] }, { .text = TEXTS[2] } };
        cr_assert_eq(unclip_classify_embedding(engine, z.values, z.dim, again, COUNT, NULL, &err), UNCLIP_OK, "%s",
                     err.message);
        for (int i = 0; i < COUNT; i++) cr_expect_eq(again[i].probability, labels[i].probability, "of the embedding");
        for (int i = 0; i < COUNT; i++) {
            unclip_embedding t;
            cr_assert_eq(unclip_embed_text(engine, TEXTS[i], &t, &err), UNCLIP_OK, "%s", err.message);
            cosines[i] = 0;
            for (size_t k = 0; k < t.dim; k++)
                cosines[i] += (double)z.values[k] / length(&z) * ((double)t.values[k] / length(&t));
            sum += exp(scales[s] * cosines[i]);
            unclip_embedding_free(&t);
        }
        for (int i = 0; i < COUNT; i++) {
            cr_expect_float_eq(labels[i].cosine, cosines[i], 1e-9, "cosine %d", i);
            cr_expect_float_eq(labels[i].probability, exp(scales[s] * cosines[i]) / sum, 1e-7, "probability %d", i);
            total += labels[i].probability;
        }
        cr_expect_float_eq(total, 1, 1e-12);
    }
    unclip_embedding_free(&z);
    free(png);
    unclip_engine_close(engine);
}

Test(tasks_classify, the_scale_is_100_where_no_file_says_one) {
    unclip_engine *engine = open_engine(TINY_A);
    cr_expect_eq(engine->loaded->dir->logit_scale, 100);
    unclip_engine_close(engine);
}

Test(tasks_classify, what_cannot_be_is_refused_by_name) {
    unclip_engine *engine = open_engine(TINY_A), *blind = open_engine(TINY_C);
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(WIDE, &size);
    unclip_label labels[2] = { { .text = "a" }, { .text = NULL } };
    cr_expect_eq(unclip_classify_image(engine, png, size, labels, 0, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_eq(unclip_classify_image(engine, png, size, labels, 2, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "label 1 is NULL"), "%s", err.message);
    labels[1].text = "\xff";
    cr_expect_eq(unclip_classify_image(engine, png, size, labels, 2, NULL, &err), UNCLIP_ERR_UTF8);
    cr_expect_eq(unclip_classify_image(engine, png, size / 2, labels, 1, NULL, &err), UNCLIP_ERR_IMAGE);
    cr_expect_eq(unclip_classify_image(blind, png, size, labels, 1, NULL, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "image_encoder"), "%s", err.message);
    const float few[] = { 1, 2 }, broken[] = { 1, NAN };
    cr_expect_eq(unclip_classify_embedding(engine, few, 2, labels, 1, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the text embedding has 32 numbers, the picture's 2");
    cr_expect_eq(unclip_classify_embedding(engine, broken, 2, labels, 1, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the given embedding's number 1 is not finite");
    cr_expect_eq(unclip_classify_embedding(engine, NULL, 2, labels, 1, NULL, &err), UNCLIP_ERR_ARGUMENT);
    free(png);
    unclip_engine_close(engine);
    unclip_engine_close(blind);
}

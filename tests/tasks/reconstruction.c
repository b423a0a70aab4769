/* reconstruction.c - unclip_eval_reconstruction says of a picture what inverting, drawing and comparing it by hand
 * says. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a" /* draws 16 and 64 */
#define TINY_C UC_TEST_DATA "/goldens/models/tiny-c" /* has no image encoder */
#define WIDE UC_TEST_DATA "/goldens/images/wide-rgb.png"

static unclip_invert_options inversion(void) {
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    o.steps = 6;
    return o;
}

static unclip_generate_options plain(void) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.stage[UNCLIP_STAGE_SR256].steps = 2;
    return o;
}

static int keep(void *user, const unclip_image *image) {
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    uint8_t **rgb = user;
    *rgb = malloc(bytes);
    memcpy(*rgb, image->rgb, bytes);
    return 0;
}

/* A picture that the decoder's size divides: its small square are plain means, taken here in the simplest way. */
static uint8_t *squares(int side, int cell) {
    uint8_t *rgb = malloc((size_t)(side * side * 3));
    for (int i = 0; i < side * side * 3; i++) {
        const int x = i / 3 % side / cell, y = i / 3 / side / cell;
        rgb[i] = (uint8_t)(40 + (x * 31 + y * 57 + i % 3 * 90) % 170 + (i / 3 % 2 ? 6 : -6));
    }
    return rgb;
}

Test(tasks_reconstruction, equals_the_comparison_by_hand) {
    enum { SIDE = 64, SMALL = 16, RATIO = SIDE / SMALL };
    unclip_engine *engine = open_engine(TINY_A);
    unclip_error err = { 0 };
    uint8_t *rgb = squares(SIDE, 8), *png = NULL;
    size_t size = 0;
    const unclip_image image = { .struct_size = sizeof image, .width = SIDE, .height = SIDE, .rgb = rgb };
    cr_assert_eq(unclip_image_encode_png(&image, &png, &size, &err), UNCLIP_OK, "%s", err.message);
    const unclip_invert_options invert = inversion();
    unclip_generate_options base = plain();
    unclip_reconstruction got;
    cr_assert_eq(unclip_eval_reconstruction(engine, png, size, &invert, &base, &got, &err), UNCLIP_OK, "%s",
                 err.message);
    cr_assert_eq(got.size, SMALL, "0 is the decoder's size");

    unclip_pair pair;
    unclip_vary_options vary;
    unclip_vary_options_init(&vary);
    cr_assert_eq(unclip_invert(engine, png, size, &invert, &pair, &err), UNCLIP_OK, "%s", err.message);
    uint8_t *drawn = NULL;
    base.size = SMALL;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    base.on_image = keep;
    base.user = &drawn;
    cr_assert_eq(unclip_vary(engine, &pair, &base, &vary, &err), UNCLIP_OK, "%s", err.message);
    double sum = 0;
    for (int i = 0; i < SMALL * SMALL * 3; i++) {
        double mean = 0;
        for (int k = 0; k < RATIO * RATIO; k++)
            mean += rgb[((i / 3 / SMALL * RATIO + k / RATIO) * SIDE + i / 3 % SMALL * RATIO + k % RATIO) * 3 + i % 3];
        sum += pow(drawn[i] - mean / (RATIO * RATIO), 2);
    }
    cr_expect_float_eq(got.psnr, 10 * log10(255 * 255 / (sum / (SMALL * SMALL * 3))), 1e-3, "%.5f dB", got.psnr);
    cr_expect(got.cosine > -1 && got.cosine <= 1 + 1e-9, "%g", got.cosine);

    base.size = 64;
    unclip_reconstruction larger;
    cr_assert_eq(unclip_eval_reconstruction(engine, png, size, &invert, &base, &larger, &err), UNCLIP_OK, "%s",
                 err.message);
    cr_expect_eq(larger.size, 64);
    free(drawn);
    free(png);
    free(rgb);
    unclip_pair_free(&pair);
    unclip_engine_close(engine);
}

Test(tasks_reconstruction, what_cannot_be_is_refused_by_name) {
    unclip_engine *engine = open_engine(TINY_A), *blind = open_engine(TINY_C);
    unclip_error err = { 0 };
    unclip_reconstruction r;
    size_t size = 0;
    uint8_t *png = read_file(WIDE, &size);
    unclip_invert_options invert = inversion();
    const unclip_generate_options base = plain();
    cr_expect_eq(unclip_eval_reconstruction(engine, png, size / 2, &invert, &base, &r, &err), UNCLIP_ERR_IMAGE);
    cr_expect_eq(unclip_eval_reconstruction(blind, png, size, &invert, &base, &r, &err), UNCLIP_ERR_UNSUPPORTED);
    cr_expect_eq(unclip_eval_reconstruction(engine, NULL, 0, &invert, &base, &r, &err), UNCLIP_ERR_ARGUMENT);
    invert.embed_only = 1;
    cr_expect_eq(unclip_eval_reconstruction(engine, png, size, &invert, &base, &r, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "embedding alone"), "%s", err.message);
    free(png);
    unclip_engine_close(engine);
    unclip_engine_close(blind);
}

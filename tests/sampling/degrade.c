/* degrade.c - given pictures brought to a stage's size, and the degradations: with torch, libjpeg's tables and float64
 * sums (tests/goldens/make_degrade.py); the random ones by what must hold of them. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampling/degrade.h"
#include "support/golden.h"

static const int QUALITIES[] = { 5, 50, 95 };
enum { QUALITY_COUNT = sizeof QUALITIES / sizeof *QUALITIES };

typedef struct picture {
    golden_file g;
    int64_t height, width;
    const uint8_t *rgb;
    float *planes; /* [3, height, width] in [-1, 1] */
} picture;

static picture open_picture(void) {
    picture p = { .g = golden_open("unit/degrade.safetensors") };
    const uc_param *rgb = golden_get(&p.g, "picture");
    p.height = rgb->dim[0];
    p.width = rgb->dim[1];
    p.rgb = rgb->data;
    const int64_t pixels = p.height * p.width;
    p.planes = malloc((size_t)(3 * pixels) * sizeof *p.planes);
    for (int64_t i = 0; i < 3 * pixels; i++) p.planes[i] = p.rgb[3 * (i % pixels) + i / pixels] / 127.5f - 1;
    return p;
}

static void close_picture(picture *p) {
    free(p->planes);
    golden_close(&p->g);
}

Test(degrade, squares_of_any_size_equal_exact_areas_and_torchs_bicubic) {
    static const int sizes[] = { 7, 16, 29, 64 };
    picture p = open_picture();
    unclip_error err = { 0 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[32];
        float *out = malloc((size_t)(3 * sizes[i] * sizes[i]) * sizeof *out);
        cr_assert_eq(uc_picture_square(p.rgb, (int)p.width, (int)p.height, sizes[i], out, &err), UNCLIP_OK);
        snprintf(name, sizeof name, "square.%d", sizes[i]);
        golden_expect_close(name, out, golden_get(&p.g, name), 2e-6);
        free(out);
    }
    close_picture(&p);
}

/* The longest and the smallest pictures that a PNG may hold. */
Test(degrade, squares_of_lines_and_single_pixels_have_one_colour) {
    static const struct { int width, height; } shapes[] = { { 1, 1 }, { 4096, 1 }, { 1, 4096 }, { 2, 1 } };
    unclip_error err = { 0 };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int pixels = shapes[s].width * shapes[s].height, middle = (pixels - 1) / 2;
        uint8_t *rgb = calloc((size_t)pixels, 3);
        memcpy(rgb + 3 * middle, (const uint8_t[]){ 255, 0, 51 }, 3);
        float out[3 * 64];
        cr_assert_eq(uc_picture_square(rgb, shapes[s].width, shapes[s].height, 8, out, &err), UNCLIP_OK);
        for (int i = 0; i < 64; i++) {
            cr_expect_float_eq(out[i], 1.0f, 1e-6);
            cr_expect_float_eq(out[64 + i], -1.0f, 1e-6);
            cr_expect_float_eq(out[128 + i], -0.6f, 1e-6);
        }
        free(rgb);
    }
    cr_expect_eq(uc_picture_square(NULL, 0, 5, 8, NULL, &err), UNCLIP_ERR_IMAGE);
}

Test(degrade, blur_and_resize_equal_torchs) {
    static const char *const names[] = { "blur.paper", "blur.bsr", "resize.bilinear", "resize.bicubic" };
    unclip_error err = { 0 };
    for (int i = 0; i < 4; i++) {
        picture p = open_picture();
        unclip_status status = UNCLIP_ERR_INTERNAL;
        if (i == 0) status = uc_degrade(p.planes, p.height, p.width, UNCLIP_DEGRADE_BLUR, 9, &err);
        if (i == 1) status = uc_degrade_blur(p.planes, p.height, p.width, UC_BLUR_RADIUS_BSR, 0.9, &err);
        if (i == 2) status = uc_degrade_resize(p.planes, p.height, p.width, 0.7, UC_RESIZE_BILINEAR, &err);
        if (i == 3) status = uc_degrade_resize(p.planes, p.height, p.width, 0.7, UC_RESIZE_BICUBIC, &err);
        cr_assert_eq(status, UNCLIP_OK, "%s", err.message);
        golden_expect_close(names[i], p.planes, golden_get(&p.g, names[i]), 2e-6);
        close_picture(&p);
    }
}

Test(degrade, jpeg_steps_are_libjpegs) {
    picture p = open_picture();
    for (int k = 0; k < QUALITY_COUNT; k++) {
        char name[32];
        snprintf(name, sizeof name, "tables.%d", QUALITIES[k]);
        int32_t *want = golden_ints(golden_get(&p.g, name));
        for (int i = 0; i < 128; i++)
            cr_expect_eq(uc_jpeg_step(i / 64, i % 64, QUALITIES[k]), want[i], "%s, coefficient %d", name, i);
        free(want);
    }
    close_picture(&p);
}

/* A coefficient that lies on the edge between two steps may fall either way, which moves its whole block a little. */
Test(degrade, jpeg_equals_the_standards_formulas) {
    for (int k = 0; k < QUALITY_COUNT; k++) {
        picture p = open_picture();
        char name[32];
        snprintf(name, sizeof name, "jpeg.%d", QUALITIES[k]);
        float *want = golden_floats(golden_get(&p.g, name));
        const int64_t count = 3 * p.height * p.width;
        uc_degrade_jpeg(p.planes, p.height, p.width, QUALITIES[k]);
        int64_t off = 0;
        for (int64_t i = 0; i < count; i++) off += fabsf(p.planes[i] - want[i]) > 2e-5f;
        cr_expect_leq(off, 3 * 64, "%s: %lld samples differ", name, (long long)off);
        free(want);
        close_picture(&p);
    }
}

/* libjpeg rounds samples, colours and coefficients to whole numbers, so its picture is near, not the same: nearer to
 * ours than either is to the picture that both compressed. */
Test(degrade, jpeg_loses_what_libjpeg_loses) {
    for (int k = 0; k < QUALITY_COUNT; k++) {
        picture p = open_picture();
        char name[32];
        snprintf(name, sizeof name, "libjpeg.%d", QUALITIES[k]);
        const uint8_t *theirs = golden_get(&p.g, name)->data;
        const int64_t pixels = p.height * p.width;
        double between = 0, lost = 0;
        uc_degrade_jpeg(p.planes, p.height, p.width, QUALITIES[k]);
        for (int64_t i = 0; i < 3 * pixels; i++) {
            const double ours = 127.5 * ((double)p.planes[i] + 1), their = theirs[3 * (i % pixels) + i / pixels];
            between += fabs(ours - their);
            lost += fabs(their - p.rgb[3 * (i % pixels) + i / pixels]);
        }
        cr_expect_lt(between, 0.6 * lost, "%s: %.3f apart, %.3f lost", name, between / (double)(3 * pixels),
                     lost / (double)(3 * pixels));
        close_picture(&p);
    }
}

/* ---- BSR --------------------------------------------------------------------------------------------------------- */

Test(degrade, bsr_plans_use_every_order_and_stay_in_range) {
    enum { SEEDS = 2400 };
    int seen[256] = { 0 }, orders = 0, most = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uc_bsr_step steps[UC_BSR_STEPS];
        int kinds = 0, order = 0;
        uc_bsr_plan(seed, steps);
        for (int i = 0; i < UC_BSR_STEPS; i++) {
            const double amount = steps[i].amount;
            kinds |= 1 << steps[i].kind;
            order = 4 * order + (int)steps[i].kind;
            switch (steps[i].kind) {
            case UC_BSR_BLUR: cr_assert(amount >= 0.2 && amount <= 1, "blur %g", amount); break;
            case UC_BSR_RESIZE: cr_assert(amount >= 0.6 && amount <= 1, "resize %g", amount); break;
            case UC_BSR_NOISE: cr_assert(amount >= 0.01 && amount <= 0.06, "noise %g", amount); break;
            case UC_BSR_JPEG: cr_assert(amount >= 40 && amount <= 95 && amount == floor(amount), "%g", amount); break;
            }
        }
        cr_assert_eq(kinds, 15, "seed %d: each operation once", (int)seed);
        orders += !seen[order]++;
        if (seen[order] > most) most = seen[order];
    }
    cr_expect_eq(orders, 24, "%d orders of 24", orders);
    cr_expect_lt(most, 2 * SEEDS / 24, "one order came %d times of %d", most, SEEDS);
}

static float *bsr(uint64_t seed) {
    unclip_error err = { 0 };
    picture p = open_picture();
    float *planes = p.planes;
    cr_assert_eq(uc_degrade(planes, p.height, p.width, UNCLIP_DEGRADE_BSR, seed, &err), UNCLIP_OK, "%s", err.message);
    golden_close(&p.g);
    return planes;
}

Test(degrade, bsr_is_decided_by_its_seed) {
    picture p = open_picture();
    const size_t count = (size_t)(3 * p.height * p.width), bytes = count * sizeof(float);
    float *before = NULL;
    for (uint64_t seed = 0; seed < 20; seed++) {
        float *once = bsr(seed), *again = bsr(seed);
        cr_expect_arr_eq(once, again, bytes, "seed %d twice", (int)seed);
        if (before) cr_expect_neq(memcmp(once, before, bytes), 0, "seeds %d and %d", (int)seed - 1, (int)seed);
        double off = 0;
        for (size_t i = 0; i < count; i++) {
            cr_assert(once[i] >= -1 && once[i] <= 1);
            off += fabs((double)once[i] - (double)p.planes[i]) / (double)count;
        }
        cr_expect(off > 0.005 && off < 0.2, "seed %d: %.4f from the picture", (int)seed, off);
        free(again);
        free(before);
        before = once;
    }
    free(before);
    close_picture(&p);
}

Test(degrade, none_changes_nothing_and_others_are_refused) {
    picture p = open_picture(), q = open_picture();
    unclip_error err = { 0 };
    cr_expect_eq(uc_degrade(p.planes, p.height, p.width, UNCLIP_DEGRADE_NONE, 1, &err), UNCLIP_OK);
    cr_expect_arr_eq(p.planes, q.planes, (size_t)(3 * p.height * p.width) * sizeof(float));
    cr_expect_eq(uc_degrade(p.planes, p.height, p.width, (unclip_degrade)3, 1, &err), UNCLIP_ERR_ARGUMENT);
    close_picture(&p);
    close_picture(&q);
}

/* slerp.c - great-circle paths: the textbook formula in double, lengths and angles along the way, and the vectors for
 * which the textbook divides by zero. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampling/noise.h"
#include "engine/sampling/slerp.h"

enum { MOST = 768 };

static void random_vector(float *out, size_t count, uint64_t seed, float length) {
    uc_philox_fill(out, (int64_t)count, seed, 0, 0);
    const double scale = (double)length / uc_length(out, count);
    for (size_t i = 0; i < count; i++) out[i] = (float)(scale * (double)out[i]);
}

/* Shoemake's formula on the directions, lengths linearly. */
static double textbook(const float *a, const float *b, size_t count, double t, size_t i) {
    double aa = 0, bb = 0, ab = 0;
    for (size_t k = 0; k < count; k++) {
        aa += (double)a[k] * (double)a[k];
        bb += (double)b[k] * (double)b[k];
        ab += (double)a[k] * (double)b[k];
    }
    const double la = sqrt(aa), lb = sqrt(bb), angle = acos(ab / la / lb);
    const double direction =
        (sin((1 - t) * angle) * (double)a[i] / la + sin(t * angle) * (double)b[i] / lb) / sin(angle);
    return ((1 - t) * la + t * lb) * direction;
}

Test(sampling_slerp, textbook) {
    static const size_t counts[] = { 2, 3, 16, MOST };
    float a[MOST], b[MOST], out[MOST];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (uint64_t seed = 1; seed < 6; seed++) {
            const size_t n = counts[c];
            random_vector(a, n, seed, 17.5f);
            random_vector(b, n, seed + 100, 3.25f);
            for (double t = 0.125; t < 1; t += 0.125) {
                uc_slerp(out, a, b, n, t);
                for (size_t i = 0; i < n; i++)
                    cr_assert_float_eq(out[i], textbook(a, b, n, t, i), 4e-6, "count %zu, seed %d, t %g, element %zu",
                                       n, (int)seed, t, i);
            }
        }
}

Test(sampling_slerp, length_is_linear_and_the_angle_too) {
    float a[64], b[64], out[64];
    random_vector(a, 64, 7, 10);
    random_vector(b, 64, 8, 20);
    const double whole = acos(uc_cosine(a, b, 64));
    for (double t = 0.1; t < 1; t += 0.2) {
        uc_slerp(out, a, b, 64, t);
        cr_assert_float_eq(uc_length(out, 64), 10 + 10 * t, 1e-4);
        cr_assert_float_eq(acos(uc_cosine(a, out, 64)), t * whole, 1e-5);
    }
}

Test(sampling_slerp, the_ends_to_the_bit) {
    float a[5], b[5], out[5];
    random_vector(a, 5, 1, 3);
    random_vector(b, 5, 2, 4);
    uc_slerp(out, a, b, 5, 0);
    cr_assert_arr_eq(out, a, sizeof a);
    uc_slerp(out, a, b, 5, 1);
    cr_assert_arr_eq(out, b, sizeof b);
}

Test(sampling_slerp, equal_and_parallel_vectors) {
    float a[8], b[8], out[8];
    random_vector(a, 8, 3, 5);
    for (size_t i = 0; i < 8; i++) b[i] = 3 * a[i];
    uc_slerp(out, a, a, 8, 0.3);
    for (size_t i = 0; i < 8; i++) cr_assert_float_eq(out[i], a[i], 1e-6);
    uc_slerp(out, a, b, 8, 0.25);
    for (size_t i = 0; i < 8; i++) cr_assert_float_eq(out[i], 1.5 * (double)a[i], 1e-5);
}

Test(sampling_slerp, nearly_equal_vectors_stay_between) {
    float a[8], b[8], out[8];
    for (int exponent = -9; exponent < -1; exponent++) {
        random_vector(a, 8, 4, 1);
        memcpy(b, a, sizeof b);
        b[0] += (float)pow(10, exponent);
        uc_slerp(out, a, b, 8, 0.5);
        for (size_t i = 0; i < 8; i++)
            cr_assert_float_eq(out[i], 0.5 * ((double)a[i] + (double)b[i]), 2e-6 + pow(10, 2 * exponent));
    }
}

Test(sampling_slerp, without_a_direction_the_path_is_straight) {
    const float zero[3] = { 0, 0, 0 };
    float a[3] = { 1, -2, 4 }, out[3];
    uc_slerp(out, zero, a, 3, 0.25);
    for (size_t i = 0; i < 3; i++) cr_assert_float_eq(out[i], 0.25 * (double)a[i], 1e-7);
    uc_slerp(out, a, zero, 3, 0.25);
    for (size_t i = 0; i < 3; i++) cr_assert_float_eq(out[i], 0.75 * (double)a[i], 1e-7);
    uc_slerp(out, zero, zero, 3, 0.25);
    cr_assert_arr_eq(out, zero, sizeof zero);
    cr_assert_eq(uc_cosine(a, zero, 3), 0);
}

Test(sampling_slerp, opposite_vectors_turn_through_one_plane) {
    float a[6], b[6], out[6], half[6];
    random_vector(a, 6, 9, 2);
    for (size_t i = 0; i < 6; i++) b[i] = -2 * a[i];
    uc_slerp(half, a, b, 6, 0.5);
    cr_assert_float_eq(uc_length(half, 6), 3, 1e-5);
    cr_assert_float_eq(uc_cosine(half, a, 6), 0, 1e-6);
    for (double t = 0.1; t < 1; t += 0.1) {
        uc_slerp(out, a, b, 6, t);
        const double pi = acos(-1.0), along = uc_cosine(out, a, 6), beside = uc_cosine(out, half, 6);
        cr_assert_float_eq(uc_length(out, 6), 2 + 2 * t, 1e-5);
        cr_assert_float_eq(along, cos(t * pi), 1e-6);
        cr_assert_float_eq(beside, sin(t * pi), 1e-6, "t %g leaves the plane", t);
    }
    const float one = 1, minus = -3;
    uc_slerp(out, &one, &minus, 1, 0.5);
    cr_assert_float_eq(out[0], -1, 1e-7, "one number has no plane to turn in");
}

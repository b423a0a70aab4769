/* torch_rng.c - the noise of `--rng torch-cpu` against PyTorch's own (tests/goldens/make_torch_rng.py), and the
 * Mersenne twister against the known answers of its authors. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/sampling/torch_rng.h"

enum { LARGEST = 1 << 14 };

/* PyTorch's vectorised log, sin and cos are off by up to one unit in the last place, and libm's by another. */
static bool is_near(float got, float expected) { return fabsf(got - expected) <= 2e-7f * fmaxf(2.0f, fabsf(expected)); }

static void check_draw(uc_torch_rng *rng, size_t count, FILE *golden, size_t number, const char *seed) {
    static float got[LARGEST], expected[LARGEST];
    cr_assert_leq(count, LARGEST);
    cr_assert_eq(fread(expected, sizeof *expected, count, golden), count);
    got[count] = NAN;
    uc_torch_rng_normal(rng, got, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        cr_assert(is_near(got[i], expected[i]), "seed %s, draw %zu of %zu numbers: [%zu] is %.9g, expected %.9g", seed,
                  number, count, i, (double)got[i], (double)expected[i]);
    }
    cr_assert(isnan(got[count]), "seed %s, draw %zu writes beyond its end", seed, number);
}

Test(sampling_torch_rng, draws_equal_pytorch) {
    json_error_t where;
    json_t *cases = json_load_file(UC_TEST_DATA "/goldens/unit/torch_rng.json", 0, &where);
    FILE *golden = fopen(UC_TEST_DATA "/goldens/unit/torch_rng.f32", "rb");
    cr_assert(cases && golden, "%s", where.text);
    cr_assert_geq(json_array_size(cases), 40);
    for (size_t k = 0; k < json_array_size(cases); k++) {
        const json_t *item = json_array_get(cases, k), *sizes = json_object_get(item, "sizes");
        const char *seed = json_string_value(json_object_get(item, "seed"));
        uc_torch_rng rng;
        uc_torch_rng_seed(&rng, strtoull(seed, NULL, 10));
        for (size_t i = 0; i < json_array_size(sizes); i++) {
            check_draw(&rng, (size_t)json_integer_value(json_array_get(sizes, i)), golden, i, seed);
        }
    }
    cr_expect_eq(fgetc(golden), EOF);
    fclose(golden);
    json_decref(cases);
}

Test(sampling_torch_rng, mersenne_twister_known_answers) {
    uc_torch_rng rng;
    uc_torch_rng_seed(&rng, 5489);
    cr_expect_eq(uc_torch_rng_bits(&rng), 3499211612u);
    for (int i = 2; i < 10000; i++) uc_torch_rng_bits(&rng);
    cr_expect_eq(uc_torch_rng_bits(&rng), 4123659995u, "the 10000th number of the C++ standard's std::mt19937");
}

Test(sampling_torch_rng, seeding_forgets_the_waiting_number) {
    float first, again;
    uc_torch_rng rng;
    uc_torch_rng_seed(&rng, 11);
    uc_torch_rng_normal(&rng, &first, 1);
    uc_torch_rng_seed(&rng, 11);
    uc_torch_rng_normal(&rng, &again, 1);
    cr_expect_eq(first, again);
}

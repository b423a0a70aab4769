/* ref_noise_step.c - the reference kernel of a sampler's step, part by part. */
#include "ref_case.h"

/* One image of two channels of one element each, so that every number can be followed. */
typedef struct noise_case {
    uc_launch launch;
    uc_step step;
    uc_view x, x0;
} noise_case;

static void set_up(noise_case *c, uc_view prediction, uc_prediction kind) {
    *c = (noise_case){ .step = { .sqrt_alpha_bar = 0.5f, .sqrt_beta_bar = 2, .c_x0 = 1, .guidance = 3 },
                       .x = VALUES(UC_SHAPE2(1, 2), 10, 20),
                       .x0 = VALUES(UC_SHAPE2(1, 2), NAN, NAN) };
    c->launch =
        (uc_launch){ .kind = UC_OP_noise_step, .attrs.noise_step.prediction = kind, .step = &c->step, .threads = 1 };
    c->launch.in[UC_NOISE_X] = c->launch.out[0] = c->x;
    c->launch.in[UC_NOISE_X0] = c->launch.out[1] = c->x0;
    c->launch.in[UC_NOISE_PREDICTION] = prediction;
    c->launch.in[UC_NOISE_NOISE] = VALUES(UC_SHAPE2(1, 2), 100, -100);
}

Test(ref_noise_step, prediction_kinds) {
    const uc_view m = VALUES(UC_SHAPE2(1, 2), 3, -4);
    noise_case c;
    set_up(&c, m, UC_PREDICT_EPSILON);
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x0, 0, "epsilon", 8, 56);
    EXPECT(c.x, 0, "next", 8, 56);
    set_up(&c, m, UC_PREDICT_SAMPLE);
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x0, 0, "sample", 3, -4);
    set_up(&c, m, UC_PREDICT_V);
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x0, 0, "v", -1, 18);
}

Test(ref_noise_step, mean_and_clamp) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(1, 2), 3, -4), UC_PREDICT_SAMPLE);
    c.step.clip = 2;
    c.step.c_x0 = 1000;
    c.step.c_x = 100;
    c.step.c_pred = 10;
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x0, 0, "clamped", 2, -2);
    EXPECT(c.x, 0, "the direction is not clamped", 2000 + 1000 + 30, -2000 + 2000 - 40);
    c.step.c_old = 0.25f; /* of the x0 that the step before left */
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x, 0, "x0 of the step before", 2000 + 303000 + 30 + 0.5, -2000 - 4000 - 40 - 0.5);
}

Test(ref_noise_step, noise) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(1, 2), 3, -4), UC_PREDICT_SAMPLE);
    c.step.sigma = 0.5f;
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x, 0, "none asked for", 3, -4);
    c.step.add_noise = 1;
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x, 0, "sigma", 53, -54);
}

/* Rows: unconditional, conditional; columns: prediction (2), variance (2). The variance is the conditional one. */
Test(ref_noise_step, guidance_and_learned_variance) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(2, 4), 1, 2, NAN, NAN, 3, 1, -1, 0), UC_PREDICT_SAMPLE);
    c.launch.attrs.noise_step.guided = true;
    c.step.sigma = 0.25f;
    c.step.add_noise = 1;
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x0, 0, "1 + 3 (3 - 1), 2 + 3 (1 - 2)", 7, -1);
    EXPECT(c.x, 0, "a variance that is not asked for", 32, -26);
    c.launch.attrs.noise_step.learned_variance = true;
    c.step.log_min = (float)log(0.01);
    c.step.log_max = (float)log(4);
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x, 1e-4, "v -1: the smallest; v 0: the geometric mean", 7 + 0.1 * 100, -1 - sqrt(0.1 * 2) * 100);
}

Test(ref_noise_step, learned_variance_without_guidance) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(1, 4), 3, 1, 1, -1), UC_PREDICT_SAMPLE);
    c.launch.attrs.noise_step.learned_variance = true;
    c.step.log_min = (float)log(0.01);
    c.step.log_max = (float)log(4);
    c.step.add_noise = 1;
    uc_ref_noise_step(&c.launch);
    EXPECT(c.x, 1e-4, "v 1: the largest; v -1: the smallest", 3 + 200, 1 - 10);
}

static int by_size(const void *a, const void *b) {
    const double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

/* The estimates clamped and scaled as Imagen's section 2.3 says, from a sorted copy and in double precision. */
static void threshold_in_double(double *x0, int count, float ratio, double most) {
    double sorted[1024];
    for (int i = 0; i < count; i++) sorted[i] = x0[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_size);
    const double rank = (double)(ratio * (float)(count - 1));
    const int below = (int)floor(rank), above = (int)ceil(rank);
    const double q = fabs(sorted[below]) + (rank - below) * (fabs(sorted[above]) - fabs(sorted[below]));
    const double s = fmin(fmax(q, 1), most);
    for (int i = 0; i < count; i++) x0[i] = fmin(fmax(x0[i], -s), s) / s;
}

/* Equal numbers, numbers below 1, a limit that cuts: whatever the quantile falls on. */
Test(ref_noise_step, dynamic_threshold_is_the_quantile_of_a_sorted_copy) {
    static const float ratios[] = { 1e-6f, 0.25f, 0.5f, 0.9f, 0.995f, 1 };
    static const double scales[] = { 0.01, 1, 40 }, limits[] = { 1, 1.5, INFINITY };
    enum { C = 3, SIDE = 7, COUNT = C * SIDE * SIDE, B = 2 };
    for (int k = 0; k < 6 * 3 * 3 * 2; k++) {
        const float ratio = ratios[k % 6];
        const double scale = scales[k / 6 % 3], most = limits[k / 18 % 3];
        const bool ties = k / 54;
        const uc_step step = { .sqrt_alpha_bar = 0.5f, .sqrt_beta_bar = 0.75f, .c_x0 = 1, .clip = 1e-3f,
                               .threshold = ratio, .threshold_max = (float)most };
        uc_view x = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(B, C, SIDE, SIDE), 1 + k);
        uc_view x0 = case_view(UC_F32, UC_PLAIN, x.shape), m = case_random(UC_F32, UC_PLAIN, x.shape, 1000 + k);
        double wanted[B * COUNT];
        for (int i = 0; i < B * COUNT; i++) {
            const double value = ties ? (double)((int)(3 * case_get(&x, i)) % 4) * scale : scale * case_get(&x, i);
            case_set(&x, i, value * (i < COUNT ? 1 : 2)); /* each image has a threshold of its own */
            if (ties) case_set(&m, i, 0);
            wanted[i] = (double)(((float)case_get(&x, i) - 0.75f * (float)case_get(&m, i)) / 0.5f);
        }
        for (int n = 0; n < B; n++) threshold_in_double(wanted + n * COUNT, COUNT, ratio, most);
        uc_launch l = { .kind = UC_OP_noise_step, .step = &step, .threads = 1, .attrs.noise_step.threshold = true };
        l.in[UC_NOISE_X] = l.out[0] = x;
        l.in[UC_NOISE_X0] = l.out[1] = x0;
        l.in[UC_NOISE_PREDICTION] = m;
        uc_ref_noise_step(&l);
        for (int i = 0; i < B * COUNT; i++)
            cr_assert(fabs(case_get(&x0, i) - wanted[i]) <= 1e-6, "round %d, ratio %g: element %d is %.9g, not %.9g", k,
                      (double)ratio, i, case_get(&x0, i), wanted[i]);
    }
}

Test(ref_noise_step, nan_passes_the_dynamic_threshold) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(1, 2), NAN, 5), UC_PREDICT_SAMPLE);
    c.launch.attrs.noise_step.threshold = true;
    c.step.threshold_max = INFINITY;
    uc_ref_noise_step(&c.launch);
    cr_assert(isnan(case_get(&c.x0, 0)) && isnan(case_get(&c.x, 0)));
    cr_assert_eq(case_get(&c.x0, 1), 1, "the smaller of both is the threshold: 5 / 5");
}

/* A picture that went wrong must not be hidden by the clamp. */
Test(ref_noise_step, nan_passes_the_clamp) {
    noise_case c;
    set_up(&c, VALUES(UC_SHAPE2(1, 2), NAN, INFINITY), UC_PREDICT_SAMPLE);
    c.step.clip = 1;
    uc_ref_noise_step(&c.launch);
    cr_assert(isnan(case_get(&c.x, 0)) && isnan(case_get(&c.x0, 0)));
    cr_assert_not(isfinite(case_get(&c.x, 1)), "an infinite prediction");
    cr_assert_eq(case_get(&c.x0, 1), 1);
}

/* Each image of a batch is what it is alone, with pictures as with rows. */
Test(ref_noise_step, batch_rows_equal_singles) {
    enum { B = 3, C = 2, SIDE = 2, IMAGE = C * SIDE * SIDE };
    const uc_step step = { .sqrt_alpha_bar = 0.8f,
                           .sqrt_beta_bar = 0.6f,
                           .clip = 1,
                           .c_x0 = 0.3f,
                           .c_x = 0.5f,
                           .add_noise = 1,
                           .guidance = 2.5f,
                           .stage = 1,
                           .noise_index = 4,
                           .log_min = -3,
                           .log_max = -1 };
    uc_view x = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(B, C, SIDE, SIDE), 1),
            x0 = case_view(UC_F32, UC_PLAIN, x.shape);
    const uc_view prediction = case_random(UC_F16, UC_PLAIN, UC_SHAPE4(2 * B, 2 * C, SIDE, SIDE), 2);
    uc_view singles = case_view(UC_F32, UC_PLAIN, x.shape);
    int64_t seeds[B] = { 7, 123456789012345, -1 };
    uc_launch l = { .kind = UC_OP_noise_step,
                    .step = &step,
                    .threads = 1,
                    .attrs.noise_step = { .guided = true, .learned_variance = true } };
    for (int n = 0; n < B; n++) {
        uc_view one = case_view(UC_F32, UC_PLAIN, UC_SHAPE4(1, C, SIDE, SIDE)),
                one_x0 = case_view(UC_F32, UC_PLAIN, one.shape);
        uc_view p = case_view(UC_F16, UC_PLAIN, UC_SHAPE4(2, 2 * C, SIDE, SIDE));
        for (int i = 0; i < IMAGE; i++) case_set(&one, i, case_get(&x, n * IMAGE + i));
        for (int i = 0; i < 4 * IMAGE; i++)
            case_set(&p, i, case_get(&prediction, (i / (2 * IMAGE) * B + n) * 2 * IMAGE + i % (2 * IMAGE)));
        l.in[UC_NOISE_X] = l.out[0] = one;
        l.in[UC_NOISE_X0] = l.out[1] = one_x0;
        l.in[UC_NOISE_PREDICTION] = p;
        l.in[UC_NOISE_SEEDS] = (uc_view){ .dtype = UC_I64, .shape = UC_SHAPE1(1), .data = seeds + n };
        uc_ref_noise_step(&l);
        for (int i = 0; i < IMAGE; i++) case_set(&singles, n * IMAGE + i, case_get(&one, i));
    }
    l.in[UC_NOISE_X] = l.out[0] = x;
    l.in[UC_NOISE_X0] = l.out[1] = x0;
    l.in[UC_NOISE_PREDICTION] = prediction;
    l.in[UC_NOISE_SEEDS] = (uc_view){ .dtype = UC_I64, .shape = UC_SHAPE1(B), .data = seeds };
    uc_ref_noise_step(&l);
    expect_same(&x, &singles, 0, "batch and singles");
}

/* ref_sample_token.c - the draw of a token by the autoregressive prior: against softmax's probabilities, by Pearson's
 * chi-square over many seeds, and at its edges. */
#include <criterion/criterion.h>
#include <math.h>

#include "kernels/ops.h"

enum { TOKENS = 6, DRAWS = 20000 };

typedef struct draw_case {
    const float *logits; /* [TOKENS], or [2 TOKENS] when guided */
    bool guided;
    uc_step step;
} draw_case;

static int32_t draw(const draw_case *c, int64_t seed) {
    int32_t token = -7;
    uc_launch l = { .kind = UC_OP_sample_token, .step = &c->step, .threads = 1 };
    l.attrs.sample_token.guided = c->guided;
    l.in[UC_SAMPLE_SEEDS] = (uc_view){ .dtype = UC_I64, .shape = UC_SHAPE1(1), .data = &seed };
    l.in[UC_SAMPLE_LOGITS] = (uc_view){ .dtype = UC_F32, .shape = UC_SHAPE2(c->guided ? 2 : 1, TOKENS),
                                        .data = (void *)(uintptr_t)c->logits };
    l.out[0] = (uc_view){ .dtype = UC_I32, .shape = UC_SHAPE2(1, 1), .data = &token };
    uc_ref_sample_token(&l);
    return token;
}

/* 5 degrees of freedom: 20.5 is exceeded by chance once in a thousand; the seeds are fixed. */
static void expect_probabilities(const draw_case *c, const double *logits, const char *what) {
    double p[TOKENS], sum = 0, chi = 0;
    int counts[TOKENS] = { 0 };
    for (int j = 0; j < TOKENS; j++) sum += p[j] = exp(logits[j]);
    for (int64_t seed = 0; seed < DRAWS; seed++) {
        const int32_t token = draw(c, seed);
        cr_assert(token >= 0 && token < TOKENS, "%s: token %d", what, (int)token);
        counts[token]++;
    }
    for (int j = 0; j < TOKENS; j++) {
        const double expected = DRAWS * p[j] / sum;
        chi += (counts[j] - expected) * (counts[j] - expected) / expected;
    }
    cr_expect(chi < 20.5, "%s: chi-square %.2f of 5 degrees of freedom", what, chi);
}

static const float logits[2 * TOKENS] = { 0, 1, -1, 2, 0.5f, -0.5f, 1, 0, 0.25f, 1.5f, -1, 0 };

Test(ref_sample_token, softmax) {
    const draw_case c = { logits, false, { .stage = 0, .noise_index = 3, .temperature = 1 } };
    expect_probabilities(&c, (const double[]){ 0, 1, -1, 2, 0.5, -0.5 }, "plain");
}

Test(ref_sample_token, temperature) {
    const draw_case c = { logits, false, { .stage = 0, .noise_index = 9, .temperature = 2 } };
    expect_probabilities(&c, (const double[]){ 0, 0.5, -0.5, 1, 0.25, -0.25 }, "temperature 2");
}

/* u + 2 (c - u): rows of u first. */
Test(ref_sample_token, guidance) {
    const draw_case c = { logits, true, { .stage = 0, .noise_index = 1, .temperature = 1, .guidance = 2 } };
    expect_probabilities(&c, (const double[]){ 2, -1, 1.5, 1, -2.5, 0.5 }, "guided");
}

Test(ref_sample_token, draws_are_keyed) {
    const draw_case a = { logits, false, { .stage = 0, .noise_index = 1, .temperature = 1 } };
    draw_case b = a, other_stage = a;
    b.step.noise_index = 2;
    other_stage.step.stage = 1;
    int same_draw = 0, same_stage = 0;
    for (int64_t seed = 0; seed < 200; seed++) {
        cr_assert_eq(draw(&a, seed), draw(&a, seed));
        same_draw += draw(&a, seed) == draw(&b, seed);
        same_stage += draw(&a, seed) == draw(&other_stage, seed);
    }
    cr_expect(same_draw < 150 && same_stage < 150, "equal of 200: %d by draw, %d by stage", same_draw, same_stage);
}

Test(ref_sample_token, temperature_zero_takes_the_largest) {
    const float ties[TOKENS] = { -3, 4, 1, 4, 4, -INFINITY }, none[TOKENS] = { 0 };
    const float broken[TOKENS] = { 0, 9, NAN, 3, 1, 1 };
    draw_case c = { ties, false, { .temperature = 0 } };
    for (int64_t seed = 0; seed < 20; seed++) cr_expect_eq(draw(&c, seed), 1, "the first of equal ones");
    c.logits = none;
    cr_expect_eq(draw(&c, 1), 0);
    c.logits = broken;
    cr_expect_eq(draw(&c, 1), -1, "a NaN is said");
    c.step.temperature = 1;
    cr_expect_eq(draw(&c, 1), -1);
}

/* inverse.c - DDIM inversion: guided-diffusion's reverse step in double, networks for which the inversion is exact, and
 * the refinement that makes it so for others. */
#include "sampling_case.h"

static const uc_prediction kinds[] = { UC_PREDICT_EPSILON, UC_PREDICT_SAMPLE, UC_PREDICT_V };

static uc_sampler_plan *ddim(const uc_scheduler_config *config, int steps, bool inverse) {
    return plan_of(config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDIM, .steps = steps, .inverse = inverse });
}

Test(sampling_inverse, visits_the_forward_timesteps_in_rising_order) {
    const uc_scheduler_config config = karlo_config();
    uc_sampler_plan *forward = ddim(&config, 25, false), *inverse = ddim(&config, 25, true);
    cr_assert_eq(inverse->count, 25);
    for (int i = 0; i < 25; i++) {
        cr_assert_eq(inverse->timesteps[i], forward->timesteps[24 - i]);
        cr_assert_eq(inverse->steps[i].index, i);
        cr_assert_eq(inverse->steps[i].add_noise, 0);
    }
    cr_assert_null(forward->refine);
    uc_sampler_plan_free(forward);
    uc_sampler_plan_free(inverse);
}

/* guided-diffusion's ddim_reverse_sample, from a table of its own: alpha_bar(u) = cos^2(pi/2 (u + 0.008) / 1.008). */
Test(sampling_inverse, guided_diffusions_reverse_step) {
    const double pi = acos(-1.0);
    double alpha_bars[1000], product = 1;
    for (int i = 0; i < 1000; i++) {
        const double c0 = cos((i / 1000.0 + 0.008) / 1.008 * pi / 2);
        const double c1 = cos(((i + 1) / 1000.0 + 0.008) / 1.008 * pi / 2);
        product *= 1 - fmin(1 - c1 * c1 / (c0 * c0), 0.999);
        alpha_bars[i] = product;
    }
    const uc_scheduler_config config = karlo_config();
    uc_sampler_plan *plan = ddim(&config, 50, true);
    static const double samples[] = { -1.4, -0.3, 0, 0.6, 1.1 }, predictions[] = { -1.2, 0.05, 0.9 };
    for (int i = 0; i + 1 < plan->count; i++)
        for (size_t k = 0; k < 15; k++) {
            const double x = samples[k % 5], m = predictions[k / 5];
            const double a = alpha_bars[(int)plan->timesteps[i]], next = alpha_bars[(int)plan->timesteps[i + 1]];
            const double x0 = fmin(fmax((x - sqrt(1 - a) * m) / sqrt(a), -1), 1);
            const double e = (sqrt(1 / a) * x - x0) / sqrt(1 / a - 1);
            assert_near(apply_step(UC_PREDICT_EPSILON, &plan->steps[i], x, m, 0, 0, false, 0).x,
                        sqrt(next) * x0 + sqrt(1 - next) * e, 3e-4 * (1 + fabs(e)), "step %d, x %g, prediction %g", i, x, m);
        }
    uc_sampler_plan_free(plan);
}

/* ---- there and back ---------------------------------------------------------------------------------------------- */

/* A network for one number, as its clean sample: x0(x, t) = constant + slope x + bend sin(2 x). */
typedef struct network {
    double constant, slope, bend;
} network;

static double predict(const network *n, uc_prediction kind, const uc_step *s, double x) {
    const double a = (double)s->sqrt_alpha_bar, b = (double)s->sqrt_beta_bar;
    const double x0 = n->constant + n->slope * x + n->bend * sin(2 * x);
    return true_prediction(kind, s, x0, (x - a * x0) / b);
}

static double invert(const network *n, uc_prediction kind, const uc_sampler_plan *plan, double x, int rounds) {
    for (int i = 0; i + 1 < plan->count; i++) {
        const double before = x;
        x = apply_step(kind, &plan->steps[i], x, predict(n, kind, &plan->steps[i], x), 0, 0, false, 0).x;
        for (int k = 0; k < rounds; k++) {
            const uc_step *s = &plan->refine[i + 1];
            x = apply_step(kind, s, x, predict(n, kind, s, x), 0, 0, false, before).x;
        }
    }
    return x;
}

/* All forward steps but the last, to the sample for one of the first timestep, where the inversion began. */
static double redraw(const network *n, uc_prediction kind, const uc_sampler_plan *plan, double x) {
    for (int i = 0; i + 1 < plan->count; i++)
        x = apply_step(kind, &plan->steps[i], x, predict(n, kind, &plan->steps[i], x), 0, 0, false, 0).x;
    return x;
}

static double there_and_back(const network *n, uc_scheduler_config config, uc_prediction kind, int steps, int rounds,
                             double x) {
    config.prediction = kind;
    uc_sampler_plan *inverse = ddim(&config, steps, true), *forward = ddim(&config, steps, false);
    const double back = redraw(n, kind, forward, invert(n, kind, inverse, x, rounds));
    uc_sampler_plan_free(inverse);
    uc_sampler_plan_free(forward);
    return back;
}

Test(sampling_inverse, exact_for_a_constant_network) {
    const uc_scheduler_config configs[] = { karlo_config(), linear_config(UC_SCHEDULER_DDIM, UC_SPACING_LEADING),
                                            linear_config(UC_SCHEDULER_UNCLIP, UC_SPACING_LINSPACE) };
    const network n = { .constant = 0.4 };
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < 3; k++)
            for (double x = -1; x <= 1; x += 0.25)
                assert_near(there_and_back(&n, configs[c], kinds[k], 20, 0, x), x, 2e-5, "configuration %zu, kind %zu",
                            c, k);
}

Test(sampling_inverse, refinement_makes_it_exact_for_others) {
    const network n = { .constant = 0.1, .slope = 0.2, .bend = 0.15 };
    const uc_scheduler_config configs[] = { karlo_config(), linear_config(UC_SCHEDULER_UNCLIP, UC_SPACING_LINSPACE) };
    for (size_t c = 0; c < 2; c++)
        for (size_t k = 0; k < 3; k++) {
            double plain = 0;
            for (double x = -0.9; x <= 0.9; x += 0.3) {
                plain = fmax(plain, fabs(there_and_back(&n, configs[c], kinds[k], 20, 0, x) - x));
                assert_near(there_and_back(&n, configs[c], kinds[k], 20, 300, x), x, 5e-5, "configuration %zu, kind %zu",
                            c, k);
            }
            cr_assert_gt(plain, 1e-3, "configuration %zu, kind %zu: the plain inversion needs no refinement", c, k);
        }
}

/* diffusers' form goes by the raw prediction, which its refinement solves in another way. */
Test(sampling_inverse, refinement_of_diffusers_form) {
    const uc_scheduler_config config = linear_config(UC_SCHEDULER_DDIM, UC_SPACING_LEADING);
    const network n = { .constant = 0.1, .slope = 0.2, .bend = 0.15 };
    for (size_t k = 0; k < 3; k++) {
        const double plain = fabs(there_and_back(&n, config, kinds[k], 20, 0, 0.5) - 0.5);
        const double refined = fabs(there_and_back(&n, config, kinds[k], 20, 40, 0.5) - 0.5);
        cr_assert_lt(refined, 1e-4, "kind %zu: %g", k, refined);
        cr_assert_gt(plain, 10 * refined, "kind %zu", k);
    }
}

Test(sampling_inverse, what_cannot_be_run_backwards_is_refused) {
    const uc_scheduler_config config = karlo_config();
    unclip_error err = { 0 };
    uc_sampler_plan *plan = NULL;
    uc_sampler_request request = { .steps = 10, .inverse = true };
    cr_assert_eq(uc_sampler_plan_new(&plan, &config, &request, &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_str_eq(err.message, "only the sampler \"ddim\" can be run backwards");
    request.sampler = UNCLIP_SAMPLER_DDIM;
    request.steps = 1;
    cr_assert_eq(uc_sampler_plan_new(&plan, &config, &request, &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_str_eq(err.message, "an inversion needs at least 2 steps");
    cr_assert_null(plan);
}

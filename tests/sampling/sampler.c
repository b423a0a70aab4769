/* sampler.c - the coefficients of the samplers: anchors of diffusers' own tests, and what must hold for any of them. */
#include "sampling_case.h"

#include "engine/sampling/noise.h"

static const uc_prediction kinds[] = { UC_PREDICT_EPSILON, UC_PREDICT_SAMPLE, UC_PREDICT_V };

/* diffusers tests/schedulers/test_scheduler_unclip.py; with 1000 steps every step goes to the timestep below. */
Test(sampling_sampler, unclip_anchors) {
    uc_scheduler_config config = karlo_config();
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .steps = 1000 });
    cr_assert_eq(plan->sampler, UNCLIP_SAMPLER_UNCLIP);
    assert_near(plan->steps[999].sigma, 1e-10, 1e-16, "t 0");
    assert_near(plan->steps[999 - 487].sigma, 0.0549625, 1e-7, "t 487");
    assert_near(plan->steps[0].sigma, 0.9994987, 1e-7, "t 999");
    cr_assert_not(plan->learned_variance);
    uc_sampler_plan_free(plan);
    config.variance = UC_VARIANCE_LEARNED_RANGE;
    plan = plan_of(&config, (uc_sampler_request){ .steps = 1000 });
    cr_assert(plan->learned_variance);
    static const struct {
        int t;
        double log_variance;
    } wanted[] = { { 1, -10.1712790 }, { 487, -5.7998052 }, { 999, -0.0010011 } };
    for (int i = 0; i < 3; i++) {
        const uc_step *s = &plan->steps[999 - wanted[i].t];
        const double f = (0.5 + 1) / 2;
        assert_near(f * (double)s->log_max + (1 - f) * (double)s->log_min, wanted[i].log_variance, 1e-6, "t %d",
                    wanted[i].t);
    }
    uc_sampler_plan_free(plan);
}

/* UnCLIPScheduler's cancellation at timestep 0: a saturated pixel ends at 0.99974 of its range. Not so DDPM. */
Test(sampling_sampler, last_step_of_unclip) {
    const uc_scheduler_config config = karlo_config();
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .steps = 25 });
    assert_near(plan->steps[24].c_x0, 0.9994723, 5e-8, "UnCLIPScheduler");
    cr_assert_eq(plan->steps[24].c_x, 0.0f);
    uc_sampler_plan_free(plan);
    plan = plan_of(&config, (uc_sampler_request){ .steps = 25, .sampler = UNCLIP_SAMPLER_DDPM });
    cr_assert_eq(plan->steps[24].c_x0, 1.0f);
    uc_sampler_plan_free(plan);
}

Test(sampling_sampler, bookkeeping) {
    const uc_scheduler_config config = karlo_config();
    const float timesteps[] = { 999, 832, 666, 500, 333, 166, 0 };
    for (int sampler = UNCLIP_SAMPLER_UNCLIP; sampler <= UNCLIP_SAMPLER_DPMPP_2M; sampler++) {
        static float gamma[1000];
        uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .sampler = (unclip_sampler)sampler,
                                                                       .steps = 7,
                                                                       .eta = 1,
                                                                       .gamma = gamma,
                                                                       .guidance = 4.5f,
                                                                       .stage = 3 });
        cr_assert_eq(plan->count, 7);
        cr_assert_eq((int)plan->sampler, sampler);
        for (int i = 0; i < 7; i++) {
            const uc_step *s = &plan->steps[i];
            cr_assert_eq(s->index, i);
            cr_assert_eq(s->noise_index, (uint32_t)i + 1);
            cr_assert_eq(s->stage, 3u);
            cr_assert_eq(s->guidance, 4.5f);
            cr_assert_eq(s->clip, 1.0f);
            cr_assert_eq(plan->timesteps[i], timesteps[i]);
            cr_assert_eq(s->add_noise != 0, sampler != UNCLIP_SAMPLER_DPMPP_2M && i < 6, "sampler %d step %d", sampler,
                         i);
            cr_assert(isfinite(s->c_x0) && isfinite(s->c_x) && isfinite(s->c_pred) && isfinite(s->c_old) &&
                      isfinite(s->sigma) && isfinite(s->log_min) && isfinite(s->log_max));
        }
        uc_sampler_plan_free(plan);
    }
}

Test(sampling_sampler, default_is_the_class) {
    static const unclip_sampler wanted[] = { UNCLIP_SAMPLER_UNCLIP, UNCLIP_SAMPLER_DDPM, UNCLIP_SAMPLER_DDIM,
                                             UNCLIP_SAMPLER_DPMPP_2M };
    for (int class_id = UC_SCHEDULER_UNCLIP; class_id <= UC_SCHEDULER_DPMSOLVER_MULTISTEP; class_id++) {
        uc_scheduler_config config = karlo_config();
        config.class_id = (uc_scheduler_class)class_id;
        config.variance = UC_VARIANCE_LEARNED_RANGE;
        uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .steps = 5 });
        cr_assert_eq(plan->sampler, wanted[class_id]);
        cr_assert_eq(plan->learned_variance, class_id <= UC_SCHEDULER_DDPM, "class %d", class_id);
        uc_sampler_plan_free(plan);
    }
    /* a sampler with a variance of its own leaves the learned one alone */
    uc_scheduler_config config = karlo_config();
    config.variance = UC_VARIANCE_LEARNED_RANGE;
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDPM, .steps = 5 });
    cr_assert_not(plan->learned_variance);
    cr_assert_gt(plan->steps[0].sigma, 0.0f);
    uc_sampler_plan_free(plan);
}

/* With a true prediction, x = sqrt(alpha_bar) x0 + sqrt(beta_bar) n must become a sample of the same form one level
 * lower: x0 with the factor sqrt(alpha_bar'), and n and the new noise with the variance 1 - alpha_bar' together. */
static void check_marginals(const uc_scheduler_config *config, uc_sampler_request request, const char *what) {
    uc_sampler_plan *plan = plan_of(config, request);
    for (int i = 0; i < plan->count; i++) {
        const uc_step *s = &plan->steps[i], *next = i + 1 < plan->count ? &plan->steps[i + 1] : NULL;
        const double a = (double)s->sqrt_alpha_bar, b = (double)s->sqrt_beta_bar;
        const double a_next = next ? (double)next->sqrt_alpha_bar : 1, b_next = next ? (double)next->sqrt_beta_bar : 0;
        const uc_prediction kind = plan->prediction;
        const double from_x0 =
            apply_step(kind, s, a, true_prediction(kind, s, 1, 0), 1, -1, plan->learned_variance, 0).x;
        const double from_n =
            apply_step(kind, s, b, true_prediction(kind, s, 0, 1), 0, -1, plan->learned_variance, 0).x;
        const double fresh = apply_step(kind, s, 0, 0, 0, -1, plan->learned_variance, 1).x;
        /* 6e-4: UnCLIPScheduler's cancellation in the last step */
        assert_near(from_x0, a_next, 6e-4, "%s, step %d of %d, the clean part", what, i, plan->count);
        assert_near(from_n * from_n + fresh * fresh, b_next * b_next, 2e-5, "%s, step %d of %d, the noise", what, i,
                    plan->count);
    }
    uc_sampler_plan_free(plan);
}

Test(sampling_sampler, true_predictions_stay_on_the_path) {
    static const struct {
        unclip_sampler sampler;
        float eta;
        const char *what;
    } samplers[] = {
        { UNCLIP_SAMPLER_UNCLIP, 0, "UNCLIP" },   { UNCLIP_SAMPLER_DDPM, 0, "DDPM" },
        { UNCLIP_SAMPLER_DDIM, 0, "DDIM eta 0" }, { UNCLIP_SAMPLER_DDIM, 0.5f, "DDIM eta 0.5" },
        { UNCLIP_SAMPLER_DDIM, 1, "DDIM eta 1" }, { UNCLIP_SAMPLER_DPMPP_2M, 0, "DPM-Solver++" },
    };
    static const char *const respacings[] = { NULL, "fast27", "3,4,5" };
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++)
            for (size_t r = 0; r < 3; r++)
                for (int class_id = UC_SCHEDULER_UNCLIP; class_id <= UC_SCHEDULER_DDIM; class_id++) {
                    uc_scheduler_config config = karlo_config();
                    config.clip = 0;
                    config.prediction = kinds[k];
                    config.class_id = (uc_scheduler_class)class_id;
                    /* diffusers' DDIM goes down by train / steps, which only this spacing agrees with */
                    if (class_id == UC_SCHEDULER_DDIM) config.spacing = UC_SPACING_LEADING;
                    check_marginals(&config,
                                    (uc_sampler_request){ .sampler = samplers[i].sampler,
                                                          .steps = 20,
                                                          .eta = samplers[i].eta,
                                                          .respacing = respacings[r] },
                                    samplers[i].what);
                }
    uc_scheduler_config config = karlo_config();
    config.clip = 0;
    config.variance = UC_VARIANCE_LEARNED_RANGE; /* v = -1 is the small variance */
    check_marginals(&config, (uc_sampler_request){ .steps = 25 }, "UNCLIP learned");
}

/* Ho et al.'s posterior is the member eta = 1 of Song et al.'s family, in its mean and its variance. */
Test(sampling_sampler, ddim_with_eta_one_is_ddpm) {
    const uc_scheduler_config config = karlo_config();
    uc_sampler_plan *ddim =
        plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDIM, .steps = 25, .eta = 1 });
    uc_sampler_plan *ddpm = plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDPM, .steps = 25 });
    for (int i = 0; i < 25; i++) {
        if (i < 24) assert_near(ddim->steps[i].sigma, ddpm->steps[i].sigma, 2e-6, "step %d", i);
        assert_near(ddim->steps[i].c_x0, ddpm->steps[i].c_x0, 2e-5, "step %d", i);
        assert_near(ddim->steps[i].c_x, ddpm->steps[i].c_x, 2e-5, "step %d", i);
    }
    uc_sampler_plan_free(ddim);
    uc_sampler_plan_free(ddpm);
}

/* Both forms of DDIM are the same step until the clamp bites; then guided-diffusion's goes on from the clamped
 * estimate. */
Test(sampling_sampler, ddim_forms_differ_by_the_clamp_alone) {
    for (size_t k = 0; k < 3; k++) {
        uc_scheduler_config config = karlo_config();
        config.spacing = UC_SPACING_LEADING;
        config.prediction = kinds[k];
        const uc_sampler_request request = { .sampler = UNCLIP_SAMPLER_DDIM, .steps = 20, .eta = 0.3f };
        uc_sampler_plan *guided = plan_of(&config, request);
        config.class_id = UC_SCHEDULER_DDIM;
        uc_sampler_plan *diffusers = plan_of(&config, request);
        for (int i = 0; i < 20; i++) {
            const uc_step *g = &guided->steps[i], *d = &diffusers->steps[i];
            for (int clamped = 0; clamped < 2; clamped++) {
                const double x0 = clamped ? 3 : 0.4, n = -0.7;
                const double x = (double)g->sqrt_alpha_bar * x0 + (double)g->sqrt_beta_bar * n;
                const double m = true_prediction(kinds[k], g, x0, n);
                const double one = apply_step(kinds[k], g, x, m, 0, 0, false, 0).x;
                const double other = apply_step(kinds[k], d, x, m, 0, 0, false, 0).x;
                if (!clamped) assert_near(one, other, 1e-4, "prediction %zu step %d", k, i);
                else if (i < 19)
                    cr_assert_gt(fabs(one - other), 1e-3, "prediction %zu step %d: %g %g", k, i, one, other);
            }
        }
        uc_sampler_plan_free(guided);
        uc_sampler_plan_free(diffusers);
    }
}

/* ---- data for which the best prediction is known: x0 from a normal distribution of variance SPREAD --------------- */

#define SPREAD 0.49

/* E[x0 | x] = x sqrt(alpha_bar) SPREAD / (alpha_bar SPREAD + beta_bar) */
static double best_x0(const uc_step *s, double x) {
    const double a = (double)s->sqrt_alpha_bar, b = (double)s->sqrt_beta_bar;
    return x * a * SPREAD / (a * a * SPREAD + b * b);
}

static double best_prediction(uc_prediction kind, const uc_step *s, double x) {
    const double x0 = best_x0(s, x), n = (x - (double)s->sqrt_alpha_bar * x0) / (double)s->sqrt_beta_bar;
    return true_prediction(kind, s, x0, n);
}

/* The variance of Analytic-DPM is exact for normal data: every marginal has its true variance, with any number of
 * steps, where the fixed small variance loses some. */
Test(sampling_sampler, analytic_variance_is_exact_for_normal_data) {
    /* not the cosine schedule: at its noisiest end gamma differs from 1 by less than a float can say */
    const uc_scheduler_config config = linear_config(UC_SCHEDULER_UNCLIP, UC_SPACING_UNCLIP);
    static float gamma[1000];
    uc_sampler_plan *all = plan_of(&config, (uc_sampler_request){ .steps = 1000 });
    for (int i = 0; i < 1000; i++) {
        const double b = (double)all->steps[i].sqrt_beta_bar, a = (double)all->steps[i].sqrt_alpha_bar;
        gamma[999 - i] = (float)(b * b / (a * a * SPREAD + b * b)); /* E eps^2 of the best prediction */
    }
    uc_sampler_plan_free(all);
    double lost = 0;
    for (int analytic = 0; analytic < 2; analytic++) {
        uc_sampler_plan *plan =
            plan_of(&config, (uc_sampler_request){ .sampler = analytic ? UNCLIP_SAMPLER_ANALYTIC : UNCLIP_SAMPLER_DDPM,
                                                   .steps = 12,
                                                   .gamma = gamma });
        const uc_step *first = &plan->steps[0];
        double variance = (double)first->sqrt_alpha_bar * (double)first->sqrt_alpha_bar * SPREAD +
                          (double)first->sqrt_beta_bar * (double)first->sqrt_beta_bar;
        for (int i = 0; i + 1 < 12; i++) {
            const uc_step *s = &plan->steps[i], *next = &plan->steps[i + 1];
            const double gain = (double)s->c_x0 * best_x0(s, 1) + (double)s->c_x;
            variance = gain * gain * variance + (double)s->sigma * (double)s->sigma;
            const double a = (double)next->sqrt_alpha_bar, b = (double)next->sqrt_beta_bar;
            if (analytic) assert_near(variance / (a * a * SPREAD + b * b), 1, 1e-4, "step %d", i);
            else lost = fmax(lost, 1 - variance / (a * a * SPREAD + b * b));
        }
        uc_sampler_plan_free(plan);
    }
    cr_assert_gt(lost, 0.02, "the fixed small variance lost only %g: the case shows nothing", lost);
}

/* A table of ones says that the prediction explains all noise, which leaves the posterior's own variance; a smaller one
 * adds at most what data within the clamp can vary by. */
Test(sampling_sampler, analytic_variance_has_its_bounds) {
    static float gamma[1000];
    uc_scheduler_config config = karlo_config();
    uc_sampler_plan *ddpm = plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDPM, .steps = 25 });
    config.clip = 3;
    for (int g = 0; g < 3; g++) {
        for (int t = 0; t < 1000; t++) gamma[t] = (const float[]){ 1, 2, 0 }[g];
        uc_sampler_plan *plan =
            plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_ANALYTIC, .steps = 25, .gamma = gamma });
        for (int i = 0; i < 24; i++) {
            const uc_step *s = &plan->steps[i], *d = &ddpm->steps[i];
            cr_assert_eq(s->c_x0, d->c_x0);
            cr_assert_eq(s->c_x, d->c_x);
            if (g < 2) assert_near(s->sigma, d->sigma, 2e-6, "step %d", i);
            /* c_x0 squared weighs the data's variance; at gamma 0 that is min(beta_bar / alpha_bar, clip squared) */
            const double b = (double)s->sqrt_beta_bar, a = (double)s->sqrt_alpha_bar, weight = (double)s->c_x0;
            const double most = fmin(b * b / (a * a), 9);
            if (g == 2)
                assert_near((double)s->sigma * (double)s->sigma,
                            (double)d->sigma * (double)d->sigma + weight * weight * most, 1e-5, "step %d", i);
        }
        uc_sampler_plan_free(plan);
    }
    uc_sampler_plan_free(ddpm);
}

/* Error at the end of the deterministic path of normal data: the true path keeps x / sqrt(its variance). */
static double path_error(unclip_sampler sampler, uc_prediction kind, int steps) {
    uc_scheduler_config config = linear_config(UC_SCHEDULER_UNCLIP, UC_SPACING_UNCLIP);
    config.prediction = kind;
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .sampler = sampler, .steps = steps });
    const double a = (double)plan->steps[0].sqrt_alpha_bar, b = (double)plan->steps[0].sqrt_beta_bar;
    double x = sqrt(a * a * SPREAD + b * b), x0 = NAN;
    for (int i = 0; i < steps; i++) {
        const uc_step *s = &plan->steps[i];
        const stepped after = apply_step(kind, s, x, best_prediction(kind, s, x), s->c_old != 0 ? x0 : 0, 0, false, 0);
        x = after.x;
        x0 = after.x0;
    }
    uc_sampler_plan_free(plan);
    return fabs(x - sqrt(SPREAD));
}

/* Orders of convergence: twice the steps halve the error of DDIM and quarter that of DPM-Solver++. */
Test(sampling_sampler, deterministic_samplers_converge) {
    for (size_t k = 0; k < 3; k++) {
        const double ddim = path_error(UNCLIP_SAMPLER_DDIM, kinds[k], 80);
        const double ddim_finer = path_error(UNCLIP_SAMPLER_DDIM, kinds[k], 160);
        const double dpm = path_error(UNCLIP_SAMPLER_DPMPP_2M, kinds[k], 80);
        const double dpm_finer = path_error(UNCLIP_SAMPLER_DPMPP_2M, kinds[k], 160);
        cr_assert(ddim / ddim_finer > 1.8 && ddim / ddim_finer < 2.2, "DDIM: %g, then %g", ddim, ddim_finer);
        cr_assert(dpm / dpm_finer > 3.5 && dpm / dpm_finer < 5, "DPM-Solver++: %g, then %g", dpm, dpm_finer);
        cr_assert_lt(dpm_finer, ddim_finer / 4);
    }
}

/* One step of DPM-Solver++ without a past is DDIM's. */
Test(sampling_sampler, first_order_dpm_is_ddim) {
    const uc_scheduler_config config = karlo_config();
    uc_sampler_plan *dpm = plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DPMPP_2M, .steps = 25 });
    uc_sampler_plan *ddim = plan_of(&config, (uc_sampler_request){ .sampler = UNCLIP_SAMPLER_DDIM, .steps = 25 });
    for (int i = 0; i < 25; i++) {
        const uc_step *s = &dpm->steps[i], *d = &ddim->steps[i];
        cr_assert_eq(s->c_old == 0, i == 0 || i == 24, "step %d", i);
        assert_near(s->c_x0 + s->c_old, d->c_x0, 3e-6, "step %d", i);
        assert_near(s->c_x, d->c_x, 3e-6, "step %d", i);
    }
    cr_assert_eq(dpm->steps[24].c_x0, 1.0f);
    cr_assert_eq(dpm->steps[24].c_x, 0.0f);
    uc_sampler_plan_free(dpm);
    uc_sampler_plan_free(ddim);
}

/* Ancestral sampling of normal data with the engine's own noise gives normal data (4000 samples: 5 sigma are 11 %). */
Test(sampling_sampler, ancestral_samples_have_the_right_spread) {
    enum { SAMPLES = 4000, STEPS = 100 };
    static float x[SAMPLES], noise[SAMPLES];
    uc_scheduler_config config = karlo_config();
    config.clip = 0;
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .steps = STEPS });
    uc_philox_fill(x, SAMPLES, 5, 1, 0);
    for (int i = 0; i < STEPS; i++) {
        const uc_step *s = &plan->steps[i];
        uc_philox_fill(noise, SAMPLES, 5, s->stage, s->noise_index);
        for (int k = 0; k < SAMPLES; k++) {
            const double m = best_prediction(UC_PREDICT_EPSILON, s, (double)x[k]);
            x[k] = (float)apply_step(UC_PREDICT_EPSILON, s, (double)x[k], m, 0, 0, false, (double)noise[k]).x;
        }
    }
    double variance = 0;
    for (int k = 0; k < SAMPLES; k++) variance += (double)x[k] * (double)x[k] / SAMPLES;
    assert_near(variance / SPREAD, 1, 0.11, "%d samples", SAMPLES);
    uc_sampler_plan_free(plan);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void expect_refusal(const uc_scheduler_config *config, uc_sampler_request request, unclip_status status,
                           const char *word) {
    unclip_error err = { 0 };
    uc_sampler_plan *plan = NULL;
    cr_assert_eq(uc_sampler_plan_new(&plan, config, &request, &err), status, "\"%s\"", err.message);
    cr_assert_eq(err.status, status);
    cr_assert_null(plan);
    cr_assert_not_null(strstr(err.message, word), "\"%s\" does not say \"%s\"", err.message, word);
    cr_assert_eq(uc_sampler_plan_new(&plan, config, &request, NULL), status);
}

Test(sampling_sampler, refusals) {
    uc_scheduler_config config = karlo_config();
    expect_refusal(&config, (uc_sampler_request){ .steps = 0 }, UNCLIP_ERR_ARGUMENT, "steps");
    expect_refusal(&config, (uc_sampler_request){ .steps = 5, .respacing = "soon" }, UNCLIP_ERR_ARGUMENT, "soon");
    expect_refusal(&config, (uc_sampler_request){ .steps = 5, .sampler = (unclip_sampler)6 }, UNCLIP_ERR_ARGUMENT, "6");
    expect_refusal(&config, (uc_sampler_request){ .steps = 5, .sampler = (unclip_sampler)-1 }, UNCLIP_ERR_ARGUMENT,
                   "-1");
    const float etas[] = { -0.1f, 1.1f, NAN, INFINITY };
    for (int i = 0; i < 4; i++)
        expect_refusal(&config, (uc_sampler_request){ .steps = 5, .sampler = UNCLIP_SAMPLER_DDIM, .eta = etas[i] },
                       UNCLIP_ERR_ARGUMENT, "eta");
    expect_refusal(&config, (uc_sampler_request){ .steps = 5, .guidance = NAN }, UNCLIP_ERR_ARGUMENT, "guidance");
    const uc_sampler_request analytic = { .steps = 5, .sampler = UNCLIP_SAMPLER_ANALYTIC };
    expect_refusal(&config, analytic, UNCLIP_ERR_UNSUPPORTED, "analytic");
    static float gamma[1000];
    for (int i = 0; i < 3; i++) {
        gamma[321] = (const float[]){ -1, NAN, INFINITY }[i];
        uc_sampler_request request = analytic;
        request.gamma = gamma;
        expect_refusal(&config, request, UNCLIP_ERR_MODEL_DATA, "321");
    }
    /* 1 / sqrt(alpha_bar) at a timestep of pure noise */
    config.rescale_betas_zero_snr = true;
    expect_refusal(&config, (uc_sampler_request){ .steps = 5 }, UNCLIP_ERR_UNSUPPORTED, "rescale_betas_zero_snr");
    config.prediction = UC_PREDICT_V;
    uc_sampler_plan_free(plan_of(&config, (uc_sampler_request){ .steps = 5 }));
    config.prediction = UC_PREDICT_EPSILON; /* diffusers' DPM-Solver starts a little below pure noise */
    uc_sampler_plan *plan = plan_of(&config, (uc_sampler_request){ .steps = 5, .sampler = UNCLIP_SAMPLER_DPMPP_2M });
    assert_near(plan->steps[0].sqrt_alpha_bar * 0x1p12f, 1, 1e-6, "the first step");
    uc_sampler_plan_free(plan);
    uc_sampler_plan_free(NULL);
}

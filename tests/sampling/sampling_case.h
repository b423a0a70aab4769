/* sampling_case.h - what the tests of engine/sampling share: Karlo's configurations, and one step of a sampler in
 * double precision for a single number, written from the formulas at uc_step in kernels/ops.h. */
#ifndef UC_TESTS_SAMPLING_CASE_H
#define UC_TESTS_SAMPLING_CASE_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "engine/sampling/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline uc_scheduler_config karlo_config(void) {
    return (uc_scheduler_config){
        .class_id = UC_SCHEDULER_UNCLIP,
        .train_timesteps = 1000,
        .prediction = UC_PREDICT_EPSILON,
        .variance = UC_VARIANCE_FIXED_SMALL_LOG,
        .clip = 1,
        .beta_schedule = UC_BETA_SQUAREDCOS_CAP_V2,
        .spacing = UC_SPACING_UNCLIP,
        .set_alpha_to_one = true,
        .lambda_min_clipped = -INFINITY,
    };
}

static inline uc_scheduler_config linear_config(uc_scheduler_class class_id, uc_timestep_spacing spacing) {
    return (uc_scheduler_config){
        .class_id = class_id,
        .train_timesteps = 1000,
        .prediction = UC_PREDICT_EPSILON,
        .variance = UC_VARIANCE_FIXED_SMALL,
        .clip = 0,
        .beta_schedule = UC_BETA_LINEAR,
        .beta_start = 1e-4,
        .beta_end = 0.02,
        .spacing = spacing,
        .set_alpha_to_one = true,
        .lambda_min_clipped = -INFINITY,
    };
}

static inline uc_sampler_plan *plan_of(const uc_scheduler_config *config, uc_sampler_request request) {
    unclip_error err = { 0 };
    uc_sampler_plan *plan = NULL;
    cr_assert_eq(uc_sampler_plan_new(&plan, config, &request, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_not_null(plan);
    return plan;
}

/* What a network says of a sample x = sqrt(alpha_bar) x0 + sqrt(beta_bar) n when it is right. */
static inline double true_prediction(uc_prediction kind, const uc_step *s, double x0, double n) {
    if (kind == UC_PREDICT_SAMPLE) return x0;
    if (kind == UC_PREDICT_V) return (double)s->sqrt_alpha_bar * n - (double)s->sqrt_beta_bar * x0;
    return n;
}

typedef struct stepped {
    double x, x0;
} stepped;

static inline stepped apply_step(uc_prediction kind, const uc_step *s, double x, double m, double x0_old, double v,
                                 bool learned, double noise) {
    const double a = (double)s->sqrt_alpha_bar, b = (double)s->sqrt_beta_bar, clip = (double)s->clip;
    double x0 = kind == UC_PREDICT_SAMPLE ? m : kind == UC_PREDICT_V ? a * x - b * m : (x - b * m) / a;
    if (clip > 0) x0 = fmin(fmax(x0, -clip), clip);
    double next = (double)s->c_x0 * x0 + (double)s->c_x * x + (double)s->c_pred * m + (double)s->c_old * x0_old;
    if (s->add_noise) {
        const double f = (v + 1) / 2;
        next +=
            noise * (learned ? exp(0.5 * (f * (double)s->log_max + (1 - f) * (double)s->log_min)) : (double)s->sigma);
    }
    return (stepped){ next, x0 };
}

#define assert_near(actual, wanted, tolerance, ...)                                                             \
    do {                                                                                                        \
        const double actual_ = (double)(actual), wanted_ = (double)(wanted);                                    \
        char where_[160];                                                                                       \
        snprintf(where_, sizeof where_, __VA_ARGS__);                                                           \
        cr_assert(fabs(actual_ - wanted_) <= (tolerance), "%s: %s is %.9g, not %.9g", where_, #actual, actual_, \
                  wanted_);                                                                                     \
    } while (0)

#endif

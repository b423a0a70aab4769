/* sampler.c - the coefficients of every step of every sampler. See sampler.h for the arrows of the flow that this
 * serves.
 *
 * What diffusers computes in float is computed in float here, operation by operation in its order: at timestep 0 the
 * cancellation in 1 - alpha_bar makes UnCLIPScheduler's last factor 0.99947 instead of 1, which every picture shows. */
#include "sampler.h"

#include <math.h>
#include <stdlib.h>

/* Everything that one step is computed from. */
typedef struct site {
    const uc_scheduler_config *config;
    const uc_sampler_request *request;
    const uc_schedule *schedule;
    const uc_timesteps *timesteps;
    unclip_sampler sampler;
    uc_variance_type variance;
    float threshold; /* 0 = none */
    int index, t, prev; /* prev < 0: the clean sample follows */
    float alpha_bar, alpha_bar_prev;
} site;

static bool is_last(const site *s) { return s->index == s->timesteps->count - 1; }

/* ---- ancestral samplers ------------------------------------------------------------------------------------------ */

/* Variance q(x_prev | x_t, x_0), and beta and alpha of the jump from prev to t. */
typedef struct jump {
    float beta, alpha, variance;
} jump;

static jump jump_of(const site *s) {
    const float b = 1.0f - s->alpha_bar, b_prev = 1.0f - s->alpha_bar_prev;
    jump j;
    if (s->sampler == UNCLIP_SAMPLER_UNCLIP && s->prev == s->t - 1) {
        j.beta = s->schedule->betas[s->t];
        j.alpha = s->schedule->alphas[s->t];
    } else if (s->sampler == UNCLIP_SAMPLER_UNCLIP) {
        j.beta = 1.0f - s->alpha_bar / s->alpha_bar_prev;
        j.alpha = 1.0f - j.beta;
    } else {
        j.alpha = s->alpha_bar / s->alpha_bar_prev;
        j.beta = 1.0f - j.alpha;
    }
    j.variance = b_prev / b * j.beta;
    return j;
}

/* Equation 22 of arXiv 2201.06503. Data within +-clip varies by at most clip squared, which bounds the correction. */
static float analytic_sigma(const site *s) {
    const double a = (double)s->alpha_bar, a_prev = (double)s->alpha_bar_prev, b = 1 - a, b_prev = 1 - a_prev;
    const double beta = 1 - a / a_prev, clip = s->threshold > 0 ? 1 : (double)s->config->clip;
    const double bound = clip > 0 ? clip * clip : INFINITY;
    const double data = fmin(fmax(b / a * (1 - (double)s->request->gamma[s->t]), 0), bound);
    return (float)sqrt(beta * b_prev / b + a_prev * beta * beta / (b * b) * data);
}

static void set_variance(const site *s, const jump *j, uc_step *step) {
    /* not zero, for the logarithm */
    const float variance = fmaxf(j->variance, 1e-20f);
    if (s->sampler == UNCLIP_SAMPLER_ANALYTIC) {
        step->sigma = analytic_sigma(s);
        return;
    }
    switch (s->variance) {
    case UC_VARIANCE_FIXED_SMALL: step->sigma = sqrtf(variance); break;
    case UC_VARIANCE_FIXED_SMALL_LOG: step->sigma = expf(0.5f * logf(variance)); break;
    case UC_VARIANCE_LEARNED_RANGE:
        step->log_min = logf(variance);
        step->log_max = logf(j->beta);
        break;
    }
}

static void ancestral_step(const site *s, uc_step *step) {
    const float b = 1.0f - s->alpha_bar, b_prev = 1.0f - s->alpha_bar_prev;
    const jump j = jump_of(s);
    step->c_x0 = sqrtf(s->alpha_bar_prev) * j.beta / b;
    step->c_x = sqrtf(j.alpha) * b_prev / b;
    step->add_noise = !is_last(s);
    set_variance(s, &j, step);
}

/* ---- DDIM -------------------------------------------------------------------------------------------------------- */

/* x' = sqrt(alpha_bar') x0 + d e + sigma n. The direction e is the predicted noise; with another kind of prediction it
 * is linear in x and the prediction, before the clamp. */
static void ddim_step_as_diffusers(const site *s, uc_step *step) {
    const float a = s->alpha_bar, a_prev = s->alpha_bar_prev, b = 1.0f - a;
    const float variance = (1.0f - a_prev) / b * (1.0f - a / a_prev);
    step->sigma = s->request->eta * sqrtf(fmaxf(variance, 0));
    const float d = sqrtf(fmaxf(1.0f - a_prev - step->sigma * step->sigma, 0));
    step->c_x0 = sqrtf(a_prev);
    switch (s->config->prediction) {
    case UC_PREDICT_EPSILON: step->c_pred = d; break;
    case UC_PREDICT_SAMPLE:
        step->c_x = d / sqrtf(b);
        step->c_pred = -d * sqrtf(a) / sqrtf(b);
        break;
    case UC_PREDICT_V:
        step->c_x = d * sqrtf(b);
        step->c_pred = d * sqrtf(a);
        break;
    }
    step->add_noise = step->sigma > 0;
}

/* The same with e = (x - sqrt(alpha_bar) x0) / sqrt(1 - alpha_bar) from the clamped x0. */
static void ddim_step_as_guided_diffusion(const site *s, uc_step *step) {
    const double a = (double)s->alpha_bar, a_prev = (double)s->alpha_bar_prev, b = 1 - a;
    const double sigma = (double)s->request->eta * sqrt((1 - a_prev) / b * fmax(1 - a / a_prev, 0));
    const double d = sqrt(fmax(1 - a_prev - sigma * sigma, 0));
    step->c_x0 = (float)(sqrt(a_prev) - d * sqrt(a) / sqrt(b));
    step->c_x = (float)(d / sqrt(b));
    step->sigma = (float)sigma;
    step->add_noise = step->sigma > 0;
}

/* ---- DPM-Solver++ ------------------------------------------------------------------------------------------------ */

/* alpha^2 + sigma^2 = 1; lambda = log(alpha / sigma) is the clock of the solver. */
typedef struct level {
    float alpha, sigma, lambda;
} level;

static level level_of(float alpha_bar) {
    const float ratio = sqrtf((1.0f - alpha_bar) / alpha_bar), alpha = 1.0f / sqrtf(ratio * ratio + 1.0f);
    const float sigma = ratio * alpha;
    return (level){ alpha, sigma, logf(alpha) - logf(sigma) };
}

/* Order 2 from the estimates of this step and the one before. The first step has none before it, and the last one goes
 * to an infinite lambda: both are of order 1. */
static void dpm_step(const site *s, uc_step *step) {
    const level from = level_of(s->alpha_bar), to = level_of(s->alpha_bar_prev);
    const float h = to.lambda - from.lambda, whole = -(to.alpha * (expf(-h) - 1.0f));
    step->sqrt_alpha_bar = from.alpha;
    step->sqrt_beta_bar = from.sigma;
    step->c_x = to.sigma / from.sigma;
    step->c_x0 = whole;
    if (s->index == 0 || is_last(s)) return;
    const level before = level_of(s->schedule->alpha_bars[s->timesteps->at[s->index - 1]]);
    const float r = (from.lambda - before.lambda) / h, extrapolation = 0.5f * whole * (1.0f / r);
    step->c_x0 += extrapolation;
    step->c_old = -extrapolation;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static int previous_timestep(const site *s) {
    if (s->sampler == UNCLIP_SAMPLER_DDIM && s->config->class_id == UC_SCHEDULER_DDIM && !s->request->respacing)
        return s->t - s->schedule->count / s->timesteps->count;
    return is_last(s) ? -1 : s->timesteps->at[s->index + 1];
}

static float alpha_bar_before_all(const site *s) {
    const bool diffusers_ddim = s->sampler == UNCLIP_SAMPLER_DDIM && s->config->class_id == UC_SCHEDULER_DDIM;
    return diffusers_ddim && !s->config->set_alpha_to_one ? s->schedule->alpha_bars[0] : 1.0f;
}

/* x = c_x0 x0(y) + c_x y, the forward step, solved for the y outside of x0, and of that guess a share w is taken: for a
 * denoiser, whose x0 changes by 0 to 1 times as much as y, the share that contracts fastest. Where the forward step goes
 * by the raw prediction, in diffusers' form, x0 stands for the same by way of the prediction, its clamp left out. */
static uc_step refinement_of(uc_step forward, double alpha_bar_prev) {
    const double a = (double)forward.sqrt_alpha_bar, b = (double)forward.sqrt_beta_bar;
    const double d = sqrt(1 - alpha_bar_prev), ratio = sqrt(alpha_bar_prev) * b / d - a, w = 2 / (2 + ratio);
    uc_step step = forward;
    step.add_noise = 1;
    step.c_x = (float)(1 - w);
    step.sigma = (float)(w * b / d);
    step.c_x0 = (float)(-w * ratio);
    step.c_pred = 0;
    return step;
}

static uc_step step_of(const site *s) {
    uc_step step = {
        .index = s->index,
        .stage = s->request->stage,
        .noise_index = (uint32_t)s->index + 1,
        .guidance = s->request->guidance,
        .sqrt_alpha_bar = sqrtf(s->alpha_bar),
        .sqrt_beta_bar = sqrtf(1.0f - s->alpha_bar),
        .clip = s->config->clip,
        .threshold = s->threshold,
        .threshold_max = s->config->threshold_max,
    };
    if (s->sampler == UNCLIP_SAMPLER_DPMPP_2M) dpm_step(s, &step);
    else if (s->sampler != UNCLIP_SAMPLER_DDIM) ancestral_step(s, &step);
    else if (s->config->class_id == UC_SCHEDULER_DDIM) ddim_step_as_diffusers(s, &step);
    else ddim_step_as_guided_diffusion(s, &step);
    return step;
}

static unclip_sampler sampler_of(const uc_scheduler_config *config, unclip_sampler wanted) {
    if (wanted != UNCLIP_SAMPLER_DEFAULT) return wanted;
    switch (config->class_id) {
    case UC_SCHEDULER_DDPM: return UNCLIP_SAMPLER_DDPM;
    case UC_SCHEDULER_DDIM: return UNCLIP_SAMPLER_DDIM;
    case UC_SCHEDULER_DPMSOLVER_MULTISTEP: return UNCLIP_SAMPLER_DPMPP_2M;
    case UC_SCHEDULER_UNCLIP: break;
    }
    return UNCLIP_SAMPLER_UNCLIP;
}

static uc_variance_type variance_of(const uc_scheduler_config *config, unclip_sampler sampler) {
    const bool configured =
        sampler == UNCLIP_SAMPLER_UNCLIP || (sampler == UNCLIP_SAMPLER_DDPM && config->class_id == UC_SCHEDULER_DDPM);
    return configured ? config->variance : UC_VARIANCE_FIXED_SMALL;
}

static unclip_status check_request(const uc_scheduler_config *config, const uc_sampler_request *request,
                                   unclip_sampler sampler, unclip_error *err) {
    if (sampler < UNCLIP_SAMPLER_UNCLIP || sampler > UNCLIP_SAMPLER_DPMPP_2M)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "there is no sampler number %d", (int)sampler);
    if (sampler == UNCLIP_SAMPLER_DDIM && !(request->eta >= 0 && request->eta <= 1))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "eta must be between 0 and 1, not %g", (double)request->eta);
    if (request->inverse && sampler != UNCLIP_SAMPLER_DDIM)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "only the sampler \"ddim\" can be run backwards");
    if (!(request->threshold <= 1))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the threshold must be at most 1, not %g",
                       (double)request->threshold);
    if (!isfinite(request->guidance))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the guidance scale must be a finite number");
    if (sampler != UNCLIP_SAMPLER_ANALYTIC) return UNCLIP_OK;
    if (!request->gamma)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED,
                       "the sampler \"analytic\" needs a table of variances that this model does not have");
    for (int64_t t = 0; t < config->train_timesteps; t++)
        if (!(request->gamma[t] >= 0 && isfinite(request->gamma[t])))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                           "the analytic sampler's table has %g at timestep %lld; it must hold mean squares",
                           (double)request->gamma[t], (long long)t);
    return UNCLIP_OK;
}

/* A timestep of pure noise says nothing about x0 by its noise. diffusers' DPM-Solver puts 2^-24 there. */
static unclip_status settle_zero_snr(uc_schedule *schedule, const uc_scheduler_config *config, unclip_sampler sampler,
                                     unclip_error *err) {
    float *last = &schedule->alpha_bars[schedule->count - 1];
    if (!config->rescale_betas_zero_snr) return UNCLIP_OK;
    if (sampler == UNCLIP_SAMPLER_DPMPP_2M) *last = 0x1p-24f;
    if (!(*last > 0) && config->prediction == UC_PREDICT_EPSILON)
        return uc_fail(
            err, UNCLIP_ERR_UNSUPPORTED,
            "rescale_betas_zero_snr needs a model that predicts \"v_prediction\" or \"sample\", not \"epsilon\"");
    return UNCLIP_OK;
}

/* The same formulas with the next noisier level for the next cleaner one. */
static unclip_status fill_inverse(uc_sampler_plan *plan, site *s, unclip_error *err) {
    plan->refine = calloc((size_t)plan->count, sizeof *plan->refine);
    if (!plan->refine) return uc_fail_memory(err, (size_t)plan->count * sizeof *plan->refine, "the steps of a sampler");
    const int *at = s->timesteps->at, last = plan->count - 1;
    const float *alpha_bars = s->schedule->alpha_bars;
    if (last == 0) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "an inversion needs at least 2 steps");
    for (s->index = 0; s->index <= last; s->index++) {
        s->t = at[last - s->index];
        s->alpha_bar = alpha_bars[s->t];
        s->alpha_bar_prev = s->index < last ? alpha_bars[at[last - s->index - 1]] : 0.0f;
        plan->steps[s->index] = step_of(s);
        plan->timesteps[s->index] = (float)s->t;
        if (s->index == 0) continue;
        s->alpha_bar_prev = alpha_bars[at[last - s->index + 1]];
        plan->refine[s->index] = refinement_of(step_of(s), (double)s->alpha_bar_prev);
    }
    return UNCLIP_OK;
}

static unclip_status fill_plan(uc_sampler_plan *plan, site *s, unclip_error *err) {
    plan->count = s->timesteps->count;
    plan->steps = calloc((size_t)plan->count, sizeof *plan->steps);
    plan->timesteps = calloc((size_t)plan->count, sizeof *plan->timesteps);
    if (!plan->steps || !plan->timesteps)
        return uc_fail_memory(err, (size_t)plan->count * sizeof *plan->steps, "the steps of a sampler");
    plan->sampler = s->sampler;
    plan->prediction = s->config->prediction;
    plan->learned_variance = s->variance == UC_VARIANCE_LEARNED_RANGE;
    plan->threshold = s->threshold > 0;
    if (s->request->inverse) return fill_inverse(plan, s, err);
    for (s->index = 0; s->index < plan->count; s->index++) {
        s->t = s->timesteps->at[s->index];
        s->prev = previous_timestep(s);
        s->alpha_bar = s->schedule->alpha_bars[s->t];
        s->alpha_bar_prev = s->prev >= 0 ? s->schedule->alpha_bars[s->prev] : alpha_bar_before_all(s);
        plan->steps[s->index] = step_of(s);
        plan->timesteps[s->index] = (float)s->t;
    }
    return UNCLIP_OK;
}

static unclip_status make_plan(uc_sampler_plan *plan, const uc_scheduler_config *config,
                               const uc_sampler_request *request, unclip_error *err) {
    const unclip_sampler sampler = sampler_of(config, request->sampler);
    uc_schedule *schedule = NULL;
    uc_timesteps timesteps = { 0 };
    unclip_status status = uc_schedule_new(&schedule, config, err);
    if (!status) status = check_request(config, request, sampler, err);
    if (!status) status = settle_zero_snr(schedule, config, sampler, err);
    const uc_grid grid = sampler == UNCLIP_SAMPLER_DPMPP_2M ? UC_GRID_MULTISTEP : UC_GRID_ANCESTRAL;
    if (!status) status = uc_timesteps_new(&timesteps, config, schedule, grid, request->steps, request->respacing, err);
    uc_sampler_request settled = *request;
    if (request->inverse) settled.eta = 0;
    site s = { .config = config,
               .request = &settled,
               .schedule = schedule,
               .timesteps = &timesteps,
               .sampler = sampler,
               .variance = variance_of(config, sampler),
               .threshold = request->threshold ? fmaxf(request->threshold, 0) : config->threshold };
    if (!status) status = fill_plan(plan, &s, err);
    free(timesteps.at);
    uc_schedule_free(schedule);
    return status;
}

unclip_status uc_sampler_plan_new(uc_sampler_plan **plan, const uc_scheduler_config *config,
                                  const uc_sampler_request *request, unclip_error *err) {
    *plan = NULL;
    uc_sampler_plan *made = calloc(1, sizeof *made);
    if (!made) return uc_fail_memory(err, sizeof *made, "a sampler");
    const unclip_status status = make_plan(made, config, request, err);
    if (status) uc_sampler_plan_free(made);
    else *plan = made;
    return status;
}

void uc_sampler_plan_free(uc_sampler_plan *plan) {
    if (!plan) return;
    free(plan->steps);
    free(plan->refine);
    free(plan->timesteps);
    free(plan);
}

/* sampler.h - turns a scheduler's configuration and a caller's wishes into the numbers of every step of a run. The
 * prior, the decoder and the upsamplers each run one such plan.
 *
 * All samplers are one linear form (see uc_step in kernels/ops.h), so the operation noise_step knows none of them. */
#ifndef UC_SAMPLING_SAMPLER_H
#define UC_SAMPLING_SAMPLER_H

#include "schedule.h"

typedef struct uc_sampler_request {
    unclip_sampler sampler; /* UNCLIP_SAMPLER_DEFAULT: the one of the scheduler's class */
    int steps;
    const char *respacing; /* NULL, or as uc_timesteps_new; then steps is not read */
    float eta;             /* DDIM only, 0 ... 1 */
    const float *gamma;    /* ANALYTIC only: mean square of the noise prediction at each of the train_timesteps */
    float guidance;        /* copied into every step */
    uint32_t stage;        /* likewise: key of the noise */
    float threshold;       /* the quantile of |x0| of a dynamic threshold, up to 1; 0: as configured; negative: none */
    bool inverse;          /* DDIM only: from a clean sample to its noise, see below; eta is not read */
} uc_sampler_request;

typedef struct uc_sampler_plan {
    int count;
    uc_step *steps;           /* [count] */
    float *timesteps;         /* [count], for the time embedding */
    unclip_sampler sampler;   /* never UNCLIP_SAMPLER_DEFAULT */
    uc_prediction prediction; /* for the operation noise_step */
    bool learned_variance;    /* the steps read the prediction's second half; if not, a network may still have one */
    bool threshold;           /* the steps have a dynamic threshold */
    uc_step *refine;          /* of an inverse plan: [count], else NULL */
} uc_sampler_plan;

/* Samplers, and which variance they take:
 *   UNCLIP    diffusers' UnCLIPScheduler, with the variance of the configuration;
 *   DDPM      diffusers' DDPMScheduler, with the variance of the configuration if that is a DDPMScheduler's, else the
 *             fixed small one;
 *   ANALYTIC  the same mean with the variance of Analytic-DPM (arXiv 2201.06503). Needs gamma;
 *   DDIM      on a DDIMScheduler's configuration diffusers' form: the direction is the raw prediction, and the previous
 *             timestep is train_timesteps / steps below, whatever the spacing. On others guided-diffusion's form: the
 *             direction is derived anew from the clamped estimate, and the previous timestep is the list's next;
 *   DPMPP_2M  diffusers' DPMSolverMultistepScheduler of order 2, midpoint, ending at no noise.
 * A dynamic threshold takes the place of the configuration's clamp in any of them; it is limited by the configuration's
 * sample_max_value if that thresholds, else by nothing, as in the Imagen paper.
 * The last step of an ancestral sampler adds no noise. (diffusers' DDPMScheduler does add some when the variance is
 * learned and the spacing ends above timestep 0.)
 *
 * Inverse plans (DDIM inversion, guided-diffusion's ddim_reverse_sample; section 3 of the unCLIP paper) visit the same
 * timesteps in rising order: step i takes the sample for one of timestep i and leads to timestep i + 1. The last one is
 * not run: the forward sampler begins at the last timestep, and would not undo guided-diffusion's step from there to
 * pure noise. Such a step is exact only for a network whose answer does not change between the two timesteps.
 * refine[i], i >= 1, is one round of a fixed-point iteration for the sample y of timestep i from which the forward step leads
 * exactly to the sample x of timestep i - 1: it reads its guess of y as the state, x as the step's noise (scaled by
 * sigma), and leaves a better guess. */
unclip_status uc_sampler_plan_new(uc_sampler_plan **plan, const uc_scheduler_config *config,
                                  const uc_sampler_request *request, unclip_error *err);
void uc_sampler_plan_free(uc_sampler_plan *plan); /* NULL is allowed */

#endif

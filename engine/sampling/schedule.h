/* schedule.h - when a sampler looks at the network, and how noisy its sample is then. Shared by the prior, the decoder
 * and the upsamplers.
 *
 * Forward diffusion mixes a clean sample with noise: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) n. The numbers
 * are those of diffusers' schedulers to the last bit of the float where PyTorch defines it, because a picture depends
 * on them. */
#ifndef UC_SAMPLING_SCHEDULE_H
#define UC_SAMPLING_SCHEDULE_H

#include "../core/error.h"
#include "../models/config.h"

typedef struct uc_schedule {
    int count;         /* training timesteps */
    float *betas;      /* [count] */
    float *alphas;     /* 1 - beta */
    float *alpha_bars; /* their running product: accumulated in double, rounded to float at each output */
} uc_schedule;

unclip_status uc_schedule_new(uc_schedule **schedule, const uc_scheduler_config *config, unclip_error *err);
void uc_schedule_free(uc_schedule *schedule); /* NULL is allowed */

/* Timesteps of one run, strictly falling, each in 0 ... count - 1. */
typedef struct uc_timesteps {
    int count;
    int *at; /* released with free */
} uc_timesteps;

/* Which family of diffusers schedulers spaces the timesteps; they differ in how they read timestep_spacing. */
typedef enum uc_grid { UC_GRID_ANCESTRAL /* DDPM, DDIM, UnCLIP */, UC_GRID_MULTISTEP /* DPM-Solver */ } uc_grid;

/* `steps` timesteps as the configuration spaces them, or, when respacing is not NULL, those that the string names:
 *   "10,15,20"  that many steps in each of equal sections of the schedule, the first section being the least noisy
 *   "ddim50"    every n-th timestep, when some n gives exactly 50
 *   "fast27"    "10,10,3,2,2" with the last timestep moved two down (GLIDE's upsampler)
 * UnCLIPScheduler divides by zero for one step; here that step is the last training timestep. */
unclip_status uc_timesteps_new(uc_timesteps *timesteps, const uc_scheduler_config *config, const uc_schedule *schedule,
                               uc_grid grid, int steps, const char *respacing, unclip_error *err);

#endif

/* eval_prior.h - how good a prior is: what it draws from captions against the embeddings of their pictures. */
#ifndef UC_TASKS_EVAL_PRIOR_H
#define UC_TASKS_EVAL_PRIOR_H

#include "stage_run.h"

/* embeddings [prompts, embedding size]: of each prompt's picture. The request begins at the prior that is meant. */
unclip_status uc_eval_prior(const uc_session *session, const uc_request *request, const float *embeddings,
                            unclip_prior_statistics *statistics, unclip_error *err);

/* L_prior of the paper (section 2.2), over the timesteps of the request's schedule instead of random ones: the sum
 * over the launch's images of the mean squared error, in the prior's normalised units. embeddings [count, dim]. */
unclip_status uc_prior_diffusion_loss(const uc_cascade *cascade, const float *embeddings, double *sum,
                                      unclip_error *err);

#endif

/* eval_prior.h - how good a prior is: what it draws from captions against the embeddings of their pictures. */
#ifndef UC_TASKS_EVAL_PRIOR_H
#define UC_TASKS_EVAL_PRIOR_H

#include "request.h"

/* embeddings [prompts, embedding size]: of each prompt's picture. The request begins at the prior; it says which one. */
unclip_status uc_eval_prior(const uc_session *session, const uc_request *request, const float *embeddings,
                            unclip_prior_statistics *statistics, unclip_error *err);

#endif

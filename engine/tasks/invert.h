/* invert.h - the cascade's decoder backwards: a picture and its embedding -> the noise from which DDIM draws it
 * (section 3 of the paper). */
#ifndef UC_TASKS_INVERT_H
#define UC_TASKS_INVERT_H

#include "model.h"

typedef struct uc_inversion {
    const char *prompt; /* the decoder's caption, or NULL */
    int steps;
    float guidance;
    int refinements;    /* see uc_sampler_plan.refine */
    unclip_progress_fn on_progress;
    void *user;
    unclip_estimate *estimate; /* not NULL: this is filled and nothing is run */
} uc_inversion;

/* embedding [clip_dim], picture [3, size, size] in [-1, 1] -> noise [3, size, size]; size: the decoder's. */
unclip_status uc_invert(const uc_session *session, const float *embedding, const float *picture,
                        const uc_inversion *how, float *noise, unclip_error *err);

#endif

/* path.h - frames between, towards and below embeddings, as the tables that the decoder begins with: interpolations,
 * text diffs and principal components (sections 3.2, 3.3 and 4 of the paper). */
#ifndef UC_TASKS_PATH_H
#define UC_TASKS_PATH_H

#include "../sampling/pca.h"
#include "request.h"

/* What one picture became. */
typedef struct uc_end {
    const float *embedding; /* [dim] */
    const float *noise;     /* [sample], or NULL */
} uc_end;

typedef struct uc_path {
    size_t frames;
    float *embeddings; /* [frames, dim] */
    float *noise;      /* [frames, sample], or NULL */
    uc_frame *facts;   /* [frames] */
} uc_path;

/* Release each with uc_path_free, whatever they returned. */

/* Evenly from the first end to the last, by great circles between neighbours; frames that fall on an end are that
 * end to the bit. sample: numbers of a noise, or 0 to leave the noises out. */
unclip_status uc_path_between(uc_path *path, const uc_end *ends, size_t count, size_t dim, size_t sample,
                              size_t frames, unclip_error *err);

/* From `embedding` towards `direction`, which is given the embedding's length; theta, the share of the angle, goes
 * evenly from 0 to theta_max, or is theta_max when there is one frame. */
unclip_status uc_path_towards(uc_path *path, const float *embedding, const float *direction, size_t dim,
                              double theta_max, size_t frames, unclip_error *err);

/* `embedding` rebuilt from components[0 ... count) principal components. */
unclip_status uc_path_components(uc_path *path, const float *embedding, const uc_pca *pca, const int *components,
                                 size_t count, unclip_error *err);

void uc_path_free(uc_path *path);

#endif

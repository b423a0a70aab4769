/* pca.h - principal components of CLIP image embeddings, between image encoder and decoder: how much of a picture the
 * first of them keep (figure 7 of the paper). */
#ifndef UC_SAMPLING_PCA_H
#define UC_SAMPLING_PCA_H

#include <stdbool.h>

#include "../core/error.h"

typedef struct uc_pca {
    size_t dim, count;
    float *mean;     /* [dim] */
    float *basis;    /* [count, dim]: orthonormal rows, the one of largest variance first */
    float *variance; /* [count], or NULL when not known */
} uc_pca;

void uc_pca_free(uc_pca *pca);

/* The `count` leading components of rows [n, dim], by the covariance's eigenvectors (cyclic Jacobi rotations in
 * double). count: 1 to dim and less than n; 0 = as many as there are. A component's first element of largest size is
 * positive. */
unclip_status uc_pca_fit(uc_pca *pca, const float *rows, size_t n, size_t dim, size_t count, unclip_error *err);

/* out [dim] = mean + the part of z - mean that lies in the first `components` rows of the basis. */
void uc_pca_rebuild(const uc_pca *pca, const float *z, size_t components, float *out);

#endif

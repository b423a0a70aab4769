/* pca_file.h - principal components of embeddings on disk: what unclip_probe reads and unclip_pca_fit writes. */
#ifndef UC_HOST_PCA_FILE_H
#define UC_HOST_PCA_FILE_H

#include "../engine/sampling/pca.h"

/* Tensors "mean" [dim] and "basis" [count, dim], or "pca.mean" and "pca.components" of an autoregressive prior; other
 * tensors are left alone. Finite numbers and orthonormal rows are checked. */
unclip_status uc_pca_load(uc_pca *pca, const char *path, unclip_error *err);

#endif

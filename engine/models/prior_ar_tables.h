/* prior_ar_tables.h - image embedding <-> tokens: the principal components and buckets of the autoregressive prior
 * (paper section 2.2), and the bucket of a dot product's percentile. What the transformer's tokens mean. */
#ifndef UC_MODELS_PRIOR_AR_TABLES_H
#define UC_MODELS_PRIOR_AR_TABLES_H

#include "../core/params.h"
#include "config.h"

/* Views of a model's tensors. */
typedef struct uc_prior_ar_tables {
    const float *mean;           /* [embedding_dim] */
    const float *components;     /* [components, embedding_dim] */
    const float *boundaries;     /* [components, buckets - 1] */
    const float *centres;        /* [components, buckets] */
    const float *dot_boundaries; /* [dot_buckets - 1] */
} uc_prior_ar_tables;

/* Finds the tables, marks them used and checks type, shape, that all numbers are finite and that boundaries and centres
 * rise. UNCLIP_ERR_MODEL_DATA names the tensor. */
unclip_status uc_prior_ar_tables_of(uc_prior_ar_tables *tables, const uc_prior_ar_config *c, const uc_params *params,
                                    unclip_error *err);

/* embedding [embedding_dim] -> tokens [components]: the bucket of each component's value. */
void uc_prior_ar_tokens(const uc_prior_ar_tables *tables, const uc_prior_ar_config *c, const float *embedding,
                        int32_t *tokens);

/* The other way, by the buckets' centres. Tokens are in range. */
void uc_prior_ar_embedding(const uc_prior_ar_tables *tables, const uc_prior_ar_config *c, const int32_t *tokens,
                           float *embedding);

/* Rows of the token embedding: the buckets, then the dot products', then "no text". percentile: 0 to 100. */
int32_t uc_prior_ar_dot_id(const uc_prior_ar_config *c, double percentile);
int32_t uc_prior_ar_dot_id_of(const uc_prior_ar_tables *tables, const uc_prior_ar_config *c, double dot);
int32_t uc_prior_ar_no_text_id(const uc_prior_ar_config *c);

#endif

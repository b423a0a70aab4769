/* prior_ar_tables.c - see prior_ar_tables.h. Sums in double: an embedding has hundreds of components. */
#include "prior_ar_tables.h"

#include <math.h>

static unclip_status table_of(const float **table, const uc_params *params, const char *name, uc_shape shape,
                              unclip_error *err) {
    uc_param *param = uc_params_find(params, name);
    char expected[UC_SHAPE_TEXT];
    if (!param)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s is missing", params->component, name);
    bool fits = param->rank == shape.rank && param->dtype == UC_F32;
    for (int d = 0; d < shape.rank && fits; d++) fits = param->dim[d] == shape.dim[d];
    if (!fits)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s has another type or shape than F32 %s",
                       params->component, name, uc_shape_text(shape, expected));
    param->used = true;
    *table = param->data;
    const int64_t count = uc_shape_count(shape);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite((*table)[i]))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s has a number that is not finite",
                           params->component, name);
    return UNCLIP_OK;
}

static unclip_status check_rising(const float *table, int64_t rows, int64_t columns, const char *name,
                                  const uc_params *params, unclip_error *err) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 1; i < columns; i++)
            if (table[r * columns + i] < table[r * columns + i - 1])
                return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s falls at row %lld, column %lld",
                               params->component, name, (long long)r, (long long)i);
    return UNCLIP_OK;
}

unclip_status uc_prior_ar_tables_of(uc_prior_ar_tables *t, const uc_prior_ar_config *c, const uc_params *params,
                                    unclip_error *err) {
    const struct { const float **table; const char *name; uc_shape shape; bool rises; } all[] = {
        { &t->mean, "pca.mean", UC_SHAPE1(c->embedding_dim), false },
        { &t->components, "pca.components", UC_SHAPE2(c->components, c->embedding_dim), false },
        { &t->boundaries, "buckets.boundaries", UC_SHAPE2(c->components, c->buckets - 1), true },
        { &t->centres, "buckets.centres", UC_SHAPE2(c->components, c->buckets), true },
        { &t->dot_boundaries, "dot.boundaries", UC_SHAPE1(c->dot_buckets - 1), true },
    };
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < sizeof all / sizeof *all && !status; i++) {
        const uc_shape s = all[i].shape;
        const int64_t columns = s.dim[s.rank - 1];
        status = table_of(all[i].table, params, all[i].name, s, err);
        if (!status && all[i].rises)
            status = check_rising(*all[i].table, uc_shape_count(s) / columns, columns, all[i].name, params, err);
    }
    return status;
}

/* How many of the rising numbers are at or below value. */
static int32_t bucket_of(const float *boundaries, int64_t count, double value) {
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if ((double)boundaries[middle] <= value) low = middle + 1;
        else high = middle;
    }
    return (int32_t)low;
}

void uc_prior_ar_tokens(const uc_prior_ar_tables *t, const uc_prior_ar_config *c, const float *embedding,
                        int32_t *tokens) {
    for (int64_t k = 0; k < c->components; k++) {
        const float *component = t->components + k * c->embedding_dim;
        double value = 0;
        for (int64_t i = 0; i < c->embedding_dim; i++)
            value += ((double)embedding[i] - (double)t->mean[i]) * (double)component[i];
        tokens[k] = bucket_of(t->boundaries + k * (c->buckets - 1), c->buckets - 1, value);
    }
}

void uc_prior_ar_embedding(const uc_prior_ar_tables *t, const uc_prior_ar_config *c, const int32_t *tokens,
                           float *embedding) {
    for (int64_t i = 0; i < c->embedding_dim; i++) {
        double value = (double)t->mean[i];
        for (int64_t k = 0; k < c->components; k++)
            value += (double)t->centres[k * c->buckets + tokens[k]] *
                     (double)t->components[k * c->embedding_dim + i];
        embedding[i] = (float)value;
    }
}

int32_t uc_prior_ar_dot_id(const uc_prior_ar_config *c, double percentile) {
    const int64_t bucket = (int64_t)(percentile / 100 * (double)c->dot_buckets), last = c->dot_buckets - 1;
    return (int32_t)(c->buckets + (bucket < 0 ? 0 : bucket > last ? last : bucket));
}

int32_t uc_prior_ar_dot_id_of(const uc_prior_ar_tables *t, const uc_prior_ar_config *c, double dot) {
    return (int32_t)c->buckets + bucket_of(t->dot_boundaries, c->dot_buckets - 1, dot);
}

int32_t uc_prior_ar_no_text_id(const uc_prior_ar_config *c) { return (int32_t)(c->buckets + c->dot_buckets); }

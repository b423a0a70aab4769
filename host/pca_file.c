/* pca_file.c - see pca_file.h. */
#include "pca_file.h"

#include <math.h>
#include <stdlib.h>

#include "../weights/safetensors.h"

static const uc_param *find(const uc_safetensors *file, const char *name, const char *other) {
    const uc_params params = { .count = file->count, .items = file->items };
    const uc_param *p = uc_params_find(&params, name);
    return p ? p : uc_params_find(&params, other);
}

static unclip_status take(const uc_safetensors *file, const uc_param *p, float **out, unclip_error *err) {
    size_t count = 1;
    for (int i = 0; i < p->rank; i++) count *= (size_t)p->dim[i];
    *out = malloc(count * sizeof **out);
    if (!*out) return uc_fail_memory(err, count * sizeof **out, file->path);
    for (size_t i = 0; i < count; i++) {
        (*out)[i] = (float)uc_get(p->data, p->dtype, (int64_t)i);
        if (!isfinite((*out)[i]))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s: element %zu is not a finite number", file->path,
                           p->name, i);
    }
    return UNCLIP_OK;
}

static unclip_status check_orthonormal(const uc_pca *pca, const char *path, unclip_error *err) {
    for (size_t i = 0; i < pca->count; i++)
        for (size_t j = i; j < pca->count; j++) {
            double dot = 0;
            for (size_t k = 0; k < pca->dim; k++)
                dot += (double)pca->basis[i * pca->dim + k] * (double)pca->basis[j * pca->dim + k];
            if (fabs(dot - (i == j)) > 1e-3)
                return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                               "%s: tensor basis: rows %zu and %zu have the product %g, expected orthonormal rows",
                               path, i, j, dot);
        }
    return UNCLIP_OK;
}

static bool is_float(const uc_param *p) {
    return p && (p->dtype == UC_F32 || p->dtype == UC_F64 || p->dtype == UC_F16 || p->dtype == UC_BF16);
}

static unclip_status read_tensors(uc_pca *pca, const uc_safetensors *file, unclip_error *err) {
    const uc_param *mean = find(file, "mean", "pca.mean"), *basis = find(file, "basis", "pca.components");
    if (!is_float(mean) || !is_float(basis) || mean->rank != 1 || basis->rank != 2 || basis->dim[1] != mean->dim[0] ||
        basis->dim[0] < 1 || basis->dim[0] > basis->dim[1])
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "%s: expected the tensors mean [dim] and basis [components, dim] of principal components",
                       file->path);
    pca->dim = (size_t)mean->dim[0];
    pca->count = (size_t)basis->dim[0];
    unclip_status status = take(file, mean, &pca->mean, err);
    if (!status) status = take(file, basis, &pca->basis, err);
    return status ? status : check_orthonormal(pca, file->path, err);
}

unclip_status uc_pca_load(uc_pca *pca, const char *path, unclip_error *err) {
    *pca = (uc_pca){ 0 };
    uc_safetensors file;
    unclip_status status = uc_safetensors_open(&file, path, err);
    if (status) return status;
    status = read_tensors(pca, &file, err);
    uc_safetensors_close(&file);
    if (status) uc_pca_free(pca);
    return status;
}

unclip_status unclip_pca_fit(const float *embeddings, size_t count, size_t dim, size_t components, const char *path,
                             unclip_error *err) {
    if (!embeddings || !path) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no embeddings or no path were given");
    uc_pca pca;
    unclip_status status = uc_pca_fit(&pca, embeddings, count, dim, components, err);
    if (status) return status;
    const int64_t d = (int64_t)pca.dim, k = (int64_t)pca.count;
    const uc_param items[] = {
        { .name = "mean", .dtype = UC_F32, .rank = 1, .dim = { d }, .data = pca.mean },
        { .name = "basis", .dtype = UC_F32, .rank = 2, .dim = { k, d }, .data = pca.basis },
        { .name = "variance", .dtype = UC_F32, .rank = 1, .dim = { k }, .data = pca.variance },
    };
    status = uc_safetensors_write(path, items, 3, err);
    uc_pca_free(&pca);
    return status;
}

/* pca.c - see pca.h. */
#include "pca.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void uc_pca_free(uc_pca *pca) {
    free(pca->mean);
    free(pca->basis);
    free(pca->variance);
    *pca = (uc_pca){ 0 };
}

void uc_pca_rebuild(const uc_pca *pca, const float *z, size_t components, float *out) {
    memcpy(out, pca->mean, pca->dim * sizeof *out);
    for (size_t k = 0; k < components && k < pca->count; k++) {
        const float *axis = pca->basis + k * pca->dim;
        double along = 0;
        for (size_t i = 0; i < pca->dim; i++) along += ((double)z[i] - (double)pca->mean[i]) * (double)axis[i];
        for (size_t i = 0; i < pca->dim; i++) out[i] = (float)((double)out[i] + along * (double)axis[i]);
    }
}

/* ---- eigenvectors ------------------------------------------------------------------------------------------------ */

/* Turns rows and columns p and q of the symmetric a so that a[p,q] vanishes, and the rows of v alike. */
static void rotate(double *a, double *v, size_t n, size_t p, size_t q) {
    const double apq = a[p * n + q], tau = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t), s = t * c;
    for (size_t i = 0; i < n; i++) {
        const double x = a[i * n + p], y = a[i * n + q];
        a[i * n + p] = c * x - s * y;
        a[i * n + q] = s * x + c * y;
    }
    for (size_t i = 0; i < n; i++) {
        const double x = a[p * n + i], y = a[q * n + i];
        a[p * n + i] = c * x - s * y;
        a[q * n + i] = s * x + c * y;
    }
    for (size_t i = 0; i < n; i++) {
        const double x = v[p * n + i], y = v[q * n + i];
        v[p * n + i] = c * x - s * y;
        v[q * n + i] = s * x + c * y;
    }
}

/* Off-diagonal elements below this share of the whole count as none. */
static const double NEGLIGIBLE = 1e-15;

static double size_of(const double *a, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n * n; i++) sum += a[i] * a[i];
    return sqrt(sum);
}

/* Cyclic Jacobi: afterwards the diagonal of a holds the eigenvalues and row k of v the eigenvector of a[k,k]. */
static void diagonalise(double *a, double *v, size_t n) {
    memset(v, 0, n * n * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i * n + i] = 1;
    const double negligible = NEGLIGIBLE * size_of(a, n);
    bool turned = true;
    for (int sweep = 0; sweep < 60 && turned; sweep++) {
        turned = false;
        for (size_t p = 0; p + 1 < n; p++)
            for (size_t q = p + 1; q < n; q++)
                if (fabs(a[p * n + q]) > negligible) {
                    rotate(a, v, n, p, q);
                    turned = true;
                }
    }
}

/* ---- fitting ----------------------------------------------------------------------------------------------------- */

static void mean_of(const float *rows, size_t n, size_t dim, double *mean) {
    for (size_t i = 0; i < dim; i++) {
        double sum = 0;
        for (size_t r = 0; r < n; r++) sum += (double)rows[r * dim + i];
        mean[i] = sum / (double)n;
    }
}

static void covariance_of(const float *rows, size_t n, size_t dim, const double *mean, double *a) {
    memset(a, 0, dim * dim * sizeof *a);
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i < dim; i++) {
            const double x = ((double)rows[r * dim + i] - mean[i]) / (double)(n - 1);
            for (size_t j = i; j < dim; j++) a[i * dim + j] += x * ((double)rows[r * dim + j] - mean[j]);
        }
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < i; j++) a[i * dim + j] = a[j * dim + i];
}

/* The largest diagonal element that is not taken yet. */
static size_t next_largest(const double *a, size_t dim, const bool *taken) {
    size_t best = dim;
    for (size_t i = 0; i < dim; i++)
        if (!taken[i] && (best == dim || a[i * dim + i] > a[best * dim + best])) best = i;
    return best;
}

static void take_component(uc_pca *pca, size_t k, const double *vector, double variance) {
    size_t largest = 0;
    for (size_t i = 1; i < pca->dim; i++)
        if (fabs(vector[i]) > fabs(vector[largest])) largest = i;
    const double sign = vector[largest] < 0 ? -1 : 1;
    for (size_t i = 0; i < pca->dim; i++) pca->basis[k * pca->dim + i] = (float)(sign * vector[i]);
    pca->variance[k] = (float)fmax(variance, 0);
}

static void fit(uc_pca *pca, const float *rows, size_t n, double *mean, double *a, double *v, bool *taken) {
    const size_t dim = pca->dim;
    mean_of(rows, n, dim, mean);
    covariance_of(rows, n, dim, mean, a);
    diagonalise(a, v, dim);
    for (size_t i = 0; i < dim; i++) pca->mean[i] = (float)mean[i];
    for (size_t k = 0; k < pca->count; k++) {
        const size_t i = next_largest(a, dim, taken);
        taken[i] = true;
        take_component(pca, k, v + i * dim, a[i * dim + i]);
    }
}

unclip_status uc_pca_fit(uc_pca *pca, const float *rows, size_t n, size_t dim, size_t count, unclip_error *err) {
    *pca = (uc_pca){ 0 };
    if (dim < 1 || dim > 8192) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%zu dimensions, expected 1 to 8192", dim);
    if (n < 2) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "principal components need at least 2 embeddings, not %zu", n);
    const size_t most = n - 1 < dim ? n - 1 : dim;
    if (count > most)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%zu embeddings of %zu numbers have %zu principal components, not %zu",
                       n, dim, most, count);
    for (size_t i = 0; i < n * dim; i++)
        if (!isfinite(rows[i]))
            return uc_fail(err, UNCLIP_ERR_ARGUMENT, "embedding %zu has a number that is not finite", i / dim);
    *pca = (uc_pca){ .dim = dim, .count = count ? count : most };
    pca->mean = malloc(dim * sizeof *pca->mean);
    pca->basis = malloc(pca->count * dim * sizeof *pca->basis);
    pca->variance = malloc(pca->count * sizeof *pca->variance);
    double *work = malloc((dim + 2 * dim * dim) * sizeof *work);
    bool *taken = calloc(dim, sizeof *taken);
    unclip_status status = UNCLIP_OK;
    if (!pca->mean || !pca->basis || !pca->variance || !work || !taken)
        status = uc_fail_memory(err, 2 * dim * dim * sizeof *work, "principal components");
    else fit(pca, rows, n, work, work + dim, work + dim + dim * dim, taken);
    free(work);
    free(taken);
    if (status) uc_pca_free(pca);
    return status;
}

/* pca.c - principal components: data with known axes and variances, orthonormal rows, rebuilding, what is refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampling/noise.h"
#include "engine/sampling/pca.h"

enum { N = 400, DIM = 12 };

/* An orthonormal basis by Gram-Schmidt, in double. */
static void random_axes(double axes[DIM][DIM]) {
    float raw[DIM * DIM];
    uc_philox_fill(raw, DIM * DIM, 11, 0, 0);
    for (int k = 0; k < DIM; k++) {
        for (int i = 0; i < DIM; i++) axes[k][i] = (double)raw[k * DIM + i];
        for (int j = 0; j <= k; j++) {
            double dot = 0;
            for (int i = 0; i < DIM; i++) dot += axes[k][i] * axes[j][i];
            for (int i = 0; i < DIM; i++) axes[k][i] = j < k ? axes[k][i] - dot * axes[j][i] : axes[k][i] / sqrt(dot);
        }
    }
}

/* Points on the axes alone, +-length[k] from a centre: exactly those eigenvectors. The variance of axis k is
 * 2 m length^2 / (n - 1) with m = n / (2 DIM) points on each side. */
static float *star(double axes[DIM][DIM], size_t n, double *variance) {
    float *rows = malloc(n * DIM * sizeof *rows);
    const size_t m = n / (2 * DIM);
    for (size_t r = 0; r < 2 * DIM * m; r++) {
        const size_t k = r / 2 % DIM;
        const double length = (r % 2 ? -1 : 1) * (double)(2 * DIM - k);
        for (int i = 0; i < DIM; i++) rows[r * DIM + (size_t)i] = (float)(3 + length * axes[k][i]);
        variance[k] = 2 * (double)m * length * length / (double)(2 * DIM * m - 1);
    }
    return rows;
}

Test(sampling_pca, known_axes_are_found) {
    double axes[DIM][DIM], variance[DIM];
    random_axes(axes);
    const size_t n = N / (2 * DIM) * (2 * DIM);
    float *rows = star(axes, N, variance);
    uc_pca pca;
    unclip_error err = { 0 };
    cr_assert_eq(uc_pca_fit(&pca, rows, n, DIM, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(pca.count, DIM);
    for (size_t k = 0; k < DIM; k++) {
        double dot = 0;
        for (size_t i = 0; i < DIM; i++) dot += axes[k][i] * (double)pca.basis[k * DIM + i];
        cr_expect_float_eq(fabs(dot), 1, 1e-5, "component %zu is not axis %zu", k, k);
        cr_expect_float_eq(pca.variance[k], variance[k], 1e-4 * variance[k]);
        cr_expect_float_eq(pca.mean[k], 3, 1e-5);
    }
    uc_pca_free(&pca);
    free(rows);
}

Test(sampling_pca, rebuilding_gets_nearer_with_each_component) {
    float rows[60 * DIM], out[DIM];
    uc_philox_fill(rows, 60 * DIM, 12, 0, 0);
    uc_pca pca;
    unclip_error err = { 0 };
    cr_assert_eq(uc_pca_fit(&pca, rows, 60, DIM, 0, &err), UNCLIP_OK, "%s", err.message);
    for (size_t a = 0; a < DIM; a++)
        for (size_t b = a; b < DIM; b++) {
            double dot = 0;
            for (size_t i = 0; i < DIM; i++) dot += (double)pca.basis[a * DIM + i] * (double)pca.basis[b * DIM + i];
            cr_expect_float_eq(dot, a == b, 1e-6);
        }
    double before = INFINITY;
    for (size_t k = 0; k <= DIM; k++) {
        double off = 0;
        for (size_t r = 0; r < 60; r++) {
            uc_pca_rebuild(&pca, rows + r * DIM, k, out);
            for (size_t i = 0; i < DIM; i++) off += pow((double)out[i] - (double)rows[r * DIM + i], 2);
        }
        cr_expect_lt(off, before, "%zu components are no better than %zu", k, k - 1);
        before = off;
    }
    cr_expect_lt(before, 1e-8, "all components leave %g", before);
    uc_pca_free(&pca);
}

/* Fewer rows than dimensions, and rows that are all alike. */
Test(sampling_pca, thin_data) {
    float rows[4 * DIM], out[DIM];
    uc_philox_fill(rows, 4 * DIM, 13, 0, 0);
    uc_pca pca;
    unclip_error err = { 0 };
    cr_assert_eq(uc_pca_fit(&pca, rows, 4, DIM, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(pca.count, 3);
    uc_pca_rebuild(&pca, rows + DIM, 3, out);
    for (size_t i = 0; i < DIM; i++) cr_expect_float_eq(out[i], rows[DIM + i], 1e-5);
    uc_pca_free(&pca);
    for (size_t r = 1; r < 4; r++) memcpy(rows + r * DIM, rows, DIM * sizeof *rows);
    cr_assert_eq(uc_pca_fit(&pca, rows, 4, DIM, 2, &err), UNCLIP_OK, "%s", err.message);
    for (size_t i = 0; i < 2 * DIM; i++) cr_expect(isfinite(pca.basis[i]));
    cr_expect_float_eq(pca.variance[0], 0, 1e-12);
    uc_pca_free(&pca);
}

Test(sampling_pca, what_cannot_be_fitted_is_refused) {
    float rows[3 * 2] = { 1, 2, 3, 4, 5, NAN };
    uc_pca pca;
    unclip_error err = { 0 };
    cr_expect_eq(uc_pca_fit(&pca, rows, 1, 2, 0, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "principal components need at least 2 embeddings, not 1");
    cr_expect_eq(uc_pca_fit(&pca, rows, 2, 2, 2, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "2 embeddings of 2 numbers have 1 principal components, not 2");
    cr_expect_eq(uc_pca_fit(&pca, rows, 3, 2, 0, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "embedding 2 has a number that is not finite");
    cr_expect_null(pca.basis);
}

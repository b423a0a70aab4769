/* golden.c - see golden.h. */
#include "golden.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

golden_file golden_open(const char *format, ...) {
    char name[256], path[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/goldens/%s", UC_TEST_DATA, name);
    golden_file g;
    unclip_error err = { 0 };
    cr_assert_eq(uc_safetensors_open(&g.file, path, &err), UNCLIP_OK, "%s", err.message);
    return g;
}

void golden_close(golden_file *g) { uc_safetensors_close(&g->file); }

const uc_param *golden_find(const golden_file *g, const char *name) {
    for (size_t i = 0; i < g->file.count; i++)
        if (!strcmp(g->file.items[i].name, name)) return &g->file.items[i];
    return NULL;
}

const uc_param *golden_get(const golden_file *g, const char *name) {
    const uc_param *p = golden_find(g, name);
    cr_assert_not_null(p, "%s: no tensor %s", g->file.path, name);
    return p;
}

int64_t golden_count(const uc_param *p) {
    int64_t n = 1;
    for (int i = 0; i < p->rank; i++) n *= p->dim[i];
    return n;
}

float *golden_floats(const uc_param *p) {
    const int64_t n = golden_count(p);
    float *out = malloc((size_t)(n ? n : 1) * sizeof *out);
    for (int64_t i = 0; i < n; i++) out[i] = (float)uc_get(p->data, p->dtype, i);
    return out;
}

int32_t *golden_ints(const uc_param *p) {
    const int64_t n = golden_count(p);
    int32_t *out = malloc((size_t)(n ? n : 1) * sizeof *out);
    for (int64_t i = 0; i < n; i++) out[i] = (int32_t)uc_get(p->data, p->dtype, i);
    return out;
}

void golden_expect_close(const char *what, const float *got, const uc_param *want, double most) {
    double largest = 0, distance = 0;
    const int64_t n = golden_count(want);
    for (int64_t i = 0; i < n; i++) {
        const double w = uc_get(want->data, want->dtype, i), d = fabs(got[i] - w);
        cr_assert(isfinite(got[i]), "%s: element %lld is %g", what, (long long)i, (double)got[i]);
        if (fabs(w) > largest) largest = fabs(w);
        if (d > distance) distance = d;
    }
    cr_expect_leq(distance, most * largest, "%s: off by %.3g of %.3g (%.2g, allowed %.2g)", what, distance, largest,
                  distance / largest, most);
}

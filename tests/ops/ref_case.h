/* ref_case.h - what the tests of the reference kernels share: operands in any layout and type, and access to them in
 * the row-major order of their logical shape. */
#ifndef UC_TESTS_REF_CASE_H
#define UC_TESTS_REF_CASE_H

#include <criterion/criterion.h>

#include "engine/sampling/noise.h"
#include "kernels/ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline int64_t case_offset(const uc_view *v, int64_t i) {
    if (v->shape.rank != 4) return i;
    const int64_t *d = v->shape.dim;
    return uc_at4(v, i / (d[1] * d[2] * d[3]), i / (d[2] * d[3]) % d[1], i / d[3] % d[2], i % d[3]);
}

static inline double case_get(const uc_view *v, int64_t i) { return uc_get(v->data, v->dtype, case_offset(v, i)); }
static inline void case_set(const uc_view *v, int64_t i, double x) { uc_set(v->data, v->dtype, case_offset(v, i), x); }

/* A link in the list of all operands, in front of its numbers. */
typedef struct case_block {
    _Alignas(64) struct case_block *next;
} case_block;

/* Memory full of NaN: an element that a kernel does not write shows. It lives as long as the test's process; the list
 * keeps a search for leaks from reporting it. */
static inline uc_view case_view(uc_dtype dtype, uc_layout layout, uc_shape shape) {
    static case_block *newest;
    const size_t bytes = (size_t)uc_shape_count(shape) * uc_dtype_size(dtype);
    case_block *block = aligned_alloc(64, sizeof *block + (bytes + 63) / 64 * 64);
    cr_assert_not_null(block);
    block->next = newest;
    newest = block;
    memset(block + 1, 0xff, bytes);
    return (uc_view){ .dtype = dtype, .layout = layout, .shape = shape, .data = block + 1 };
}

static inline uc_view case_values(uc_shape shape, const double *values) {
    uc_view v = case_view(UC_F32, UC_PLAIN, shape);
    for (int64_t i = 0; i < uc_shape_count(shape); i++) case_set(&v, i, values[i]);
    return v;
}

#define VALUES(shape, ...) case_values((shape), (const double[]){ __VA_ARGS__ })

/* Standard normals that depend on the seed alone, not on layout or type. */
static inline uc_view case_random(uc_dtype dtype, uc_layout layout, uc_shape shape, uint64_t seed) {
    uc_view v = case_view(dtype, layout, shape);
    const int64_t count = uc_shape_count(shape);
    float *normals = malloc((size_t)count * sizeof *normals);
    cr_assert_not_null(normals);
    uc_philox_fill(normals, count, seed, 0, 0);
    for (int64_t i = 0; i < count; i++) case_set(&v, i, (double)normals[i]);
    free(normals);
    return v;
}

static inline uc_view case_ints(uc_shape shape, const int32_t *values) {
    uc_view v = case_view(UC_I32, UC_PLAIN, shape);
    memcpy(v.data, values, (size_t)uc_shape_count(shape) * sizeof *values);
    return v;
}

/* Runs the launch's reference kernel into a new result of this shape. */
static inline uc_view case_run_as(uc_launch launch, uc_dtype dtype, uc_layout layout, uc_shape shape) {
    uc_view out = case_view(dtype, layout, shape);
    launch.out[0] = out;
    launch.threads = 1;
    uc_ref_kernel(launch.kind)(&launch);
    return out;
}

static inline uc_view case_run(uc_launch launch, uc_shape shape) {
    return case_run_as(launch, UC_F32, UC_PLAIN, shape);
}

static inline void expect_near(const uc_view *v, const double *wanted, double tolerance, const char *what) {
    for (int64_t i = 0; i < uc_shape_count(v->shape); i++)
        cr_assert(fabs(case_get(v, i) - wanted[i]) <= tolerance, "%s: element %lld is %.9g, not %.9g", what,
                  (long long)i, case_get(v, i), wanted[i]);
}

#define EXPECT(view, tolerance, what, ...) expect_near(&(view), (const double[]){ __VA_ARGS__ }, (tolerance), (what))

static inline void expect_same(const uc_view *a, const uc_view *b, double tolerance, const char *what) {
    cr_assert(uc_shape_equal(a->shape, b->shape), "%s: the shapes differ", what);
    for (int64_t i = 0; i < uc_shape_count(a->shape); i++)
        cr_assert(fabs(case_get(a, i) - case_get(b, i)) <= tolerance, "%s: element %lld is %.9g here and %.9g there",
                  what, (long long)i, case_get(a, i), case_get(b, i));
}

/* The same launch with every picture among its operands in NHWC gives the same numbers, and a bf16 result is the f32
 * one rounded. `weights` is a bit set of inputs that have rank 4 but are no pictures. */
static inline void expect_layouts_agree(uc_launch launch, uc_shape shape, unsigned weights, const char *what) {
    const uc_view plain = case_run(launch, shape);
    for (int i = 0; i < UC_MAX_INPUTS; i++) {
        const uc_view *from = &launch.in[i];
        if (!from->data || from->shape.rank != 4 || weights >> i & 1) continue;
        uc_view to = case_view(from->dtype, UC_NHWC, from->shape);
        for (int64_t k = 0; k < uc_shape_count(from->shape); k++) case_set(&to, k, case_get(from, k));
        launch.in[i] = to;
    }
    const uc_view nhwc = case_run_as(launch, UC_F32, UC_NHWC, shape);
    expect_same(&plain, &nhwc, 0, what);
    const uc_view rounded = case_run_as(launch, UC_BF16, UC_NHWC, shape);
    for (int64_t i = 0; i < uc_shape_count(shape); i++) {
        const double wanted = case_get(&plain, i);
        cr_assert(fabs(case_get(&rounded, i) - wanted) <= 0x1.01p-8 * fabs(wanted), "%s: element %lld in bf16", what,
                  (long long)i);
    }
}

#endif

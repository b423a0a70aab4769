/* compare.c - see compare.h. */
#include "compare.h"

#include <math.h>
#include <stdio.h>

/* Memory offset of element i in logical order, and its position. */
static int64_t locate(const uc_view *v, int64_t i, int64_t at[UC_MAX_RANK]) {
    int64_t rest = i;
    for (int d = v->shape.rank - 1; d >= 0; d--) {
        at[d] = rest % v->shape.dim[d];
        rest /= v->shape.dim[d];
    }
    return v->shape.rank == 4 ? uc_at4(v, at[0], at[1], at[2], at[3]) : i;
}

static double root_mean_square(const uc_view *v, int64_t count) {
    double sum = 0, finite = 0;
    for (int64_t i = 0; i < count; i++) {
        const double x = uc_get(v->data, v->dtype, i);
        if (!isfinite(x)) continue;
        sum += x * x;
        finite += 1;
    }
    return finite > 0 ? sqrt(sum / finite) : 0;
}

static double excess(double result, double reference, double tolerance) {
    if (!isfinite(reference) || !isfinite(result)) {
        const bool same = isnan(reference) ? isnan(result) : result == reference;
        return same ? 0 : INFINITY;
    }
    const double error = fabs(result - reference);
    return error == 0 ? 0 : tolerance > 0 ? error / tolerance : INFINITY;
}

uc_difference uc_compare(const uc_view *result, const uc_view *reference, uc_op_kind kind, uc_dtype type,
                         double loses) {
    double atol, rtol;
    uc_tolerance(kind, type, &atol, &rtol);
    const int64_t count = uc_shape_count(reference->shape);
    const double base = (atol + loses) * root_mean_square(reference, count);
    uc_difference d = { .found = false };
    for (int64_t i = 0; i < count; i++) {
        int64_t at[UC_MAX_RANK] = { 0 };
        const double b = uc_get(reference->data, reference->dtype, locate(reference, i, at));
        const double a = uc_get(result->data, result->dtype, locate(result, i, at));
        const double tolerance = base + rtol * fabs(b), worst = excess(a, b, tolerance);
        if (!(worst > d.worst)) continue;
        d = (uc_difference){ .found = worst > 1, .result = a, .reference = b, .tolerance = tolerance, .worst = worst };
        for (int k = 0; k < UC_MAX_RANK; k++) d.index[k] = at[k];
    }
    return d;
}

static int coarseness(uc_dtype t) { return t == UC_BF16 ? 2 : t == UC_F16 ? 1 : 0; }

uc_dtype uc_coarsest_type(const uc_launch *launch) {
    const uc_dtype in = launch->in[0].dtype, out = launch->out[0].dtype;
    return coarseness(in) > coarseness(out) ? in : uc_dtype_is_float(out) ? out : UC_F32;
}

const char *uc_difference_text(const uc_difference *d, uc_shape shape, char buf[UC_DIFFERENCE_TEXT]) {
    char at[UC_SHAPE_TEXT];
    uc_shape place = { .rank = shape.rank };
    for (int i = 0; i < shape.rank; i++) place.dim[i] = d->index[i];
    snprintf(buf, UC_DIFFERENCE_TEXT, "element %s is %.9g, reference %.9g, tolerance %.3g", uc_shape_text(place, at),
             d->result, d->reference, d->tolerance);
    return buf;
}

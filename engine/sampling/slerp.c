/* slerp.c - see slerp.h. With u the direction of a and w the unit vector beside u in the plane of both, out = length
 * (cos(t angle) u + sin(t angle) w): no division by the sine of the angle, which vanishes for equal and for opposite
 * vectors. */
#include "slerp.h"

#include <math.h>
#include <string.h>

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

double uc_length(const float *a, size_t count) { return sqrt(dot(a, a, count)); }

double uc_cosine(const float *a, const float *b, size_t count) {
    const double lengths = uc_length(a, count) * uc_length(b, count);
    return lengths > 0 ? dot(a, b, count) / lengths : 0;
}

/* Where two directions stand to each other. */
typedef struct plane {
    double length_a, length_b;
    double cosine;
    double beside; /* length of b's direction without its part along a: the sine of the angle */
} plane;

static plane plane_of(const float *a, const float *b, size_t count) {
    plane p = { .length_a = uc_length(a, count), .length_b = uc_length(b, count) };
    if (!(p.length_a > 0 && p.length_b > 0)) return p;
    for (size_t i = 0; i < count; i++) p.cosine += (double)a[i] / p.length_a * ((double)b[i] / p.length_b);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double w = (double)b[i] / p.length_b - p.cosine * ((double)a[i] / p.length_a);
        sum += w * w;
    }
    p.beside = sqrt(sum);
    return p;
}

static void straight(float *out, const float *a, const float *b, size_t count, double t) {
    for (size_t i = 0; i < count; i++) out[i] = (float)((1 - t) * (double)a[i] + t * (double)b[i]);
}

/* A half turn from a in the plane of a and one axis. */
static void turn_over(float *out, const float *a, size_t count, const plane *p, double t) {
    size_t axis = 0;
    for (size_t i = 1; i < count; i++)
        if (fabsf(a[i]) < fabsf(a[axis])) axis = i;
    const double pi = acos(-1.0), along = (double)a[axis] / p->length_a, beside = sqrt(1 - along * along);
    const double length = (1 - t) * p->length_a + t * p->length_b, c = cos(t * pi), s = sin(t * pi) / beside;
    for (size_t i = 0; i < count; i++) {
        const double u = (double)a[i] / p->length_a;
        out[i] = (float)(length * (c * u + s * ((i == axis ? 1 : 0) - along * u)));
    }
}

void uc_slerp(float *out, const float *a, const float *b, size_t count, double t) {
    /* rounding leaves this much of a float's direction beside one that is the same */
    const double parallel = 1e-7;
    const plane p = plane_of(a, b, count);
    if (t == 0 || t == 1) {
        memcpy(out, t == 0 ? a : b, count * sizeof *out);
    } else if (p.beside <= parallel && p.cosine < 0 && count > 1) {
        turn_over(out, a, count, &p, t);
    } else if (p.beside <= parallel) {
        straight(out, a, b, count, t);
    } else {
        const double angle = atan2(p.beside, p.cosine), length = (1 - t) * p.length_a + t * p.length_b;
        const double c = cos(t * angle), s = sin(t * angle) / p.beside;
        for (size_t i = 0; i < count; i++) {
            const double u = (double)a[i] / p.length_a;
            out[i] = (float)(length * (c * u + s * ((double)b[i] / p.length_b - p.cosine * u)));
        }
    }
}

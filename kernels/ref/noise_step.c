/* noise_step.c - the meaning of one step of a diffusion sampler (guidance, the estimate of the clean sample, its clamp,
 * the step's mean, the noise): the loop that turns noise into an embedding (prior) or a picture (decoder, upsamplers).
 * The formulas stand at uc_step in ops.h; engine/sampling computes the coefficients.
 *
 * Comparisons are written so that a NaN passes through the clamp and is seen at the end of the stage. */
#include "ref.h"

#include "../../engine/core/philox.h"

#include <math.h>

/* Element i of image n, in logical order. */
typedef struct element {
    const uc_launch *launch;
    int64_t batch, n, i;
    int64_t channels, inner; /* an image is [channels, inner] */
} element;

/* Up to x0 the reference rounds to float after each operation, as ops.h says. */

/* The prediction's channel half `half` (0: the prediction, 1: the variance), in row `row` of its batch. */
static double predicted(const element *e, int64_t row, int64_t half) {
    const uc_view *p = &e->launch->in[UC_NOISE_PREDICTION];
    return uc_ref_load(p, row * p->shape.dim[1] * e->inner + half * e->channels * e->inner + e->i);
}

static float guided_prediction(const element *e) {
    const float u = (float)predicted(e, e->n, 0);
    if (!e->launch->attrs.noise_step.guided) return u;
    const float c = (float)predicted(e, e->batch + e->n, 0);
    return u + e->launch->step->guidance * (c - u);
}

static float clean_sample(const element *e, float x, float m) {
    const uc_step *step = e->launch->step;
    const float a = step->sqrt_alpha_bar, b = step->sqrt_beta_bar, clip = step->clip;
    float x0 = m;
    if (e->launch->attrs.noise_step.prediction == UC_PREDICT_EPSILON) x0 = (x - b * m) / a;
    if (e->launch->attrs.noise_step.prediction == UC_PREDICT_V) x0 = a * x - b * m;
    if (!(clip > 0)) return x0;
    return x0 < -clip ? -clip : x0 > clip ? clip : x0;
}

static double standard_deviation(const element *e) {
    const uc_step *step = e->launch->step;
    if (!e->launch->attrs.noise_step.learned_variance) return (double)step->sigma;
    const double v = predicted(e, e->launch->attrs.noise_step.guided ? e->batch + e->n : e->n, 1), f = (v + 1) / 2;
    return exp(0.5 * (f * (double)step->log_max + (1 - f) * (double)step->log_min));
}

static double noise(const element *e) {
    const uc_view *given = &e->launch->in[UC_NOISE_NOISE];
    if (uc_ref_given(given)) return uc_ref_load(given, e->n * e->channels * e->inner + e->i);
    const int64_t seed = ((const int64_t *)e->launch->in[UC_NOISE_SEEDS].data)[e->n];
    float four[4];
    uc_philox_normal4((uint64_t)seed, e->launch->step->stage, e->launch->step->noise_index, (uint64_t)e->i / 4, four);
    return (double)four[e->i % 4];
}

static void update(const element *e) {
    const uc_step *step = e->launch->step;
    const uc_view *x_out = &e->launch->out[0], *x0_out = &e->launch->out[1];
    const int64_t at = e->n * e->channels * e->inner + e->i;
    const float x = (float)uc_ref_load(&e->launch->in[UC_NOISE_X], at);
    const float m = guided_prediction(e), x0 = clean_sample(e, x, m);
    double next = (double)step->c_x0 * (double)x0 + (double)step->c_x * (double)x + (double)step->c_pred * (double)m;
    /* the first step has no x0 before it, and whatever lies there must not matter */
    if (step->c_old != 0) next += (double)step->c_old * uc_ref_load(&e->launch->in[UC_NOISE_X0], at);
    if (step->add_noise) next += standard_deviation(e) * noise(e);
    uc_ref_store(x_out, at, next);
    uc_ref_store(x0_out, at, (double)x0);
}

void uc_ref_noise_step(const uc_launch *launch) {
    const uc_shape s = launch->in[UC_NOISE_X].shape;
    const int64_t image = s.dim[0] > 0 ? uc_shape_count(s) / s.dim[0] : 0;
    element e = { .launch = launch, .batch = s.dim[0], .channels = s.dim[1], .inner = s.dim[1] ? image / s.dim[1] : 0 };
    for (e.n = 0; e.n < e.batch; e.n++)
        for (e.i = 0; e.i < image; e.i++) update(&e);
}

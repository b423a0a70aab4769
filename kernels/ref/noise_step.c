/* noise_step.c - the meaning of one step of a diffusion sampler (guidance, the estimate of the clean sample, its clamp,
 * the step's mean, the noise): the loop that turns noise into an embedding (prior) or a picture (decoder, upsamplers).
 * The formulas stand at uc_step in ops.h; engine/sampling computes the coefficients.
 *
 * The quantile of a dynamic threshold is found by halving the range of a float's bits and counting, which needs no memory.
 * Comparisons are written so that a NaN passes through the clamp and is seen at the end of the stage. */
#include "ref.h"

#include "../../engine/core/philox.h"

#include <math.h>
#include <string.h>

/* Element i of image n, in logical order. */
typedef struct element {
    const uc_launch *launch;
    int64_t batch, n, i;
    int64_t channels, inner; /* an image is [channels, inner] */
    float limit;             /* s of the image's dynamic threshold */
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

static float estimate(const element *e, float x, float m) {
    const uc_step *step = e->launch->step;
    const float a = step->sqrt_alpha_bar, b = step->sqrt_beta_bar;
    if (e->launch->attrs.noise_step.prediction == UC_PREDICT_EPSILON) return (x - b * m) / a;
    if (e->launch->attrs.noise_step.prediction == UC_PREDICT_V) return a * x - b * m;
    return m;
}

static float clamp(float x, float limit) { return x < -limit ? -limit : x > limit ? limit : x; }

static float clean_sample(const element *e, float x, float m) {
    const float x0 = estimate(e, x, m), clip = e->launch->step->clip;
    if (e->launch->attrs.noise_step.threshold) return clamp(x0, e->limit) / e->limit;
    return clip > 0 ? clamp(x0, clip) : x0;
}

/* ---- the dynamic threshold: bits of floats without a sign are in the order of the numbers ------------------------ */

static uint32_t size_bits(const element *image, int64_t i) {
    element e = *image;
    e.i = i;
    const float x = (float)uc_ref_load(&e.launch->in[UC_NOISE_X], e.n * e.channels * e.inner + i);
    const float size = fabsf(estimate(&e, x, guided_prediction(&e)));
    uint32_t bits;
    memcpy(&bits, &size, sizeof bits);
    return bits;
}

/* How many |x0| of the image have bits up to these; and the smallest ones above them. */
static int64_t count_up_to(const element *image, uint32_t bits, uint32_t *next) {
    int64_t count = 0;
    *next = UINT32_MAX;
    for (int64_t i = 0; i < image->channels * image->inner; i++) {
        const uint32_t mine = size_bits(image, i);
        if (mine <= bits) count++;
        else if (mine < *next) *next = mine;
    }
    return count;
}

static float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float threshold_of(const element *image) {
    const uc_step *step = image->launch->step;
    const int64_t last = image->channels * image->inner - 1;
    const float rank = step->threshold * (float)last;
    const int64_t below = (int64_t)rank < last ? (int64_t)rank : last;
    uint32_t low = 0, high = 0x7FFFFFFF, next;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (count_up_to(image, middle, &next) > below) high = middle;
        else low = middle + 1;
    }
    const bool both = count_up_to(image, low, &next) > below + 1 || below == last;
    const double part = (double)rank - (double)below, at = (double)float_of_bits(low);
    const double after = both ? at : (double)float_of_bits(next);
    const float q = (float)(part > 0 ? at + part * (after - at) : at);
    const float least = q < 1 ? 1 : q; /* a NaN stays */
    return least > step->threshold_max ? step->threshold_max : least;
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
    for (e.n = 0; e.n < e.batch; e.n++) {
        if (launch->attrs.noise_step.threshold && image > 0) e.limit = threshold_of(&e);
        for (e.i = 0; e.i < image; e.i++) update(&e);
    }
}

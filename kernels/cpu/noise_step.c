/* noise_step.c - one step of a diffusion sampler in one pass: guidance, x0, clamp, posterior mean, noise. The formulas
 * stand at uc_step in ops.h; it follows every evaluation of the prior, the decoder and the upsamplers.
 *
 * Blocks of one image at a time; the noise depends on the element's key alone. A dynamic threshold needs a quantile of the
 * estimate first: three more passes over the image, each of which counts a digit of the floats' bits (radix selection:
 * exact, and without a copy of the picture). Comparisons keep a NaN. */
#include "noise.h"

enum { BLOCK = 512 };

/* Elements from ... from + count of one image. */
typedef struct span {
    int64_t image, from, count;
} span;

/* m: the prediction after guidance. */
static void read_prediction(const uc_launch *l, const span *s, float *m) {
    const uc_view *p = &l->in[UC_NOISE_PREDICTION];
    const int64_t batch = l->in[UC_NOISE_X].shape.dim[0], size = uc_shape_count(p->shape) / p->shape.dim[0];
    uc_convert(m, UC_F32, uc_at(p->data, p->dtype, s->image * size + s->from), p->dtype, s->count);
    if (!l->attrs.noise_step.guided) return;
    float cond[BLOCK];
    uc_convert(cond, UC_F32, uc_at(p->data, p->dtype, (batch + s->image) * size + s->from), p->dtype, s->count);
    for (int64_t i = 0; i < s->count; i++) m[i] += l->step->guidance * (cond[i] - m[i]);
}

static void read_deviation(const uc_launch *l, const span *s, float *sd) {
    const uc_view *p = &l->in[UC_NOISE_PREDICTION];
    const uc_step *step = l->step;
    if (!l->attrs.noise_step.learned_variance) {
        for (int64_t i = 0; i < s->count; i++) sd[i] = step->sigma;
        return;
    }
    const int64_t batch = l->in[UC_NOISE_X].shape.dim[0], size = uc_shape_count(p->shape) / p->shape.dim[0];
    const int64_t row = l->attrs.noise_step.guided ? batch + s->image : s->image;
    uc_convert(sd, UC_F32, uc_at(p->data, p->dtype, row * size + size / 2 + s->from), p->dtype, s->count);
    for (int64_t i = 0; i < s->count; i++) {
        const float f = (sd[i] + 1) * 0.5f;
        sd[i] = 0.5f * (f * step->log_max + (1 - f) * step->log_min);
    }
    uc_cpu_exponential(sd, s->count);
}

/* A block begins at a multiple of 4 elements, as the generator's groups do. */
static void read_noise(const uc_launch *l, const span *s, float *noise) {
    const uc_view *given = &l->in[UC_NOISE_NOISE];
    if (given->data) {
        const int64_t size = uc_shape_count(given->shape) / given->shape.dim[0];
        uc_convert(noise, UC_F32, uc_at(given->data, given->dtype, s->image * size + s->from), given->dtype, s->count);
        return;
    }
    const uc_noise_key key = { .seed = (uint64_t)((const int64_t *)l->in[UC_NOISE_SEEDS].data)[s->image],
                               .stage = l->step->stage,
                               .draw = l->step->noise_index };
    uc_cpu_normal(noise, s->count, key, (uint64_t)s->from / 4);
}

static void estimate_x0(const uc_launch *l, int64_t count, const float *x, const float *m, float *x0) {
    const uc_step *step = l->step;
    const float a = step->sqrt_alpha_bar, b = step->sqrt_beta_bar;
    switch (l->attrs.noise_step.prediction) {
    case UC_PREDICT_EPSILON:
        for (int64_t i = 0; i < count; i++) x0[i] = (x[i] - b * m[i]) / a;
        break;
    case UC_PREDICT_SAMPLE: memcpy(x0, m, (size_t)count * sizeof *x0); break;
    case UC_PREDICT_V:
        for (int64_t i = 0; i < count; i++) x0[i] = a * x[i] - b * m[i];
        break;
    }
}

/* limit: s of the image's dynamic threshold, read if there is one. */
static void clamp_x0(const uc_launch *l, float limit, int64_t count, float *x0) {
    const bool dynamic = l->attrs.noise_step.threshold;
    const float most = dynamic ? limit : l->step->clip;
    for (int64_t i = 0; (dynamic || most > 0) && i < count; i++)
        x0[i] = x0[i] < -most ? -most : x0[i] > most ? most : x0[i];
    for (int64_t i = 0; dynamic && i < count; i++) x0[i] /= most;
}

/* ---- the dynamic threshold --------------------------------------------------------------------------------------- */

enum { DIGITS = 3, MOST_VALUES = 2048 };
static const int digit_shift[DIGITS] = { 20, 10, 0 }, digit_values[DIGITS] = { 2048, 1024, 1024 };

/* An order statistic that is being found: its first bits, and its rank among the numbers that have them. */
typedef struct wanted {
    uint32_t prefix;
    int64_t rank;
} wanted;

/* Counts the values of a digit among those |x0| of an image whose bits before it are those of a wanted number. */
static void count_digit(const uc_launch *l, int64_t image, int digit, const wanted w[2],
                        int64_t counts[2][MOST_VALUES]) {
    const int64_t size = uc_shape_count(l->in[UC_NOISE_X].shape) / l->in[UC_NOISE_X].shape.dim[0];
    const uint32_t values = (uint32_t)digit_values[digit];
    const int shift = digit_shift[digit];
    memset(counts, 0, 2 * sizeof *counts);
    for (int64_t from = 0; from < size; from += BLOCK) {
        const span s = { .image = image, .from = from, .count = uc_min64(BLOCK, size - from) };
        float m[BLOCK], x0[BLOCK];
        uint32_t bits[BLOCK];
        read_prediction(l, &s, m);
        estimate_x0(l, s.count, (const float *)l->in[UC_NOISE_X].data + image * size + from, m, x0);
        memcpy(bits, x0, (size_t)s.count * sizeof *bits);
        for (int64_t i = 0; i < s.count; i++) {
            const uint32_t upper = (bits[i] & 0x7FFFFFFFu) >> shift;
            for (int k = 0; k < 2; k++) counts[k][upper % values] += upper / values == w[k].prefix;
        }
    }
}

static float threshold_of(const uc_launch *l, int64_t image) {
    const int64_t last = uc_shape_count(l->in[UC_NOISE_X].shape) / l->in[UC_NOISE_X].shape.dim[0] - 1;
    const float rank = l->step->threshold * (float)last;
    const int64_t below = uc_min64((int64_t)rank, last);
    wanted w[2] = { { 0, below }, { 0, uc_min64(below + 1, last) } };
    for (int digit = 0; digit < DIGITS; digit++) {
        int64_t counts[2][MOST_VALUES];
        count_digit(l, image, digit, w, counts);
        for (int k = 0; k < 2; k++) {
            uint32_t value = 0;
            for (; w[k].rank >= counts[k][value]; value++) w[k].rank -= counts[k][value];
            w[k].prefix = w[k].prefix * (uint32_t)digit_values[digit] + value;
        }
    }
    float at, after;
    memcpy(&at, &w[0].prefix, sizeof at);
    memcpy(&after, &w[1].prefix, sizeof after);
    const float part = rank - (float)below, q = part > 0 ? at + part * (after - at) : at, least = q < 1 ? 1 : q;
    return least > l->step->threshold_max ? l->step->threshold_max : least;
}

static void find_thresholds(const uc_launch *l) {
    const uc_shape s = l->in[UC_NOISE_X].shape;
    float *thresholds = l->scratch;
    UC_OMP(parallel for num_threads(uc_threads_for(l, 24 * uc_shape_count(s))) schedule(static))
    for (int64_t i = 0; i < s.dim[0]; i++) thresholds[i] = threshold_of(l, i);
}

/* ---- the step ---------------------------------------------------------------------------------------------------- */

static void step_block(const uc_launch *l, const span *s) {
    const uc_step *step = l->step;
    const int64_t size = uc_shape_count(l->in[UC_NOISE_X].shape) / l->in[UC_NOISE_X].shape.dim[0];
    const int64_t at = s->image * size + s->from;
    const float *x = (const float *)l->in[UC_NOISE_X].data + at, *old = (const float *)l->in[UC_NOISE_X0].data + at;
    float *x_out = (float *)l->out[0].data + at, *x0_out = (float *)l->out[1].data + at;
    float m[BLOCK], x0[BLOCK], next[BLOCK], sd[BLOCK], noise[BLOCK];
    read_prediction(l, s, m);
    estimate_x0(l, s->count, x, m, x0);
    clamp_x0(l, l->attrs.noise_step.threshold ? ((const float *)l->scratch)[s->image] : 0, s->count, x0);
    for (int64_t i = 0; i < s->count; i++) next[i] = step->c_x0 * x0[i] + step->c_x * x[i] + step->c_pred * m[i];
    /* the first step has no x0 before it, and whatever lies there must not matter */
    for (int64_t i = 0; step->c_old != 0 && i < s->count; i++) next[i] += step->c_old * old[i];
    if (step->add_noise) {
        read_deviation(l, s, sd);
        read_noise(l, s, noise);
        for (int64_t i = 0; i < s->count; i++) next[i] += sd[i] * noise[i];
    }
    memcpy(x_out, next, (size_t)s->count * sizeof *next);
    memcpy(x0_out, x0, (size_t)s->count * sizeof *x0);
}

static void noise_step(const uc_launch *l) {
    const uc_shape s = l->in[UC_NOISE_X].shape;
    const int64_t size = uc_shape_count(s) / s.dim[0], blocks = uc_ceil_div(size, BLOCK);
    if (l->attrs.noise_step.threshold) find_thresholds(l);
    UC_OMP(parallel for num_threads(uc_threads_for(l, 8 * uc_shape_count(s))) schedule(static))
    for (int64_t i = 0; i < s.dim[0] * blocks; i++) {
        const int64_t from = i % blocks * BLOCK;
        const span part = { .image = i / blocks, .from = from, .count = uc_min64(BLOCK, size - from) };
        step_block(l, &part);
    }
}

UC_CPU_SINGLE(noise_step, noise_step)

/* The threshold of each image. */
size_t uc_cpu_noise_step_scratch(const uc_launch *l) {
    return l->attrs.noise_step.threshold ? (size_t)l->in[UC_NOISE_X].shape.dim[0] * sizeof(float) : 0;
}

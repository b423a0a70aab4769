/* noise_step.c - one step of a diffusion sampler in one pass: guidance, x0, clamp, posterior mean, noise. The formulas
 * stand at uc_step in ops.h; it follows every evaluation of the prior, the decoder and the upsamplers.
 *
 * Blocks of one image at a time; the noise depends on the element's key alone. Comparisons keep a NaN. */
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
    const float a = step->sqrt_alpha_bar, b = step->sqrt_beta_bar, clip = step->clip;
    switch (l->attrs.noise_step.prediction) {
    case UC_PREDICT_EPSILON:
        for (int64_t i = 0; i < count; i++) x0[i] = (x[i] - b * m[i]) / a;
        break;
    case UC_PREDICT_SAMPLE: memcpy(x0, m, (size_t)count * sizeof *x0); break;
    case UC_PREDICT_V:
        for (int64_t i = 0; i < count; i++) x0[i] = a * x[i] - b * m[i];
        break;
    }
    for (int64_t i = 0; clip > 0 && i < count; i++) x0[i] = x0[i] < -clip ? -clip : x0[i] > clip ? clip : x0[i];
}

static void step_block(const uc_launch *l, const span *s) {
    const uc_step *step = l->step;
    const int64_t size = uc_shape_count(l->in[UC_NOISE_X].shape) / l->in[UC_NOISE_X].shape.dim[0];
    const int64_t at = s->image * size + s->from;
    const float *x = (const float *)l->in[UC_NOISE_X].data + at, *old = (const float *)l->in[UC_NOISE_X0].data + at;
    float *x_out = (float *)l->out[0].data + at, *x0_out = (float *)l->out[1].data + at;
    float m[BLOCK], x0[BLOCK], next[BLOCK], sd[BLOCK], noise[BLOCK];
    read_prediction(l, s, m);
    estimate_x0(l, s->count, x, m, x0);
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
    UC_OMP(parallel for num_threads(uc_threads_for(l, 8 * uc_shape_count(s))) schedule(static))
    for (int64_t i = 0; i < s.dim[0] * blocks; i++) {
        const int64_t from = i % blocks * BLOCK;
        const span part = { .image = i / blocks, .from = from, .count = uc_min64(BLOCK, size - from) };
        step_block(l, &part);
    }
}

UC_CPU_SINGLE(noise_step, noise_step)
UC_CPU_NO_SCRATCH(noise_step)

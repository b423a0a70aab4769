/* noise_step.cu - one step of a diffusion sampler in one kernel: guidance, the clean sample, its clamp, the step's mean,
 * and the noise. The loop of the prior, the decoder and the upsamplers turns on it.
 *
 *   m    = prediction, or u + guidance (c - u);   x0 = (x - sqrt_beta_bar m) / sqrt_alpha_bar, m, or
 *          sqrt_alpha_bar x - sqrt_beta_bar m, clamped to +-clip;
 *   x'   = c_x0 x0 + c_x x + c_pred m + c_old x0_old + sd noise        (see uc_step in ops.h)
 *
 * Layout: x, x0 F32 and the prediction (any of the three types), all [batch, channels, ...] row-major; x and x0 are
 * updated in place. The coefficients are read from device memory, so that one captured graph serves every step.
 * Cost: per element 16 bytes of x and x0 and 2 to 12 of the prediction; about 15 FLOPs, and about 60 more for Philox and
 * Box-Muller when noise is added. Aim: 85 % of copy bandwidth; below 1 MB it is a launch.
 * Numerics: f32, each multiplication and sum rounded on its own or fused as the compiler likes: tolerance 1e-5 (plus the
 * rounding of 16-bit predictions). The noise is Philox4x32-10 of (seed, stage, draw, element / 4): a thread owns the four
 * elements of one Philox block, whatever the batch. A NaN passes through the clamp.
 * Variants: `vector` where an image is a multiple of 4 elements (all pictures and embeddings), else `scalar`. */
#include "device.cuh"

#include "../../engine/core/philox.h"

namespace {

using namespace uc;

struct problem {
    float *x, *x0;
    const void *prediction;
    const long long *seeds;
    const float *noise;
    const uc_step *step; /* device memory */
    uc_dtype type;
    long long image, batch;    /* elements of an image, images */
    long long row;             /* elements of one row of the prediction: image, or twice as many */
    int kind, guided, learned;
};

/* ---- device helpers ---------------------------------------------------------------------------------------------- */

__device__ inline float clean_sample(const problem &p, const uc_step &s, float x, float m) {
    float x0 = m;
    if (p.kind == UC_PREDICT_EPSILON) x0 = (x - s.sqrt_beta_bar * m) / s.sqrt_alpha_bar;
    if (p.kind == UC_PREDICT_V) x0 = s.sqrt_alpha_bar * x - s.sqrt_beta_bar * m;
    if (!(s.clip > 0)) return x0;
    return x0 < -s.clip ? -s.clip : x0 > s.clip ? s.clip : x0;
}

__device__ inline float standard_deviation(const problem &p, const uc_step &s, float v) {
    if (!p.learned) return s.sigma;
    const float f = (v + 1.0f) * 0.5f;
    return expf(0.5f * (f * s.log_max + (1.0f - f) * s.log_min));
}

/* Four neighbours of which `count` exist; by one wide access when V is 4. */
template <int V, class T> __device__ inline void load_four(const T *from, int count, float out[4]) {
    if (V == 4) {
        const pack<T, V> in = load_pack<T, V>(from);
        for (int k = 0; k < 4; k++) out[k] = to_float(in.at[k % V]);
    } else {
        for (int k = 0; k < 4; k++) out[k] = k < count ? to_float(from[k]) : 0.0f;
    }
}

template <int V> __device__ inline void store_four(float *to, int count, const float in[4]) {
    if (V == 4) store_pack<float, 4>(to, { { in[0], in[1], in[2], in[3] } });
    else
        for (int k = 0; k < count; k++) to[k] = in[k];
}

/* ---- kernel: a thread for each four elements of an image --------------------------------------------------------- */

template <class T, int V> __global__ void __launch_bounds__(256) k_noise_step(problem p) {
    const uc_step s = *p.step;
    const long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x, first = 4 * block, n = blockIdx.y;
    if (first >= p.image) return;
    const int count = p.image - first < 4 ? (int)(p.image - first) : 4;
    const long long at = n * p.image + first, conditional = (p.guided ? p.batch + n : n) * p.row + first;
    const T *prediction = static_cast<const T *>(p.prediction);
    float x[4], old[4] = { 0, 0, 0, 0 }, m[4], v[4] = { 0, 0, 0, 0 }, z[4] = { 0, 0, 0, 0 }, next[4], clean[4];
    load_four<V>(p.x + at, count, x);
    load_four<V>(prediction + conditional, count, m);
    if (p.guided) {
        float u[4];
        load_four<V>(prediction + n * p.row + first, count, u);
        for (int k = 0; k < 4; k++) m[k] = u[k] + s.guidance * (m[k] - u[k]);
    }
    if (p.learned) load_four<V>(prediction + conditional + p.image, count, v);
    if (s.c_old != 0) load_four<V>(p.x0 + at, count, old);
    if (s.add_noise && p.noise) load_four<V>(p.noise + at, count, z);
    else if (s.add_noise) uc_philox_normal4((uint64_t)p.seeds[n], s.stage, s.noise_index, (uint64_t)block, z);
    for (int k = 0; k < 4; k++) {
        clean[k] = clean_sample(p, s, x[k], m[k]);
        next[k] = s.c_x0 * clean[k] + s.c_x * x[k] + s.c_pred * m[k];
        if (s.c_old != 0) next[k] += s.c_old * old[k];
        if (s.add_noise) next[k] += standard_deviation(p, s, v[k]) * z[k];
    }
    store_four<V>(p.x + at, count, next);
    store_four<V>(p.x0 + at, count, clean);
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

template <class T, int V> bool fits(const problem &p) { return p.type == type_of<T>::value && p.image % V == 0; }

template <class T, int V> void run(const problem &p, uc_cuda_stream stream) {
    const unsigned blocks = (unsigned)((p.image + 4 * 256 - 1) / (4 * 256));
    UC_LAUNCH((k_noise_step<T, V>), dim3(blocks, (unsigned)p.batch), dim3(256), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16 vector", fits<__half, 4>, run<__half, 4> },
    { "f16 scalar", fits<__half, 1>, run<__half, 1> },
    { "bf16 vector", fits<__nv_bfloat16, 4>, run<__nv_bfloat16, 4> },
    { "bf16 scalar", fits<__nv_bfloat16, 1>, run<__nv_bfloat16, 1> },
    { "f32 vector", fits<float, 4>, run<float, 4> },
    { "f32 scalar", fits<float, 1>, run<float, 1> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view *in = l.in;
    const uc_shape s = in[UC_NOISE_X].shape;
    p->x = static_cast<float *>(l.out[0].data);
    p->x0 = static_cast<float *>(l.out[1].data);
    p->prediction = in[UC_NOISE_PREDICTION].data;
    p->seeds = static_cast<const long long *>(in[UC_NOISE_SEEDS].data);
    p->noise = static_cast<const float *>(in[UC_NOISE_NOISE].data);
    p->step = l.step;
    p->type = in[UC_NOISE_PREDICTION].dtype;
    p->batch = s.dim[0];
    p->image = s.dim[0] > 0 ? uc_shape_count(s) / s.dim[0] : 0;
    p->row = p->image / s.dim[1] * in[UC_NOISE_PREDICTION].shape.dim[1];
    p->kind = l.attrs.noise_step.prediction;
    p->guided = l.attrs.noise_step.guided;
    p->learned = l.attrs.noise_step.learned_variance;
    return in[UC_NOISE_X].dtype == UC_F32 && in[UC_NOISE_X0].dtype == UC_F32 && p->image > 0 && p->batch <= 65535 &&
           l.out[0].data == in[UC_NOISE_X].data && l.out[1].data == in[UC_NOISE_X0].data && aligned(p->x, 16) &&
           aligned(p->x0, 16) && aligned(p->prediction, 16) && aligned(p->noise, 16);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(noise_step, problem_of, scratch_of, rows)

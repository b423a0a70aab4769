/* noise_step.cu - one step of a diffusion sampler in one kernel: guidance, the clean sample, its clamp, the step's mean,
 * and the noise. The loop of the prior, the decoder and the upsamplers turns on it.
 *
 *   m    = prediction, or u + guidance (c - u);   x0 = (x - sqrt_beta_bar m) / sqrt_alpha_bar, m, or
 *          sqrt_alpha_bar x - sqrt_beta_bar m, clamped to +-clip, or to +-s and divided by s with a dynamic threshold;
 *   x'   = c_x0 x0 + c_x x + c_pred m + c_old x0_old + sd noise        (see uc_step in ops.h)
 *
 * Layout: x, x0 F32 and the prediction (any of the three types), all [batch, channels, ...] row-major; x and x0 are
 * updated in place. The coefficients are read from device memory, so that one captured graph serves every step.
 * Cost: per element 16 bytes of x and x0 and 2 to 12 of the prediction; about 15 FLOPs, and about 60 more for Philox and
 * Box-Muller when noise is added. Aim: 85 % of copy bandwidth; below 1 MB it is a launch. A dynamic threshold reads x and
 * the prediction three times more, from L2 where they fit, for a quantile of |x0| (select.cuh).
 * Numerics: f32, each multiplication and sum rounded on its own or fused as the compiler likes: tolerance 1e-5 (plus the
 * rounding of 16-bit predictions). The noise is Philox4x32-10 of (seed, stage, draw, element / 4): a thread owns the four
 * elements of one Philox block, whatever the batch. A NaN passes through the clamp.
 * Variants: `vector` where an image is a multiple of 4 elements (all pictures and embeddings), else `scalar`. With a
 * dynamic threshold one block does all of an image, still in one kernel, up to 32K elements (embeddings, the decoder's
 * 3 x 64 x 64); a larger one is `split`: by turns a kernel in which many blocks count and a small one that chooses the
 * digit, three times, then the step. */
#include "select.cuh"

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
    int kind, guided, learned, threshold;
    struct selection *selection; /* split: [batch] */
};

/* What the kernels of the split form leave for each other. */
struct selection {
    select_counts counts;
    order_statistic wanted[2];
    float limit; /* s */
};

/* Elements of an image that one block takes. Of a larger one: groups of four for each thread that counts, as long as that
 * makes no more than this many blocks. */
enum { ONE_BLOCK = 32 * 1024, COUNTED_FOURS = 8, MOST_BLOCKS = 256 };

/* ---- device helpers ---------------------------------------------------------------------------------------------- */

__device__ inline float estimate(const problem &p, const uc_step &s, float x, float m) {
    if (p.kind == UC_PREDICT_EPSILON) return (x - s.sqrt_beta_bar * m) / s.sqrt_alpha_bar;
    if (p.kind == UC_PREDICT_V) return s.sqrt_alpha_bar * x - s.sqrt_beta_bar * m;
    return m;
}

__device__ inline float clamp(float x, float limit) { return x < -limit ? -limit : x > limit ? limit : x; }

/* limit: of the image's dynamic threshold, read if there is one. */
__device__ inline float clean_sample(const problem &p, const uc_step &s, float x0, float limit) {
    if (p.threshold) return clamp(x0, limit) / limit;
    return s.clip > 0 ? clamp(x0, s.clip) : x0;
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

/* Four neighbours of an image on the way to their step. */
struct four {
    int count;                 /* that exist */
    long long at, conditional; /* where they begin in x, in the prediction */
    float x[4], m[4], x0[4];   /* x0 not yet clamped */
};

template <class T, int V>
__device__ inline void load_estimate(const problem &p, const uc_step &s, long long n, long long block, four *f) {
    const T *prediction = static_cast<const T *>(p.prediction);
    const long long first = 4 * block;
    f->count = p.image - first < 4 ? (int)(p.image - first) : 4;
    f->at = n * p.image + first;
    f->conditional = (p.guided ? p.batch + n : n) * p.row + first;
    load_four<V>(p.x + f->at, f->count, f->x);
    load_four<V>(prediction + f->conditional, f->count, f->m);
    if (p.guided) {
        float u[4];
        load_four<V>(prediction + n * p.row + first, f->count, u);
        for (int k = 0; k < 4; k++) f->m[k] = u[k] + s.guidance * (f->m[k] - u[k]);
    }
    for (int k = 0; k < 4; k++) f->x0[k] = estimate(p, s, f->x[k], f->m[k]);
}

template <class T, int V>
__device__ inline void step_four(const problem &p, const uc_step &s, long long n, long long block, float limit) {
    float old[4] = { 0, 0, 0, 0 }, v[4] = { 0, 0, 0, 0 }, z[4] = { 0, 0, 0, 0 }, next[4], clean[4];
    four f;
    load_estimate<T, V>(p, s, n, block, &f);
    if (p.learned) load_four<V>(static_cast<const T *>(p.prediction) + f.conditional + p.image, f.count, v);
    if (s.c_old != 0) load_four<V>(p.x0 + f.at, f.count, old);
    if (s.add_noise && p.noise) load_four<V>(p.noise + f.at, f.count, z);
    else if (s.add_noise) uc_philox_normal4((uint64_t)p.seeds[n], s.stage, s.noise_index, (uint64_t)block, z);
    for (int k = 0; k < 4; k++) {
        clean[k] = clean_sample(p, s, f.x0[k], limit);
        next[k] = s.c_x0 * clean[k] + s.c_x * f.x[k] + s.c_pred * f.m[k];
        if (s.c_old != 0) next[k] += s.c_old * old[k];
        if (s.add_noise) next[k] += standard_deviation(p, s, v[k]) * z[k];
    }
    store_four<V>(p.x + f.at, f.count, next);
    store_four<V>(p.x0 + f.at, f.count, clean);
}

__device__ inline float limit_of(const uc_step &s, long long image, const order_statistic wanted[2]) {
    const float q = select_quantile(wanted, quantile_rank(s.threshold, image), image), least = q < 1 ? 1 : q;
    return least > s.threshold_max ? s.threshold_max : least;
}

__device__ inline void clear_counts(select_counts &counts) {
    for (int i = (int)threadIdx.x; i < 2 * SELECT_VALUES; i += SELECT_THREADS)
        counts[i / SELECT_VALUES][i % SELECT_VALUES] = 0;
}

/* Counts every `stride`th four of an image. */
template <class T, int V>
__device__ inline void count_fours(const problem &p, const uc_step &s, long long n, long long begin, long long stride,
                                   const order_statistic wanted[2], int digit, select_counts &counts) {
    const order_statistic both[2] = { wanted[0], wanted[1] }; /* in registers while counting goes on */
    UC_UNROLL(1)
    for (long long block = begin; 4 * block < p.image; block += stride) {
        four f;
        load_estimate<T, V>(p, s, n, block, &f);
        UC_UNROLL(4) /* with a loop of unknown length the numbers would lie in memory */
        for (int k = 0; k < 4; k++)
            if (k < f.count) select_count(counts, both, digit, f.x0[k]);
    }
}

/* ---- a thread for each four elements of an image ----------------------------------------------------------------- */

template <class T, int V> __global__ void __launch_bounds__(256) k_noise_step(problem p) {
    const uc_step s = *p.step;
    const long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x, n = blockIdx.y;
    if (4 * block >= p.image) return;
    step_four<T, V>(p, s, n, block, p.selection ? p.selection[n].limit : 0.0f);
}

/* ---- dynamic threshold: a block for each image ------------------------------------------------------------------- */

template <class T, int V> __global__ void __launch_bounds__(SELECT_THREADS, 2) k_noise_step_block(problem p) {
    UC_SHARED(unsigned, counts, [2][SELECT_VALUES]);
    UC_SHARED(order_statistic, wanted, [2]);
    UC_SHARED(unsigned, parts, [32]);
    const uc_step s = *p.step;
    const long long n = blockIdx.x;
    if (threadIdx.x == 0) select_begin(wanted, quantile_rank(s.threshold, p.image), p.image);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        clear_counts(counts);
        __syncthreads();
        count_fours<T, V>(p, s, n, threadIdx.x, SELECT_THREADS, wanted, digit, counts);
        __syncthreads();
        select_choose(counts, wanted, digit, parts);
    }
    const float limit = limit_of(s, p.image, wanted);
    UC_UNROLL(1)
    for (long long block = threadIdx.x; 4 * block < p.image; block += SELECT_THREADS)
        step_four<T, V>(p, s, n, block, limit);
}

/* ---- dynamic threshold: many blocks for each image --------------------------------------------------------------- */

/* Chooses the digit that was counted last and clears the counts for the next; after the last one, the limit. digits: how
 * many have been counted. */
__global__ void __launch_bounds__(SELECT_THREADS) k_threshold_choose(problem p, int digits) {
    UC_SHARED(unsigned, parts, [32]);
    selection &of = p.selection[blockIdx.x];
    if (digits > 0) select_choose(of.counts, of.wanted, digits - 1, parts);
    else if (threadIdx.x == 0) select_begin(of.wanted, quantile_rank(p.step->threshold, p.image), p.image);
    if (digits < SELECT_DIGITS) clear_counts(of.counts);
    else if (threadIdx.x == 0) of.limit = limit_of(*p.step, p.image, of.wanted);
}

template <class T, int V> __global__ void __launch_bounds__(SELECT_THREADS) k_threshold_count(problem p, int digit) {
    UC_SHARED(unsigned, counts, [2][SELECT_VALUES]);
    const uc_step s = *p.step;
    const long long n = blockIdx.y, begin = (long long)blockIdx.x * SELECT_THREADS + threadIdx.x;
    selection &of = p.selection[n];
    clear_counts(counts);
    __syncthreads();
    count_fours<T, V>(p, s, n, begin, (long long)gridDim.x * SELECT_THREADS, of.wanted, digit, counts);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < 2 * SELECT_VALUES; i += SELECT_THREADS) {
        const unsigned count = counts[i / SELECT_VALUES][i % SELECT_VALUES];
        if (count) atomicAdd(&of.counts[i / SELECT_VALUES][i % SELECT_VALUES], count);
    }
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

bool is_split(const problem &p) { return p.threshold && p.image > ONE_BLOCK && p.image % 4 == 0; }

template <class T, int V> bool fits(const problem &p) {
    return p.type == type_of<T>::value && p.image % V == 0 && !p.threshold;
}

template <class T, int V> bool block_fits(const problem &p) {
    return p.type == type_of<T>::value && p.image % V == 0 && p.threshold && !is_split(p);
}

template <class T> bool split_fits(const problem &p) { return p.type == type_of<T>::value && is_split(p); }

template <class T, int V> void run(const problem &p, uc_cuda_stream stream) {
    const unsigned blocks = (unsigned)((p.image + 4 * 256 - 1) / (4 * 256));
    UC_LAUNCH((k_noise_step<T, V>), dim3(blocks, (unsigned)p.batch), dim3(256), 0, stream, p);
}

template <class T, int V> void run_block(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_noise_step_block<T, V>), dim3((unsigned)p.batch), dim3(SELECT_THREADS), 0, stream, p);
}

template <class T> void run_split(const problem &p, uc_cuda_stream stream) {
    const long long share = 4 * COUNTED_FOURS * SELECT_THREADS, wanted = (p.image + share - 1) / share;
    const dim3 many((unsigned)(wanted < MOST_BLOCKS ? wanted : (long long)MOST_BLOCKS), (unsigned)p.batch);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        UC_LAUNCH(k_threshold_choose, dim3((unsigned)p.batch), dim3(SELECT_THREADS), 0, stream, p, digit);
        UC_LAUNCH((k_threshold_count<T, 4>), many, dim3(SELECT_THREADS), 0, stream, p, digit);
    }
    UC_LAUNCH(k_threshold_choose, dim3((unsigned)p.batch), dim3(SELECT_THREADS), 0, stream, p, (int)SELECT_DIGITS);
    run<T, 4>(p, stream);
}

const row<problem> rows[] = {
    { "f16 vector", fits<__half, 4>, run<__half, 4> },
    { "f16 scalar", fits<__half, 1>, run<__half, 1> },
    { "threshold f16 vector", block_fits<__half, 4>, run_block<__half, 4> },
    { "threshold f16 scalar", block_fits<__half, 1>, run_block<__half, 1> },
    { "threshold split f16", split_fits<__half>, run_split<__half> },
    { "bf16 vector", fits<__nv_bfloat16, 4>, run<__nv_bfloat16, 4> },
    { "bf16 scalar", fits<__nv_bfloat16, 1>, run<__nv_bfloat16, 1> },
    { "threshold bf16 vector", block_fits<__nv_bfloat16, 4>, run_block<__nv_bfloat16, 4> },
    { "threshold bf16 scalar", block_fits<__nv_bfloat16, 1>, run_block<__nv_bfloat16, 1> },
    { "threshold split bf16", split_fits<__nv_bfloat16>, run_split<__nv_bfloat16> },
    { "f32 vector", fits<float, 4>, run<float, 4> },
    { "f32 scalar", fits<float, 1>, run<float, 1> },
    { "threshold f32 vector", block_fits<float, 4>, run_block<float, 4> },
    { "threshold f32 scalar", block_fits<float, 1>, run_block<float, 1> },
    { "threshold split f32", split_fits<float>, run_split<float> },
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
    p->threshold = l.attrs.noise_step.threshold;
    p->selection = is_split(*p) ? static_cast<selection *>(l.scratch) : nullptr;
    return in[UC_NOISE_X].dtype == UC_F32 && in[UC_NOISE_X0].dtype == UC_F32 && p->image > 0 && p->batch <= 65535 &&
           p->image <= 0x7FFFFFFF &&
           l.out[0].data == in[UC_NOISE_X].data && l.out[1].data == in[UC_NOISE_X0].data && aligned(p->x, 16) &&
           aligned(p->x0, 16) && aligned(p->prediction, 16) && aligned(p->noise, 16);
}

size_t scratch_of(const problem &p) { return is_split(p) ? (size_t)p.batch * sizeof(selection) : 0; }

} // namespace

UC_CUDA_OP(noise_step, problem_of, scratch_of, rows)

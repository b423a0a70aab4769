/* sample_token.cu - one draw of the autoregressive prior: logits -> the next token of each image.
 *
 *   m_j = logit_j, or u_j + guidance (c_j - u_j);   token = argmax_j (m_j / temperature - log(-log(uniform_j)))
 * which is a draw from softmax(m / temperature) (Gumbel's trick); without noise when the temperature is 0.
 *
 * Layout: logits [batch or 2 batch, count] of any of the three types, seeds [batch], tokens [batch].
 * Cost: the logits once; one block an image, a few hundred numbers: it is a launch.
 * Numerics: f32. The largest is found in any order with the same result: of equal ones the smallest index counts. The
 * noise is Philox4x32-10 of (seed, stage, draw, token / 4): a thread owns the four tokens of one Philox block. A NaN
 * makes the token -1. */
#include "device.cuh"

#include "../../engine/core/philox.h"

namespace {

using namespace uc;

constexpr int THREADS = 128;

struct problem {
    int *token;
    const void *logits;
    const long long *seeds;
    const uc_step *step; /* device memory */
    uc_dtype type;
    long long batch;
    int count, guided;
};

/* ---- device helpers ---------------------------------------------------------------------------------------------- */

/* A token and its score; -1 with an infinite score once a NaN was seen. */
struct choice {
    float score;
    int token;
};

__device__ inline choice better(choice a, choice b) {
    return b.score > a.score || (b.score == a.score && b.token < a.token) ? b : a;
}

__device__ inline choice warp_best(choice a) {
    for (int o = 16; o; o >>= 1) {
        const float score = __shfl_xor_sync(ALL_LANES, a.score, o);
        const int token = __shfl_xor_sync(ALL_LANES, a.token, o);
        a = better(a, { score, token });
    }
    return a;
}

/* ---- kernel: a block for each image ------------------------------------------------------------------------------ */

template <class T> __global__ void __launch_bounds__(THREADS) k_sample_token(problem p) {
    UC_SHARED(float, scores, [THREADS / 32]);
    UC_SHARED(int, tokens, [THREADS / 32]);
    const uc_step s = *p.step;
    const long long n = blockIdx.x;
    const T *logits = static_cast<const T *>(p.logits);
    choice best = { -INFINITY, p.count };
    for (int first = 4 * (int)threadIdx.x; first < p.count; first += 4 * THREADS) {
        float uniform[4] = { 0, 0, 0, 0 };
        if (s.temperature > 0)
            uc_philox_uniform4((uint64_t)p.seeds[n], s.stage, s.noise_index, (uint64_t)first / 4, uniform);
        for (int k = 0; k < 4 && first + k < p.count; k++) {
            const int j = first + k;
            float m = to_float(logits[n * p.count + j]);
            if (p.guided) m += s.guidance * (to_float(logits[(p.batch + n) * p.count + j]) - m);
            if (s.temperature > 0) m = m / s.temperature - logf(-logf(uniform[k]));
            best = better(best, m != m ? choice{ INFINITY, -1 } : choice{ m, j });
        }
    }
    best = warp_best(best);
    if (threadIdx.x % 32 == 0) {
        scores[threadIdx.x / 32] = best.score;
        tokens[threadIdx.x / 32] = best.token;
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int w = 1; w < THREADS / 32; w++) best = better(best, { scores[w], tokens[w] });
    p.token[n] = best.token;
}

/* ---- specialisations --------------------------------------------------------------------------------------------- */

template <class T> bool fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T> void run(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_sample_token<T>), dim3((unsigned)p.batch), dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16", fits<__half>, run<__half> },
    { "bf16", fits<__nv_bfloat16>, run<__nv_bfloat16> },
    { "f32", fits<float>, run<float> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view *logits = &l.in[UC_SAMPLE_LOGITS];
    *p = { static_cast<int *>(l.out[0].data), logits->data,
           static_cast<const long long *>(l.in[UC_SAMPLE_SEEDS].data), l.step, logits->dtype,
           l.in[UC_SAMPLE_SEEDS].shape.dim[0], (int)logits->shape.dim[1], l.attrs.sample_token.guided };
    return l.in[UC_SAMPLE_SEEDS].dtype == UC_I64 && l.out[0].dtype == UC_I32 && logits->shape.dim[1] < 1 << 30;
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(sample_token, problem_of, scratch_of, rows)

/* embedding.cu - tokens -> CLIP text: the rows of the table that the ids name, plus the embeddings of their positions.
 *
 *   out[b,t] = table[ids[b,t]] + positions[t]
 *
 * Cost: 77 rows of 768 numbers a prompt, once a prompt: a launch, whatever is done; so one form, a thread a number.
 * Numerics: f32, rounded once. The table is of any type. Ids are in range (the tokenizer's). */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const int *ids;
    any_values table, positions;
    void *out;
    uc_dtype type;
    long long count;
    int tokens, channels;
};

template <class T> __global__ void __launch_bounds__(THREADS) k_embedding(problem p) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= p.count) return;
    const long long token = i / p.channels, c = i % p.channels;
    float x = load_any(p.table, (long long)p.ids[token] * p.channels + c);
    if (p.positions.data) x += load_any(p.positions, token % p.tokens * p.channels + c);
    static_cast<T *>(p.out)[i] = from_float<T>(x);
}

template <class T> bool fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T> void run(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_embedding<T>), dim3((unsigned)((p.count + THREADS - 1) / THREADS)), dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16", fits<__half>, run<__half> },
    { "bf16", fits<__nv_bfloat16>, run<__nv_bfloat16> },
    { "f32", fits<float>, run<float> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.out[0].shape;
    *p = { static_cast<const int *>(l.in[UC_EMB_IDS].data), any_of(l.in[UC_EMB_TABLE]), any_of(l.in[UC_EMB_POSITIONS]),
           l.out[0].data, l.out[0].dtype, uc_shape_count(s), (int)s.dim[1], (int)s.dim[2] };
    return l.in[UC_EMB_IDS].dtype == UC_I32;
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(embedding, problem_of, scratch_of, rows)

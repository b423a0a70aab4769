/* scale_shift.cu - x scale[c] + shift[c] over the last dimension: the prior's result leaves its normalised space on the way
 * to the image embedding. One row of 768 numbers an image: a launch, whatever is done; so one form, a thread a number.
 * Numerics: f32, tolerance 1e-6. scale and shift are of any type. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const void *x;
    any_values scale, shift;
    void *out;
    uc_dtype type;
    long long count, channels;
};

template <class T> __global__ void __launch_bounds__(THREADS) k_scale_shift(problem p) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= p.count) return;
    const long long c = i % p.channels;
    static_cast<T *>(p.out)[i] =
        from_float<T>(to_float(static_cast<const T *>(p.x)[i]) * load_any(p.scale, c) + load_any(p.shift, c));
}

template <class T> bool fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T> void run(const problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_scale_shift<T>), dim3((unsigned)((p.count + THREADS - 1) / THREADS)), dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16", fits<__half>, run<__half> },
    { "bf16", fits<__nv_bfloat16>, run<__nv_bfloat16> },
    { "f32", fits<float>, run<float> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.in[0].shape;
    *p = { l.in[0].data, any_of(l.in[1]), any_of(l.in[2]), l.out[0].data, l.in[0].dtype, uc_shape_count(s),
           s.dim[s.rank - 1] };
    return l.out[0].dtype == p->type && (s.rank < 4 || l.in[0].layout == UC_PLAIN);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(scale_shift, problem_of, scratch_of, rows)

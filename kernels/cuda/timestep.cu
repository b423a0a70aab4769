/* timestep.cu - the sinusoidal embedding of diffusion timesteps: the clock of the prior, the decoder and the upsamplers.
 *
 *   f_i = exp(-ln(10000) i / (dim/2 - freq_shift));  out[n] = [sin(t f) | cos(t f)], or the other way round
 *
 * Cost: once a run for all steps together, 250 x 320 numbers: a launch.
 * Numerics: float up to the argument t f, with a rounding after each operation, because the networks were trained with
 * it; the exponential, sine and cosine themselves in double, since an error of one ulp in f moves the result by 1e-4 at
 * t = 1000. Tolerance 2e-5. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 128 };

struct problem {
    const float *t;
    void *out;
    uc_dtype type;
    int count, dim, cosine, sine; /* cosine, sine: where each half begins */
    float log_period, divisor;
};

template <class T> __global__ void __launch_bounds__(THREADS) k_timestep(problem p) {
    const int i = (int)(blockIdx.x * THREADS + threadIdx.x), n = (int)blockIdx.y, half = p.dim / 2;
    T *out = static_cast<T *>(p.out) + (long long)n * p.dim;
    if (i == 0 && p.dim % 2) out[p.dim - 1] = from_float<T>(0.0f);
    if (i >= half) return;
    const float exponent = p.log_period * (float)i;
    const float frequency = (float)exp((double)(exponent / p.divisor));
    const double argument = (double)(p.t[n] * frequency);
    out[p.cosine + i] = from_float<T>((float)cos(argument));
    out[p.sine + i] = from_float<T>((float)sin(argument));
}

template <class T> bool fits(const problem &p) { return p.type == type_of<T>::value; }

template <class T> void run(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)(p.dim / 2 / THREADS + 1), (unsigned)p.count);
    UC_LAUNCH((k_timestep<T>), grid, dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = {
    { "f16", fits<__half>, run<__half> },
    { "bf16", fits<__nv_bfloat16>, run<__nv_bfloat16> },
    { "f32", fits<float>, run<float> },
};

bool problem_of(const uc_launch &l, problem *p) {
    const uc_shape s = l.out[0].shape;
    const int half = (int)s.dim[1] / 2, cosine = l.attrs.timestep.flip_sin_to_cos ? 0 : half;
    *p = { static_cast<const float *>(l.in[0].data), l.out[0].data, l.out[0].dtype, (int)s.dim[0], (int)s.dim[1], cosine,
           half - cosine, (float)-log(10000.0), (float)((double)half - (double)l.attrs.timestep.freq_shift) };
    return l.in[0].dtype == UC_F32 && p->count <= 65535;
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(timestep, problem_of, scratch_of, rows)

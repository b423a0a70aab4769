/* to_bytes.cu - a picture in [-1, 1] as the bytes that are seen: out of the last stage, so that a third of the picture's
 * bytes have to leave the device.
 *
 *   out[n,p,c] = round(255 min(max(x[n,c,p] / 2 + 1/2, 0), 1)), half to even;   out[n,p,3] = 255 if all three are finite, else 0
 *
 * Layout: x F32 [images, 3, pixels], out U8 [images, pixels, 4].
 * Cost: 12 bytes read and 4 written a pixel, once a picture: 16 MB at 1024 x 1024, a launch below. So one form, a thread a
 * pixel, neighbours reading and writing neighbouring words. (Four pixels a thread load 16 bytes at once, but nvcc stores
 * them as four words.)
 * Numerics: exact. x / 2 is, so that a fused multiplication and addition rounds as the two do. */
#include "device.cuh"

namespace {

using namespace uc;

enum { THREADS = 256 };

struct problem {
    const float *x;
    unsigned *out;
    long long pixels, images;
};

__device__ inline unsigned byte_of(float x) {
    return (unsigned)rintf(fminf(fmaxf(x * 0.5f + 0.5f, 0.0f), 1.0f) * 255.0f);
}

__device__ inline bool is_finite(float x) { return fabsf(x) <= 3.402823466e38f; }

__global__ void __launch_bounds__(THREADS) k_to_bytes(problem p) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x, n = blockIdx.y;
    if (i >= p.pixels) return;
    const float *x = p.x + 3 * n * p.pixels + i;
    const float red = x[0], green = x[p.pixels], blue = x[2 * p.pixels];
    const unsigned known = is_finite(red) && is_finite(green) && is_finite(blue) ? 255u : 0u;
    p.out[n * p.pixels + i] = byte_of(red) | byte_of(green) << 8 | byte_of(blue) << 16 | known << 24;
}

bool fits(const problem &) { return true; }

void run(const problem &p, uc_cuda_stream stream) {
    const dim3 grid((unsigned)((p.pixels + THREADS - 1) / THREADS), (unsigned)p.images);
    UC_LAUNCH(k_to_bytes, grid, dim3(THREADS), 0, stream, p);
}

const row<problem> rows[] = { { "pixels", fits, run } };

bool problem_of(const uc_launch &l, problem *p) {
    const uc_view &x = l.in[0];
    *p = { static_cast<const float *>(x.data), static_cast<unsigned *>(l.out[0].data), x.shape.dim[2] * x.shape.dim[3],
           x.shape.dim[0] };
    return x.dtype == UC_F32 && x.layout == UC_PLAIN && l.out[0].dtype == UC_U8 && p->images <= 65535 &&
           aligned(p->x, 4) && aligned(p->out, 4);
}

size_t scratch_of(const problem &) { return 0; }

} // namespace

UC_CUDA_OP(to_bytes, problem_of, scratch_of, rows)

/* test_emulator.cpp - the emulator itself: what it must name instead of hanging, what it must refuse, what it must make
 * visible; and each twin of an instruction against numbers that are known. */
#include <cstring>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/cuda/ptx.cuh"

namespace {

/* ---- kernels, each with one property ----------------------------------------------------------------------------- */

__global__ void k_sum(float *out, const float *in) {
    UC_SHARED(float, parts, [4]);
    const float s = uc::warp_sum(in[threadIdx.x]);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = s;
    __syncthreads();
    if (threadIdx.x == 0) *out = parts[0] + parts[1] + parts[2] + parts[3];
}

__global__ void k_two_barriers(int) {
    if (threadIdx.x % 2) __syncthreads();
    else __syncthreads();
}

__global__ void k_lane_leaves_the_collective(int *out) {
    if (threadIdx.x == 7) __syncthreads();
    else out[threadIdx.x] = __shfl_xor_sync(uc::ALL_LANES, (int)threadIdx.x, 1);
}

/* Lanes that have returned are not waited for, by barriers and by collectives. */
__global__ void k_early_return(int *out) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(uc::ALL_LANES, 1 + (int)threadIdx.x, 1);
}

__global__ void k_unset_shared(float *out) {
    UC_SHARED(float, never_set, [8]);
    UC_DYNAMIC_SHARED(raw);
    out[0] = never_set[3];
    out[1] = reinterpret_cast<float *>(raw)[2];
}

__global__ void k_not_in_mask(int *out) { *out = __shfl_sync(0xFFFFFFFEu, 1, 1); }

__global__ void k_too_much_static(int *out) {
    UC_SHARED(char, most, [40 * 1024]);
    UC_SHARED(char, rest, [9 * 1024]);
    out[0] = most[0] + rest[0];
}

/* Atomic, because here it is the order that is wanted. */
__global__ void k_order(int *next, int *order) { order[__atomic_fetch_add(next, 1, __ATOMIC_RELAXED)] = (int)(blockIdx.x * blockDim.x + threadIdx.x); }

__global__ void k_votes(unsigned *out) {
    out[threadIdx.x] = __ballot_sync(uc::ALL_LANES, threadIdx.x % 3 == 0);
    out[32 + threadIdx.x] = __any_sync(uc::ALL_LANES, threadIdx.x == 31) + 2u * __all_sync(uc::ALL_LANES, threadIdx.x < 31);
}

__global__ void k_shuffles(int *out) {
    const int t = (int)threadIdx.x;
    out[t] = __shfl_xor_sync(uc::ALL_LANES, t, 5);
    out[32 + t] = __shfl_down_sync(uc::ALL_LANES, t, 4);
    out[64 + t] = __shfl_sync(uc::ALL_LANES, t, 9);
}

/* a [16][16], b [8][16] (its columns), d [16][8], all through ldmatrix as kernels do it: b as stored, and b transposed in
 * memory through the transposing form. */
template <class T> __global__ void k_product(const T *a, const T *b, const T *bt, float *d, float *dt) {
    UC_SHARED(uint4, shared, [3][32]); /* 16-byte rows: a [16][2], b [8][2] twice, bt [16][2] (its upper half zero) */
    T *sa = reinterpret_cast<T *>(shared[0]), *sb = reinterpret_cast<T *>(shared[1]), *st = reinterpret_cast<T *>(shared[2]);
    const int t = (int)threadIdx.x;
    for (int i = t; i < 256; i += 32) {
        sa[i] = a[i];
        sb[i] = b[i % 128];
        st[i] = bt[i];
    }
    __syncwarp();
    uint32_t fa[4], fb[4], ft[4];
    ptx::ldmatrix_x4(fa, sa + t % 16 * 16 + t / 16 * 8);
    ptx::ldmatrix_x4(fb, sb + t % 8 * 16 + t / 8 % 2 * 8);
    ptx::ldmatrix_x4_trans(ft, st + t % 16 * 16 + t / 16 * 8);
    float sum[4] = { 0.5f, 0.5f, 0.5f, 0.5f }, sum_t[4] = { 0, 0, 0, 0 };
    const uint32_t low[2] = { fb[0], fb[1] }, low_t[2] = { ft[0], ft[1] };
    ptx::mma_m16n8k16<T>(sum, fa, low);
    ptx::mma_m16n8k16<T>(sum_t, fa, low_t);
    for (int c = 0; c < 4; c++) {
        d[(t / 4 + c / 2 * 8) * 8 + t % 4 * 2 + c % 2] = sum[c];
        dt[(t / 4 + c / 2 * 8) * 8 + t % 4 * 2 + c % 2] = sum_t[c];
    }
}

__global__ void k_fragment(const uint16_t *rows, uint32_t *out) {
    UC_SHARED(uint4, shared, [32]);
    uint16_t *s = reinterpret_cast<uint16_t *>(shared);
    for (int i = (int)threadIdx.x; i < 256; i += 32) s[i] = rows[i];
    __syncwarp();
    uint32_t r[4], rt[4];
    ptx::ldmatrix_x4(r, s + threadIdx.x * 8);
    ptx::ldmatrix_x4_trans(rt, s + threadIdx.x * 8);
    for (int m = 0; m < 4; m++) out[threadIdx.x * 8 + m] = r[m], out[threadIdx.x * 8 + 4 + m] = rt[m];
}

/* What is in shared memory before the wait, after a wait for the older group, and after the last one. */
__global__ void k_async(const float *from, float *out) {
    UC_SHARED(uint4, shared, [2]);
    float *s = reinterpret_cast<float *>(shared);
    ptx::cp_async_16(s, from, true);
    ptx::cp_async_commit();
    ptx::cp_async_8(s + 4, from + 4, true);
    ptx::cp_async_4(s + 6, from + 6, false);
    ptx::cp_async_commit();
    out[0] = s[0];
    ptx::cp_async_wait<1>();
    out[1] = s[3], out[2] = s[4];
    ptx::cp_async_wait<0>();
    out[3] = s[5], out[4] = s[6];
}

__global__ void k_async_misaligned(const float *from) {
    UC_SHARED(uint4, shared, [2]);
    ptx::cp_async_16(reinterpret_cast<float *>(shared) + 1, from, true);
}

__global__ void k_async_in_flight(const float *from) {
    UC_SHARED(uint4, shared, [2]);
    ptx::cp_async_16(shared, from, true);
    ptx::cp_async_commit();
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

std::string error_of_launch() {
    const std::string e = simt_error();
    simt_clear_error();
    return e;
}

bool has(const std::string &text, const char *part) { return text.find(part) != std::string::npos; }

template <class... Parts> void names(const std::string &error, Parts... parts) {
    for (const char *part : { parts... })
        expect(has(error, part), "the error \"%s\" does not say \"%s\"", error.c_str(), part);
}

} // namespace

SIMT_TEST(emulator_runs_a_block) {
    std::vector<float> in(128);
    float sum = 0, expected = 0;
    for (int i = 0; i < 128; i++) expected += in[(size_t)i] = (float)i * 0.5f;
    for (const simt_order order : { SIMT_FORWARD, SIMT_REVERSE, SIMT_RANDOM }) {
        simt_set_order(order, 7);
        float *out = &sum;
        const float *from = in.data();
        UC_LAUNCH(k_sum, dim3(1), dim3(128), 0, nullptr, out, from);
        expect(sum == expected && !simt_error()[0], "sum %g, expected %g; %s", (double)sum, (double)expected, simt_error());
    }
    simt_set_order(SIMT_FORWARD, 0);
}

SIMT_TEST(emulator_names_a_deadlock) {
    std::vector<int> out(32);
    int *p = out.data();
    UC_LAUNCH(k_lane_leaves_the_collective, dim3(1), dim3(32), 0, nullptr, p);
    names(error_of_launch(), "k_lane_leaves_the_collective", "block (0,0,0)", "deadlock", "threads 0-6 8-31 wait at __shfl_xor_sync", "mask 0xffffffff",
          "threads 7 wait at __syncthreads", "test_emulator.cpp:");
}

SIMT_TEST(emulator_names_mismatched_barriers) {
    UC_LAUNCH(k_two_barriers, dim3(1), dim3(4), 0, nullptr, 0);
    names(error_of_launch(), "mismatched barriers", "threads 0 2 wait", "threads 1 3 wait");
    int out = 0, *p = &out;
    UC_LAUNCH(k_not_in_mask, dim3(1), dim3(32), 0, nullptr, p);
    names(error_of_launch(), "__shfl_sync", "not in its own mask");
}

SIMT_TEST(emulator_lets_threads_return_early) {
    std::vector<int> out(64, 0);
    int *p = out.data();
    UC_LAUNCH(k_early_return, dim3(1), dim3(64), 0, nullptr, p);
    expect(!simt_error()[0] && out[0] == 2 && out[39] == 39 && out[40] == 0, "%d %d %s", out[0], out[39], simt_error());
}

SIMT_TEST(emulator_poisons_shared_memory) {
    float out[2] = { 0, 0 }, *p = out;
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1), 64, nullptr, p);
    expect(std::isnan(out[0]) && std::isnan(out[1]), "unset shared memory is %g and %g", (double)out[0], (double)out[1]);
}

SIMT_TEST(emulator_refuses_what_a_device_refuses) {
    float out[2], *p = out;
    int i = 0, *q = &i;
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1025), 0, nullptr, p);
    names(error_of_launch(), "(1025,1,1)", "1024");
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(0), 0, nullptr, p);
    names(error_of_launch(), "(0,1,1)");
    UC_LAUNCH(k_unset_shared, dim3(1, 65536), dim3(1), 0, nullptr, p);
    names(error_of_launch(), "(1,65536,1)", "65535");
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1), 48 * 1024 + 16, nullptr, p);
    names(error_of_launch(), "49168 bytes", "49152 are allowed");
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1), 48 * 1024, nullptr, p);
    names(error_of_launch(), "never_set", "dynamic included");
    UC_LAUNCH(k_too_much_static, dim3(1), dim3(1), 0, nullptr, q);
    names(error_of_launch(), "rest", "48 KB");
    UC_ALLOW_SHARED(k_unset_shared, 100 * 1024);
    names(error_of_launch(), "102400 bytes", "101376");
    UC_ALLOW_SHARED(k_unset_shared, 99 * 1024);
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1), 98 * 1024, nullptr, p);
    expect(!simt_error()[0], "%s", simt_error());
    simt_clear_error();
}

SIMT_TEST(emulator_orders_lanes_and_blocks) {
    std::vector<int> order(128);
    int next = 0, *n = &next, *o = order.data();
    simt_set_order(SIMT_REVERSE, 0);
    UC_LAUNCH(k_order, dim3(2), dim3(64), 0, nullptr, n, o);
    expect(order[0] == 127 && order[127] == 0, "reverse order begins at %d", order[0]);
    next = 0;
    simt_set_order(SIMT_RANDOM, 3);
    UC_LAUNCH(k_order, dim3(2), dim3(64), 0, nullptr, n, o);
    const std::vector<int> first = order;
    next = 0;
    simt_set_order(SIMT_RANDOM, 3);
    UC_LAUNCH(k_order, dim3(2), dim3(64), 0, nullptr, n, o);
    expect(first == order, "the same seed gave another order");
    simt_set_order(SIMT_FORWARD, 0);
}

SIMT_TEST(twins_of_votes_and_shuffles) {
    unsigned votes[64], *v = votes;
    int moved[96], *m = moved;
    UC_LAUNCH(k_votes, dim3(1), dim3(32), 0, nullptr, v);
    UC_LAUNCH(k_shuffles, dim3(1), dim3(32), 0, nullptr, m);
    for (int t = 0; t < 32; t++) {
        expect(votes[t] == 0x49249249u && votes[32 + t] == 1, "votes %08x %u", votes[t], votes[32 + t]);
        expect(moved[t] == (t ^ 5) && moved[32 + t] == (t < 28 ? t + 4 : t) && moved[64 + t] == 9, "lane %d: %d %d %d", t,
               moved[t], moved[32 + t], moved[64 + t]);
    }
}

/* Against the engine's conversions, which are tested against the compiler's. */
SIMT_TEST(twins_of_sixteen_bit_floats) {
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float h = __half2float(__ushort_as_half((uint16_t)bits)), expected = uc_f16_to_f32((uint16_t)bits);
        expect(!std::memcmp(&h, &expected, 4) || (std::isnan(h) && std::isnan(expected)), "f16 %04x", bits);
    }
    uint64_t z = 1;
    for (int i = 0; i < 2000000; i++) {
        z = z * 6364136223846793005u + 1442695040888963407u;
        float f = simt::float_of((uint32_t)(z >> 32));
        if (i % 2) f = std::ldexp(std::fmod(f, 1.0f) + 1.0f, (int)(z >> 20 & 63) - 40); /* near f16's range */
        if (std::isnan(f)) continue;
        expect(__float2half_rn(f).bits == uc_f32_to_f16(f), "%a to f16", (double)f);
        expect(__float2bfloat16_rn(f).bits == uc_f32_to_bf16(f), "%a to bf16", (double)f);
    }
}

template <class T> static void check_product(const char *name) {
    T a[256], b[128], bt[256];
    float d[128], dt[128];
    for (int i = 0; i < 256; i++) a[i] = uc::from_float<T>((float)((i * 37 + 11) % 61 - 30));
    for (int i = 0; i < 128; i++) b[i] = uc::from_float<T>((float)((i * 29 + 5) % 53 - 26));
    for (int k = 0; k < 16; k++)
        for (int n = 0; n < 16; n++) bt[16 * k + n] = n < 8 ? b[16 * n + k] : uc::from_float<T>(0.0f);
    const T *pa = a, *pb = b, *pbt = bt;
    float *pd = d, *pdt = dt;
    UC_LAUNCH(k_product<T>, dim3(1), dim3(32), 0, nullptr, pa, pb, pbt, pd, pdt);
    expect(!simt_error()[0], "%s", simt_error());
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 8; n++) {
            float sum = 0; /* small integers: exact in any order */
            for (int k = 0; k < 16; k++) sum += uc::to_float(a[16 * m + k]) * uc::to_float(b[16 * n + k]);
            expect(d[8 * m + n] == sum + 0.5f && dt[8 * m + n] == sum, "%s (%d,%d): %g and %g, expected %g", name, m, n,
                   (double)d[8 * m + n], (double)dt[8 * m + n], (double)sum);
        }
}

SIMT_TEST(twins_of_matrix_products) {
    check_product<__half>("f16");
    check_product<__nv_bfloat16>("bf16");
}

/* PTX ISA, ldmatrix: thread i holds elements (i / 4, 2 (i % 4)) and the next of each matrix; .trans exchanges row and
 * column. Element (r, c) of matrix m has the value 256 m + 16 r + c here. */
SIMT_TEST(twins_of_ldmatrix) {
    uint16_t rows[256], *p = rows;
    uint32_t out[256], *q = out;
    for (int i = 0; i < 256; i++) rows[i] = (uint16_t)(i / 64 * 256 + i / 8 % 8 * 16 + i % 8);
    UC_LAUNCH(k_fragment, dim3(1), dim3(32), 0, nullptr, p, q);
    for (uint32_t i = 0; i < 32; i++)
        for (uint32_t m = 0; m < 4; m++) {
            const uint32_t r = i / 4, c = 2 * (i % 4), base = 256 * m;
            expect(out[8 * i + m] == ((base + 16 * r + c) | (base + 16 * r + c + 1) << 16), "lane %u: %08x", i, out[8 * i + m]);
            expect(out[8 * i + 4 + m] == ((base + 16 * c + r) | (base + 16 * (c + 1) + r) << 16), "lane %u: %08x", i,
                   out[8 * i + 4 + m]);
        }
}

SIMT_TEST(twins_of_asynchronous_copies) {
    alignas(16) float from[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, out[5];
    const float *f = from, *odd = from + 1;
    float *o = out;
    UC_LAUNCH(k_async, dim3(1), dim3(1), 0, nullptr, f, o);
    expect(std::isnan(out[0]) && out[1] == 4 && std::isnan(out[2]) && out[3] == 6 && out[4] == 0, "%g %g %g %g %g",
           (double)out[0], (double)out[1], (double)out[2], (double)out[3], (double)out[4]);
    UC_LAUNCH(k_async_misaligned, dim3(1), dim3(1), 0, nullptr, odd);
    names(error_of_launch(), "cp.async.16", "aligned");
    UC_LAUNCH(k_async_in_flight, dim3(1), dim3(1), 0, nullptr, f);
    names(error_of_launch(), "in flight");
}

/* With a submit function nothing runs until its owner says so. */
static simt_launch *kept;
static void keep(void *user, void *stream, simt_launch *launch) {
    (void)user, (void)stream;
    kept = launch;
}

SIMT_TEST(emulator_hands_launches_over) {
    std::vector<int> out(64, 0);
    int *p = out.data();
    simt_set_submit(keep, nullptr);
    UC_LAUNCH(k_early_return, dim3(1), dim3(64), 0, nullptr, p);
    simt_set_submit(nullptr, nullptr);
    expect(kept && out[0] == 0 && std::string(simt_kernel_name(kept)) == "k_early_return", "the launch ran at once");
    expect(simt_run(kept) == 0 && out[0] == 2, "the kept launch did not run");
    simt_free(kept);
}

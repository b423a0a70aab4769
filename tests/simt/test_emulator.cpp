/* test_emulator.cpp - the emulator itself: what it must name instead of hanging, what it must refuse, what it must make
 * visible; and each twin of an instruction against numbers that are known. */
#include <cstring>
#include <string>
#include <vector>

#include "harness.h"
#include "kernels/cuda/device.cuh"

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
    UC_ALLOW_SHARED(k_unset_shared, 228 * 1024);
    names(error_of_launch(), "233472 bytes", "232448");
    UC_ALLOW_SHARED(k_unset_shared, 227 * 1024);
    UC_LAUNCH(k_unset_shared, dim3(1), dim3(1), 226 * 1024, nullptr, p);
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

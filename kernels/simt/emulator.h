/* emulator.h - what simt.h and ptx.cuh, compiled into the kernels, need of the emulator. Its own parts are fiber.cpp (the
 * switch from one CUDA thread to the next), emulator.cpp (blocks, barriers, limits) and twins.cpp (what a warp does
 * together). Those three are compiled without TSan's instrumentation: they are the hardware. */
#ifndef UC_SIMT_EMULATOR_H
#define UC_SIMT_EMULATOR_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "control.h"
#include "types.h"

namespace simt {

/* Where in a kernel's source something happens; filled by default arguments. */
struct place {
    const char *what, *file;
    int line;
};

/* ---- where a thread is ---- */
const uint3 &thread_index();
const uint3 &block_index();
const dim3 &block_size();
const dim3 &grid_size();
int lane_index();

/* ---- barriers and warps ---- */
void block_barrier(place at);

/* Words in, words out: every lane deposits, the last one to arrive runs the function once, every lane takes its result.
 * lanes[i] is NULL where lane i does not take part. Memory is ordered between the lanes only if `orders` says so. */
enum { COLLECTIVE_WORDS = 12 };
struct deposit {
    uint32_t in[COLLECTIVE_WORDS], out[COLLECTIVE_WORDS];
};
typedef void (*collective_fn)(deposit *const lanes[32]);
void collective(uint32_t mask, collective_fn fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                bool orders, place at);

/* The functions of twins.cpp, by instruction. */
void warp_sync(deposit *const lanes[32]);          /* nothing in, nothing out */
void warp_shuffle(deposit *const lanes[32]);       /* in: source lane, words of the value; out: words */
void warp_ballot(deposit *const lanes[32]);        /* in: predicate; out: mask */
void mma_m16n8k16_f16(deposit *const lanes[32]);   /* in: a[4], b[2], c[4]; out: d[4] */
void mma_m16n8k16_bf16(deposit *const lanes[32]);
void ldmatrix(deposit *const lanes[32]);           /* in: the lane's row of 16 bytes; out: one word of each matrix */
void ldmatrix_trans(deposit *const lanes[32]);

/* ---- shared memory ---- */
struct shared_site {
    size_t bytes, align;
    const char *name;
};
void *static_shared(const shared_site *site);
void *dynamic_shared();

/* ---- copies in flight (cp.async): they land when they are waited for, not before ---- */
struct copy {
    void *to;
    const void *from;
    unsigned bytes, valid; /* the rest is zeros */
};
void async_push(const copy &c, place at);
void async_commit();
bool async_next(int groups_left_in_flight, copy *c); /* the next copy that has to land now */

/* Ends the kernel with an error. */
[[noreturn]] void fail(place at, const char *message);

/* ---- launches ---- */
struct launch_shape {
    const char *kernel;
    const void *function;
    dim3 grid, block;
    size_t dynamic_bytes;
};
struct closure {
    void (*call)(const void *self);
    void (*destroy)(void *self);
    void *self;
};
void allow_shared(const void *function, size_t bytes); /* cudaFuncAttributeMaxDynamicSharedMemorySize */
void submit(const launch_shape &shape, void *stream, const closure &body);

template <class F> void launch(const launch_shape &shape, void *stream, F body) {
    submit(shape, stream,
           { [](const void *self) { (*static_cast<const F *>(self))(); },
             [](void *self) { delete static_cast<F *>(self); }, new F(body) });
}

} // namespace simt
#endif

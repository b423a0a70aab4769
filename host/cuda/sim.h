/* sim.h - a simulation of the CUDA runtime on the CPU, so that the backend and everything above it runs, and is caught
 * when it is wrong, on a machine without a GPU. It serves every arrow of the flow, as device "sim:N".
 *
 * It is stricter than a device, and as unhelpful as one may be:
 *   - Each virtual device has memory of its own, at addresses that the host cannot touch and that are never given out
 *     twice. A kernel or copy that is given the wrong kind of pointer, freed memory, or more bytes than the block has,
 *     ends with an error that names the operand. New memory is all ones, a NaN in every type; so is host memory that a
 *     copy is on its way to.
 *   - Work waits on its stream and is run in an order that a seed chooses among those that stream order and events
 *     allow: seed 0 runs nothing before somebody waits for it.
 *   - Two pieces of work that touch the same bytes, one of them writing, with nothing that orders them, are an error
 *     whatever the seed: every stream keeps a vector clock, as in a race detector.
 *   - Capture freezes all parameters; a captured list is run in an order that its dependencies allow.
 *   - Any call can be made to fail, by its number; so can any piece of work. Errors of kind UC_DEVICE_LOST stay.
 * One thread uses it at a time. */
#ifndef UC_HOST_CUDA_SIM_H
#define UC_HOST_CUDA_SIM_H

#include "runtime.h"

/* How an operation is computed: a kernel of the emulator, for instance. All pointers are the host's by then. */
typedef unclip_status (*uc_sim_kernel)(const uc_launch *launch, unclip_error *err);

typedef struct uc_sim_options {
    int devices;             /* 0 means 1 */
    uint64_t seed;
    uint64_t device_bytes;   /* of each device; 0 means 64 GiB */
    int threads;             /* of the CPU kernels; 0 means 1 */
    uint64_t fail_call;      /* this call of the table fails, counted from 1; 0 = none */
    uint64_t fail_work;      /* this piece of work fails while it is run, and whoever waits next is told; 0 = none */
    int fail_number;         /* with this error */
    /* The kernels to use instead of the CPU's for launches of at most emulate_most output elements. May be NULL. */
    uc_sim_kernel (*emulated)(uc_op_kind kind);
    size_t (*emulated_scratch)(const uc_launch *launch);
    int64_t emulate_most;
} uc_sim_options;

unclip_status uc_runtime_sim_new(uc_runtime **rt, const uc_sim_options *options, unclip_error *err);

/* What is still allocated: "" when nothing is. The text lives until the next call. */
const char *uc_sim_leaks(uc_runtime *rt);

/* The first thing that the program did wrong (not: that was injected); "" when there was none. */
const char *uc_sim_misuse(uc_runtime *rt);

typedef struct uc_sim_counts { uint64_t calls, work, captures, replays, most_bytes; } uc_sim_counts;
uc_sim_counts uc_sim_count(const uc_runtime *rt);

/* Changes which call, counted from now, fails. */
void uc_sim_fail(uc_runtime *rt, uint64_t call, int number);

/* The name of call `number` of those made so far, for messages: "alloc"; "" when it was too long ago. */
const char *uc_sim_call_name(const uc_runtime *rt, uint64_t number);

#endif

/* control.h - the emulator seen from C: in which order lanes run, what went wrong, and who executes launches.
 *
 * The kernels of kernels/cuda, compiled by g++ instead of nvcc, run here on the CPU, one fiber per CUDA thread: every
 * arrow of the flow prompt -> tokens -> CLIP text -> prior -> decoder -> upsamplers -> PNG, on machines without a GPU.
 * All settings belong to the calling OS thread. */
#ifndef UC_SIMT_CONTROL_H
#define UC_SIMT_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which the blocks of a grid, the warps of a block and the lanes of a warp run between two barriers. A
 * kernel whose result depends on it has a race. */
typedef enum simt_order { SIMT_FORWARD, SIMT_REVERSE, SIMT_RANDOM } simt_order;
void simt_set_order(simt_order order, uint64_t seed);

/* The first failure since the last clear: a deadlock, a mismatched barrier, a limit of the device, a misaligned access.
 * Empty when there was none. Launches after a failure do nothing, as on a device with a sticky error. */
const char *simt_error(void);
void simt_clear_error(void);

typedef struct simt_counters {
    uint64_t launches, blocks, switches, collectives;
} simt_counters;
simt_counters simt_count(void);

/* A launch that has been built and not yet run. By default a launch runs at once; with a submit function the launch is
 * handed over instead, together with its stream, and whoever got it runs and frees it when its stream's turn comes. */
typedef struct simt_launch simt_launch;
typedef void (*simt_submit)(void *user, void *stream, simt_launch *launch);
void simt_set_submit(simt_submit submit, void *user);
int simt_run(const simt_launch *launch); /* 0, or 1 with simt_error set */
void simt_free(simt_launch *launch);
const char *simt_kernel_name(const simt_launch *launch);

#ifdef __cplusplus
}
#endif
#endif

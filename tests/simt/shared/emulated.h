/* emulated.h - the CUDA kernels of every arrow of the flow, run by the emulator, as a simulated device wants kernels
 * (host/cuda/sim.h). They are in a shared library that shows these two functions alone, so that it also goes together
 * with a build that has the same kernels for a GPU. It is built where the build has no sanitizer of its own. */
#ifndef UC_TESTS_SIMT_SHARED_EMULATED_H
#define UC_TESTS_SIMT_SHARED_EMULATED_H

#include "host/cuda/sim.h"

#ifdef UC_TEST_EMULATOR
enum { EMULATOR_BUILT = 1 };
#define EMULATED_API __attribute__((visibility("default")))
EMULATED_API uc_sim_kernel emulated_kernel(uc_op_kind kind); /* NULL for operations that a library computes on a GPU */
EMULATED_API size_t emulated_scratch(const uc_launch *launch);
#else
enum { EMULATOR_BUILT = 0 };
static inline uc_sim_kernel emulated_kernel(uc_op_kind kind) { return (void)kind, (uc_sim_kernel)NULL; }
static inline size_t emulated_scratch(const uc_launch *launch) { return (void)launch, (size_t)0; }
#endif

#endif

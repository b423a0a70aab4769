/* device.h - on which device the tests of the whole flow run: what the environment variable UNCLIP_TEST_DEVICE says,
 * "auto" without it. With UNCLIP_TEST_EMULATE=N a simulated device computes launches of at most N numbers by the
 * CUDA kernels on the emulator. The same tests thereby serve the CPU, the simulated devices and real ones. */
#ifndef UC_TESTS_DEVICE_H
#define UC_TESTS_DEVICE_H

#include "engine/core/backend.h"

const char *test_device(void);
uc_backend *test_backend(int threads); /* fails the test when it cannot be opened */

#endif

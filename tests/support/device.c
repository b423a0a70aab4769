/* device.c - see device.h. */
#include "device.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/backends.h"
#include "host/cuda/backend_cuda.h"
#include "simt/shared/emulated.h"

const char *test_device(void) {
    const char *name = getenv("UNCLIP_TEST_DEVICE");
    return name && *name ? name : "auto";
}

/* A simulated device with the emulator under it. */
static unclip_status open_emulated(uc_backend **backend, const uc_backend_options *options, const char *most,
                                   unclip_error *err) {
    const uc_sim_options sim = { .seed = 1, .threads = options->threads, .emulated = emulated_kernel,
                                 .emulated_scratch = emulated_scratch, .emulate_most = atoll(most) };
    uc_runtime *rt = NULL;
    if (!EMULATOR_BUILT) cr_skip_test("this build has no emulator");
    const unclip_status status = uc_runtime_sim_new(&rt, &sim, err);
    return status ? status : uc_backend_cuda_new(backend, rt, true, 0, options, err);
}

uc_backend *test_backend(int threads) {
    const uc_backend_options options = { .threads = threads };
    const char *name = test_device(), *most = getenv("UNCLIP_TEST_EMULATE");
    uc_backend *backend = NULL;
    unclip_error err = { 0 };
    bool known = false;
    if (!strcmp(name, "auto") || !strcmp(name, "cpu")) uc_backend_cpu_new(&backend, &options, &err);
    else if (most) open_emulated(&backend, &options, most, &err);
    else uc_backend_cuda_open(&backend, name, &options, &known, &err);
    cr_assert_not_null(backend, "UNCLIP_TEST_DEVICE=%s: %s", name, err.message);
    return backend;
}

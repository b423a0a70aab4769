/* device.c - see device.h. */
#include "device.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/backends.h"
#include "host/cuda/backend_cuda.h"

const char *test_device(void) {
    const char *name = getenv("UNCLIP_TEST_DEVICE");
    return name && *name ? name : "auto";
}

uc_backend *test_backend(int threads) {
    const uc_backend_options options = { .threads = threads };
    const char *name = test_device();
    uc_backend *backend = NULL;
    unclip_error err = { 0 };
    bool known = false;
    if (!strcmp(name, "auto") || !strcmp(name, "cpu")) uc_backend_cpu_new(&backend, &options, &err);
    else uc_backend_cuda_open(&backend, name, &options, &known, &err);
    cr_assert_not_null(backend, "UNCLIP_TEST_DEVICE=%s: %s", name, err.message);
    return backend;
}

/* errors.c - what a CUDA error number means for the flow: errors.def as a table. */
#include "runtime.h"

static const uc_device_error table[] = {
#define UC_DEVICE_ERROR(number, name, kind) { number, #name, UC_DEVICE_##kind },
#include "errors.def"
#undef UC_DEVICE_ERROR
};

const uc_device_error *uc_device_errors(size_t *count) {
    *count = sizeof table / sizeof *table;
    return table;
}

uc_device_error uc_device_error_of(int number) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].number == number) return table[i];
    return (uc_device_error){ number, "Unknown", UC_DEVICE_FAILED };
}

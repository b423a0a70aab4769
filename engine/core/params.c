/* params.c - see params.h. */
#include "params.h"

#include <string.h>

uc_param *uc_params_find(const uc_params *params, const char *name) {
    size_t low = 0, high = params->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(params->items[middle].name, name);
        if (!order) return &params->items[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

unclip_status uc_params_check_all_used(const uc_params *params, unclip_error *err) {
    for (size_t i = 0; i < params->count; i++)
        if (!params->items[i].used)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s of %s belongs to no part of the network that the "
                           "configuration describes", params->component, params->items[i].name, params->file);
    return UNCLIP_OK;
}

uint64_t uc_params_bytes(const uc_params *params) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < params->count; i++) {
        uint64_t n = uc_dtype_size(params->items[i].dtype);
        for (int d = 0; d < params->items[i].rank; d++) n *= (uint64_t)params->items[i].dim[d];
        bytes += n;
    }
    return bytes;
}

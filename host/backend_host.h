/* backend_host.h - what backends that compute in the host's own memory share: the arena, the list of launches, and the
 * run modes, for every stage of the flow. A backend of this kind says which kernels it has. */
#ifndef UC_HOST_BACKEND_HOST_H
#define UC_HOST_BACKEND_HOST_H

#include "backends.h"

/* How one launch is executed. prepared is what the backend made of its weight, or NULL. */
typedef struct uc_host_kernel {
    bool (*run)(const uc_launch *launch, const void *prepared); /* false when a library failed */
    const void *prepared;
    bool rounds_weight; /* the weight is rounded to the activations' type first, as a library of bf16 products does */
    double loses;       /* see uc_compare */
} uc_host_kernel;

typedef struct uc_host_backend uc_host_backend;
struct uc_host_backend {
    uc_backend base; /* first, so that a uc_backend * is one of these */
    uc_layout (*layout)(const void *self, const uc_graph *graph, const uc_op *op);
    size_t (*scratch)(const void *self, const uc_launch *launch); /* launch->threads is set */
    unclip_status (*choose)(uc_host_backend *self, const uc_launch *launch, uc_host_kernel *kernel, unclip_error *err);
};

/* Fills in base's functions except close and supports, and the options; threads 0 becomes the number of processors. */
void uc_host_backend_init(uc_host_backend *backend, const char *name, const uc_backend_options *options);

#endif

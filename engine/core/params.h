/* params.h - the named tensors of one network, as the weights folder hands them to the models. */
#ifndef UC_CORE_PARAMS_H
#define UC_CORE_PARAMS_H

#include "error.h"
#include "tensor.h"

typedef struct uc_param {
    const char *name;      /* as in the file, e.g. "down_blocks.2.resnets.1.conv1.weight" */
    uc_dtype dtype;
    int rank;              /* as in the file; may exceed UC_MAX_RANK for tensors that no network here has */
    int64_t dim[8];
    const void *data;      /* row-major, aligned to its type at least; lives as long as the set */
    bool used;             /* set when a network asks for it */
    bool mapped;           /* data lies in a mapped file: its pages may be given up, they come back when read */
} uc_param;

typedef struct uc_params {
    const char *component; /* "decoder": begins every message about it */
    const char *file;      /* the file or index it came from, for messages */
    size_t count;
    uc_param *items;       /* sorted by name (strcmp) */
} uc_params;

/* Binary search; NULL when absent. Does not mark the tensor used. */
uc_param *uc_params_find(const uc_params *params, const char *name);

/* After a network has been recorded: fails with the name of the first tensor that nothing asked for. */
unclip_status uc_params_check_all_used(const uc_params *params, unclip_error *err);

/* Bytes of all tensors, as stored. */
uint64_t uc_params_bytes(const uc_params *params);

#endif

/* table.c - the hand-written CUDA kernels by operation, for whoever runs a recorded list of the flow. */
#include "cuda_ops.h"

uc_cuda_kernel_entry uc_cuda_kernel(uc_op_kind kind) {
    static const uc_cuda_kernel_entry table[UC_OP_COUNT] = {
#define UC_CUDA_ENTRY(name) [UC_OP_##name] = { uc_cuda_##name, uc_cuda_##name##_scratch, uc_cuda_##name##_rows },
        UC_CUDA_OPS(UC_CUDA_ENTRY)
#undef UC_CUDA_ENTRY
    };
    return table[kind > UC_OP_NONE && kind < UC_OP_COUNT ? kind : UC_OP_NONE];
}

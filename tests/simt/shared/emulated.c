/* emulated.c - see emulated.h. */
#include "emulated.h"

#include "kernels/cuda/cuda_ops.h"
#include "kernels/simt/control.h"

/* An error of the emulator, a deadlock for instance, is that of one launch: the next starts without it. */
static unclip_status run(const uc_launch *launch, unclip_error *err) {
    simt_clear_error();
    const unclip_status status = uc_cuda_kernel(launch->kind).run(launch, NULL, err);
    if (status || !simt_error()[0]) return status;
    return uc_fail(err, UNCLIP_ERR_DEVICE, "%s: %s", uc_op_info_of(launch->kind)->name, simt_error());
}

uc_sim_kernel emulated_kernel(uc_op_kind kind) { return uc_cuda_kernel(kind).run ? run : NULL; }

size_t emulated_scratch(const uc_launch *launch) { return uc_cuda_kernel(launch->kind).scratch(launch); }

/* backend_cuda.h - the backend over the runtime table, for devices "cuda:N" and "sim:N". */
#ifndef UC_HOST_CUDA_BACKEND_CUDA_H
#define UC_HOST_CUDA_BACKEND_CUDA_H

#include "device.h"

/* One device of a runtime. owned: the runtime is closed with the backend, or at once when this fails. Weights stay
 * on the device until the backend is closed; they are known by their address, so close it before freeing them. */
unclip_status uc_backend_cuda_new(uc_backend **backend, uc_runtime *rt, bool owned, int device,
                                  const uc_backend_options *options, unclip_error *err);

/* "cuda:N", "sim:N", and "sim:N,seed=S,memory=BYTES,fail=CALL,error=NUMBER", of which the last two come together: that
 * call of the runtime fails so. N may be left out. *known tells whether it is such a name at all. */
unclip_status uc_backend_cuda_open(uc_backend **backend, const char *name, const uc_backend_options *options,
                                   bool *known, unclip_error *err);

/* What such a backend's device is; zeros when it cannot be asked. */
void uc_backend_cuda_info(uc_backend *backend, uc_device_info *info);

/* ---- the backend's own parts ------------------------------------------------------------------------------------- */

/* Run mode checked: each operation's inputs, weights too, are fetched as the device has them, the reference runs on
 * them, and the device's outputs are compared with what it gives. Room for the largest operands: */
typedef struct uc_mirror { void *in[UC_MAX_INPUTS], *result[UC_MAX_OUTPUTS], *reference[UC_MAX_OUTPUTS]; } uc_mirror;

unclip_status uc_mirror_new(uc_mirror *m, const uc_plan *plan, const uc_launch *launches, unclip_error *err);
void uc_mirror_free(uc_mirror *m);

/* Before the launch: inputs come, the reference runs, outputs become NaN. After it: outputs come and are compared. */
unclip_status uc_mirror_before(uc_mirror *m, uc_device *d, const uc_launch *launch, const uc_step *step,
                               unclip_error *err);
unclip_status uc_mirror_after(uc_mirror *m, uc_device *d, const uc_launch *launch, const char *scope,
                              unclip_error *err);

#endif

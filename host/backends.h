/* backends.h - the devices that this build knows. Each constructor fills engine/core/backend.h's table. */
#ifndef UC_HOST_BACKENDS_H
#define UC_HOST_BACKENDS_H

#include "../engine/core/backend.h"
#include "tuning.h"

/* The CPU with the fast kernels, and with oneDNN where it was built in. Weights stay prepared until the backend is
 * closed; they are known by their address, so close it before freeing the weights that it has seen. */
unclip_status uc_backend_cpu_new(uc_backend **backend, const uc_backend_options *options, unclip_error *err);

/* Which implementation it takes for a launch (data is not read); DEFAULT for operations that have but one. */
uc_way uc_backend_cpu_way(const uc_backend *backend, const uc_launch *launch);

/* The reference kernels: double precision, slow. */
unclip_status uc_backend_ref_new(uc_backend **backend, const uc_backend_options *options, unclip_error *err);

#endif

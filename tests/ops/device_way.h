/* device_way.h - one launch of the flow on a device behind the runtime table (host/cuda/device.h), simulated or
 * real: its operands go to the device, the operation runs there, its results come back. */
#ifndef UC_TESTS_OPS_DEVICE_WAY_H
#define UC_TESTS_OPS_DEVICE_WAY_H

#include "host/cuda/device.h"

/* launch: with every operand in the host's memory. Filters are put in the order that devices want, other weights keep
 * the type that they have. Whatever happened, nothing is left on the device. */
unclip_status op_device_run(uc_device *d, const uc_launch *launch, unclip_error *err);

#endif

/* ops.c - every case of every operation of the flow, launched on a simulated device from device memory: the reference's
 * result. One test for all, on early and late streams. */
#include <criterion/criterion.h>

#include "bench.h"
#include "ops/device_way.h"
#include "ops/driver.h"

static void device_run(const op_way *way, const uc_launch *host, void *prepared) {
    (void)prepared;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = (uint64_t)way->user });
    uc_device d;
    unclip_error err = { 0 };
    cr_assert_eq(uc_device_open(&d, rt, 0, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(op_device_run(&d, host, &err), UNCLIP_OK, "%s", err.message);
    uc_device_close(&d);
    sim_close(rt);
}

static void check_operation(uc_op_kind kind) {
    size_t cases_count;
    const op_case *cases = op_cases(kind, &cases_count);
    const op_way way = { .name = "simulated device", .run = device_run, .user = (int64_t)kind % 3,
                         .rounds_weight = true };
    for (size_t i = 0; i < cases_count; i++) {
        char message[OP_MESSAGE] = "";
        cr_expect(op_check(&cases[i], &way, 1 + i, message), "%s", message);
    }
}

#define UC_OP(name, inputs, atol, rtol, what) \
    Test(runtime_ops, name, .timeout = 300) { check_operation(UC_OP_##name); }
#include "kernels/ops.def"
#undef UC_OP

/* ops.c - every case of every operation of the flow, launched on a simulated device from device memory: the reference's
 * result. One test for all, on early and late streams. */
#include <criterion/criterion.h>
#include <string.h>

#include "bench.h"
#include "ops/driver.h"

static size_t bytes_of(const uc_view *v) { return (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype); }

static void *on_device(uc_device *d, const uc_view *v, bool filled) {
    void *at = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_device_alloc(d, &at, bytes_of(v), &err, "an operand"), UNCLIP_OK, "%s", err.message);
    if (filled) cr_assert_eq(uc_device_upload(d, at, v->data, bytes_of(v), &err), UNCLIP_OK, "%s", err.message);
    return at;
}

static void operands_to_device(uc_device *d, const uc_launch *host, uc_launch *l, void *blocks[], int *count) {
    unclip_error err = { 0 };
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        if (!host->in[k].data) continue;
        if (host->kind == UC_OP_conv2d && k == UC_CONV_WEIGHT) {
            const uc_weight_form form = { host->in[k].dtype, UC_NHWC };
            cr_assert_eq(uc_device_weight_of(d, &l->in[k], form, "weight", &err), UNCLIP_OK, "%s", err.message);
            continue;
        }
        blocks[(*count)++] = l->in[k].data = on_device(d, &host->in[k], true);
    }
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        if (!host->out[k].data) continue;
        l->out[k].data = NULL;
        for (int i = 0; i < UC_MAX_INPUTS; i++) /* in place */
            if (host->in[i].data == host->out[k].data) l->out[k].data = l->in[i].data;
        if (!l->out[k].data) blocks[(*count)++] = l->out[k].data = on_device(d, &host->out[k], false);
    }
}

static void device_run(const op_way *way, const uc_launch *host, void *prepared) {
    (void)prepared;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = (uint64_t)way->user });
    uc_device d;
    unclip_error err = { 0 };
    uc_launch l = *host;
    void *blocks[UC_MAX_INPUTS + UC_MAX_OUTPUTS + 1], *step = NULL;
    int count = 0;
    cr_assert_eq(uc_device_open(&d, rt, 0, &err), UNCLIP_OK, "%s", err.message);
    operands_to_device(&d, host, &l, blocks, &count);
    cr_assert_eq(uc_device_alloc(&d, &step, sizeof *host->step, &err, "step"), UNCLIP_OK);
    cr_assert_eq(uc_device_upload(&d, step, host->step, sizeof *host->step, &err), UNCLIP_OK);
    l.step = step;
    const uc_device_op *op = NULL;
    cr_assert_eq(uc_device_weights_ready(&d, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(rt->op_prepare(rt, &l, &op), 0);
    cr_assert_eq(rt->op_launch(rt, op, &l, d.compute), 0, "%s", rt->detail(rt));
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (l.out[k].data)
            cr_assert_eq(uc_device_download(&d, host->out[k].data, l.out[k].data, bytes_of(&l.out[k]), &err), UNCLIP_OK,
                         "%s", err.message);
    uc_device_drain(&d);
    for (int i = 0; i < count; i++) rt->release(rt, blocks[i]);
    rt->release(rt, step);
    uc_device_close(&d);
    sim_close(rt);
}

static void check_operation(uc_op_kind kind) {
    size_t cases_count;
    const op_case *cases = op_cases(kind, &cases_count);
    const op_way way = { .name = "simulated device", .run = device_run, .user = (int64_t)kind % 3 };
    for (size_t i = 0; i < cases_count; i++) {
        char message[OP_MESSAGE] = "";
        cr_expect(op_check(&cases[i], &way, 1 + i, message), "%s", message);
    }
}

#define UC_OP(name, inputs, atol, rtol, what) \
    Test(runtime_ops, name, .timeout = 300) { check_operation(UC_OP_##name); }
#include "kernels/ops.def"
#undef UC_OP

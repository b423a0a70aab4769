/* emulated.c - whole pictures on a simulated device whose small launches are the CUDA kernels themselves, on the
 * emulator: plans, scratch memory, weights' types and steps as the kernels get them on a GPU, from prompt to pixels. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "host/backends.h"
#include "simt/shared/emulated.h"
#include "support/pictures.h"

static int64_t launches_of[UC_OP_COUNT];

static unclip_status counted(const uc_launch *launch, unclip_error *err) {
    launches_of[launch->kind]++;
    return emulated_kernel(launch->kind)(launch, err);
}

static uc_sim_kernel counting_kernel(uc_op_kind kind) { return emulated_kernel(kind) ? counted : NULL; }

static unclip_status paint_on_cpu(painting *p, unclip_error *err) {
    const uc_backend_options options = { .threads = 1 };
    uc_backend *backend = NULL;
    unclip_status status = uc_backend_cpu_new(&backend, &options, err);
    if (!status) status = paint(p, backend, UC_F32, err);
    if (backend) backend->close(backend);
    return status;
}

static const uc_op_kind everywhere[] = { UC_OP_group_norm, UC_OP_layer_norm, UC_OP_attention, UC_OP_embedding,
                                         UC_OP_timestep,   UC_OP_concat,     UC_OP_select_row, UC_OP_gather_token,
                                         UC_OP_noise_step };
/* Launches of at most `most` numbers on the emulator: the CPU's picture within its bounds, and each of these was
 * run. */
static void emulated_picture(const char *model, int size, int64_t most, uint64_t seed) {
    painting p;
    unclip_error err = { 0 };
    if (!EMULATOR_BUILT) cr_skip_test("this build has no emulator");
    painting_open(&p, model);
    p.options.size = size;
    cr_assert_eq(paint_on_cpu(&p, &err), UNCLIP_OK, "%s", err.message);
    uint8_t *want = p.rgb;
    p.rgb = NULL;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = seed, .emulated = counting_kernel, .emulate_most = most,
                                                .emulated_scratch = emulated_scratch });
    cr_assert_eq(paint_on(&p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK, "%s: %s", model, err.message);
    expect_same_bytes(model, p.rgb, want, (int64_t)p.size);
    for (size_t i = 0; i < sizeof everywhere / sizeof *everywhere; i++)
        cr_expect_gt(launches_of[everywhere[i]], 0, "%s: no %s ran on the emulator", model,
                     uc_op_info_of(everywhere[i])->name);
    sim_close(rt);
    free(want);
    painting_close(&p);
}

Test(runtime_emulated, tiny_a, .timeout = 300) { emulated_picture("tiny-a", 64, 40000, 0); }
Test(runtime_emulated, tiny_b, .timeout = 300) { emulated_picture("tiny-b", 48, 40000, 3); }

/* Half precision: each of the kernels within its tolerance of the reference, on the operands that the flow gives it. */
static void checked_in(uc_dtype type) {
    painting p;
    unclip_error err = { 0 };
    uc_backend *backend = NULL;
    if (!EMULATOR_BUILT) cr_skip_test("this build has no emulator");
    painting_open(&p, "tiny-a");
    p.options.size = 64;
    p.options.stage[UNCLIP_STAGE_DECODER].steps = p.options.stage[UNCLIP_STAGE_PRIOR].steps = 1;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1, .emulated = counting_kernel, .emulate_most = 40000,
                                                .emulated_scratch = emulated_scratch });
    const uc_backend_options options = { .mode = UNCLIP_RUN_CHECKED, .threads = 1 };
    cr_assert_eq(uc_backend_cuda_new(&backend, rt, false, 0, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(paint(&p, backend, type, &err), UNCLIP_OK, "%s", err.message);
    backend->close(backend);
    sim_close(rt);
    painting_close(&p);
}

Test(runtime_emulated, checked_f16, .timeout = 300) { checked_in(UC_F16); }
Test(runtime_emulated, checked_bf16, .timeout = 300) { checked_in(UC_BF16); }

/* An operation that fails on the emulator is an error of the launch, with the kernel's message. */
static unclip_status refuse(const uc_launch *launch, unclip_error *err) {
    return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "%s: refused", uc_op_info_of(launch->kind)->name);
}

static uc_sim_kernel refusing_kernel(uc_op_kind kind) { return kind == UC_OP_layer_norm ? refuse : NULL; }

Test(runtime_emulated, failures_are_told) {
    painting p;
    unclip_error err = { 0 };
    painting_open(&p, "tiny-a");
    uc_runtime *rt = sim_with((uc_sim_options){ .emulated = refusing_kernel, .emulate_most = 1 << 20 });
    cr_expect_neq(paint_on(&p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK);
    cr_expect_not_null(strstr(err.message, "layer_norm: refused"), "%s", err.message);
    rt->close(rt);
    painting_close(&p);
}

/* pictures.c - whole pictures on simulated devices: those of the CPU, in every run mode, in every order of execution
 * that streams and events allow, in every type, with the memory that the plan says. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "engine/core/record.h"
#include "host/backends.h"
#include "support/pictures.h"

static uint8_t *on_cpu(painting *p) {
    uc_backend *backend = NULL;
    const uc_backend_options options = { .threads = 2 };
    unclip_error err = { 0 };
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(paint(p, backend, UC_F32, &err), UNCLIP_OK, "%s", err.message);
    backend->close(backend);
    uint8_t *rgb = p->rgb;
    p->rgb = NULL;
    return rgb;
}

static void same_as_cpu(const char *model, unclip_run_mode mode, uint64_t first_seed, uint64_t seeds) {
    painting p;
    painting_open(&p, model);
    p.options.images_per_prompt = 2;
    uint8_t *want = on_cpu(&p), *first = NULL;
    for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
        char what[128];
        unclip_error err = { 0 };
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = seed });
        snprintf(what, sizeof what, "%s on sim:0,seed=%llu, mode %d", model, (unsigned long long)seed, (int)mode);
        cr_assert_eq(paint_on(&p, rt, mode, &err), UNCLIP_OK, "%s: %s", what, err.message);
        expect_same_bytes(what, p.rgb, want, (int64_t)p.size);
        if (!first) {
            first = malloc(p.size);
            memcpy(first, p.rgb, p.size);
        }
        cr_expect_arr_eq(p.rgb, first, p.size, "%s: other bytes than with the first seed", what);
        sim_close(rt);
    }
    free(first);
    free(want);
    painting_close(&p);
}

Test(runtime_pictures, tiny_a_in_many_orders) { same_as_cpu("tiny-a", UNCLIP_RUN_REPLAY, 0, 24); }
Test(runtime_pictures, tiny_b_in_many_orders) { same_as_cpu("tiny-b", UNCLIP_RUN_REPLAY, 100, 6); }
Test(runtime_pictures, eager) { same_as_cpu("tiny-a", UNCLIP_RUN_EAGER, 0, 3); }
Test(runtime_pictures, checked) { same_as_cpu("tiny-a", UNCLIP_RUN_CHECKED, 0, 2); }
Test(runtime_pictures, timed) { same_as_cpu("tiny-a", UNCLIP_RUN_TIMED, 0, 2); }

/* Half precision: each operation within its tolerance of the reference. */
static void checked_in(uc_dtype type) {
    painting p;
    unclip_error err = { 0 };
    uc_backend *backend = NULL;
    painting_open(&p, "tiny-a");
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1 });
    const uc_backend_options options = { .mode = UNCLIP_RUN_CHECKED, .threads = 1 };
    cr_assert_eq(uc_backend_cuda_new(&backend, rt, false, 0, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(paint(&p, backend, type, &err), UNCLIP_OK, "%s", err.message);
    backend->close(backend);
    sim_close(rt);
    painting_close(&p);
}

Test(runtime_pictures, checked_f16) { checked_in(UC_F16); }
Test(runtime_pictures, checked_bf16) { checked_in(UC_BF16); }

/* The place of the emulator: kernels of the caller's for small launches, with scratch of their own in device memory. */
static int emulated_count;

static unclip_status run_emulated(const uc_launch *l, unclip_error *err) {
    (void)err;
    emulated_count++;
    memset(l->scratch, 1, 640);
    uc_ref_kernel(l->kind)(l);
    return UNCLIP_OK;
}

static uc_sim_kernel emulate_norms(uc_op_kind kind) { return kind == UC_OP_group_norm ? run_emulated : NULL; }

static size_t emulated_scratch(const uc_launch *l) { return l->kind == UC_OP_group_norm ? 640 : 0; }

Test(runtime_pictures, other_kernels_for_small_launches) {
    painting p;
    unclip_error err = { 0 };
    painting_open(&p, "tiny-a");
    uint8_t *want = on_cpu(&p);
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 5, .emulated = emulate_norms, .emulate_most = 1 << 20,
                                                .emulated_scratch = emulated_scratch });
    cr_assert_eq(paint_on(&p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK, "%s", err.message);
    expect_same_bytes("with other group norms", p.rgb, want, (int64_t)p.size);
    cr_expect_gt(emulated_count, 10);
    sim_close(rt);
    free(want);
    painting_close(&p);
}

/* A network that is run before anything else is copied: nothing but the event orders weights and launch. And one
 * that is given up while it runs. */
Test(runtime_pictures, weights_are_awaited) {
    static const float eye[4][4] = { { 1, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 }, { 0, 0, 0, 1 } };
    static const float bias[4] = { 1, 2, 3, 4 };
    uc_param items[] = {
        { .name = "l.bias", .dtype = UC_F32, .rank = 1, .dim = { 4 }, .data = bias },
        { .name = "l.weight", .dtype = UC_F32, .rank = 2, .dim = { 4, 4 }, .data = eye },
    };
    const uc_params params = { .component = "test", .file = "memory", .count = 2, .items = items };
    for (uint64_t seed = 0; seed < 8; seed++) {
        unclip_error err = { 0 };
        uc_backend *backend = NULL;
        uc_program *program = NULL;
        const uc_backend_options options = { .threads = 1 };
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = seed });
        cr_assert_eq(uc_backend_cuda_new(&backend, rt, false, 0, &options, &err), UNCLIP_OK, "%s", err.message);
        uc_graph *g = uc_graph_new("test", UC_F32);
        uc_use_params(g, &params);
        const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE2(1, 4)), out = uc_state(g, "out", UC_F32, UC_SHAPE2(1, 4));
        uc_store(g, out, uc_linear(g, x, "l", .features = 4));
        cr_assert_eq(uc_program_new(backend, g, &program, &err), UNCLIP_OK, "%s", err.message);
        cr_assert_eq(backend->run(program, 0, NULL, &err), UNCLIP_OK, "%s", err.message);
        float got[4] = { 1, 2, 3, 4 };
        if (seed % 2) cr_assert_eq(backend->download(program, out, got, &err), UNCLIP_OK, "%s", err.message);
        for (int i = 0; i < 4; i++) cr_expect_eq(got[i], bias[i], "seed %llu", (unsigned long long)seed);
        backend->release(backend, program);
        backend->close(backend);
        sim_close(rt);
    }
}

Test(runtime_pictures, steps_are_replayed) {
    painting p;
    unclip_error err = { 0 };
    painting_open(&p, "tiny-a");
    p.options.size = 64;
    p.options.stage[UNCLIP_STAGE_DECODER].steps = 9;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 3 });
    cr_assert_eq(paint_on(&p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK, "%s", err.message);
    const uc_sim_counts counts = uc_sim_count(rt);
    cr_expect_geq(counts.replays, 7, "%llu replays", (unsigned long long)counts.replays);
    cr_expect_leq(counts.captures, 4, "%llu captures", (unsigned long long)counts.captures);
    sim_close(rt);
    painting_close(&p);
}

Test(runtime_pictures, out_of_memory_says_how_much) {
    painting p;
    unclip_error err = { 0 };
    painting_open(&p, "tiny-a");
    uc_runtime *rt = sim_with((uc_sim_options){ .device_bytes = 300000 });
    cr_expect_eq(paint_on(&p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_ERR_MEMORY);
    cr_expect(strstr(err.message, "sim:0: out of memory: ") && strstr(err.message, " of 300000 are free"), "%s",
              err.message);
    sim_close(rt);
    painting_close(&p);
}

/* A second picture needs no more device memory than the first: weights are shared, arenas given back. */
Test(runtime_pictures, weights_are_uploaded_once) {
    painting p;
    unclip_error err = { 0 };
    uc_backend *backend = NULL;
    painting_open(&p, "tiny-a");
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 2 });
    const uc_backend_options options = { .threads = 1 };
    cr_assert_eq(uc_backend_cuda_new(&backend, rt, false, 0, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(paint(&p, backend, UC_F32, &err), UNCLIP_OK, "%s", err.message);
    const uint64_t most = uc_sim_count(rt).most_bytes;
    cr_assert_eq(paint(&p, backend, UC_F32, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(uc_sim_count(rt).most_bytes, most);
    backend->close(backend);
    sim_close(rt);
    painting_close(&p);
}

Test(runtime_pictures, device_names) {
    static const struct { const char *name; bool known; unclip_status status; } names[] = {
        { "sim", true, UNCLIP_OK }, { "sim:7", true, UNCLIP_OK }, { "sim:0,seed=5,memory=90000000", true, UNCLIP_OK },
        { "sim:8", true, UNCLIP_ERR_NO_DEVICE }, { "sim:99999999999999999999", true, UNCLIP_ERR_NO_DEVICE },
        { "sim:", true, UNCLIP_ERR_NO_DEVICE }, { "sim:0,seed=", true, UNCLIP_ERR_NO_DEVICE },
        { "sim:0,speed=1", true, UNCLIP_ERR_NO_DEVICE }, { "sim:0x", true, UNCLIP_ERR_NO_DEVICE },
        { "sim:0,fail=3", true, UNCLIP_ERR_NO_DEVICE }, { "sim:0,error=719", true, UNCLIP_ERR_NO_DEVICE },
        { "sim:0,fail=9000,error=719", true, UNCLIP_OK }, { "sim:0,fail=3,error=719", true, UNCLIP_ERR_DEVICE },
        { "simt", false, UNCLIP_ERR_NO_DEVICE }, { "cuda:0,seed=1", true, UNCLIP_ERR_NO_DEVICE },
        { "cudax", false, UNCLIP_ERR_NO_DEVICE }, { "cuda:4000", true, UNCLIP_ERR_NO_DEVICE },
        { "cpu", false, UNCLIP_ERR_NO_DEVICE },
    };
    const uc_backend_options options = { .threads = 1 };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uc_backend *backend = NULL;
        unclip_error err = { 0 };
        bool known = false;
        const unclip_status status = uc_backend_cuda_open(&backend, names[i].name, &options, &known, &err);
        cr_expect_eq(status, names[i].status, "%s: status %d", names[i].name, (int)status);
        cr_expect_eq(known, names[i].known, "%s", names[i].name);
        if (status) cr_expect(err.message[0], "%s", names[i].name);
        else backend->close(backend);
    }
}

/* The model that ships, through the public interface: one small picture of few steps, the CPU's within the bounds. */
static album draw_shipped(const char *device) {
    const char *prompt = "a red cube on top of a blue sphere";
    unclip_error err = { 0 };
    unclip_engine *engine = NULL;
    unclip_engine_options options;
    unclip_generate_options o;
    unclip_engine_options_init(&options);
    unclip_generate_options_init(&o);
    options.model_dir = UC_SOURCE_DIR "/weights/solids";
    options.device = device;
    options.type = UNCLIP_TYPE_F32;
    o.prompts = &prompt;
    o.prompt_count = 1;
    o.seed = 7;
    o.size = 64;
    o.stage[UNCLIP_STAGE_PRIOR].steps = 2;
    o.stage[UNCLIP_STAGE_DECODER].steps = 3;
    cr_assert_eq(unclip_engine_open(&engine, &options, &err), UNCLIP_OK, "%s", err.message);
    const album a = draw_album(engine, &o);
    unclip_engine_close(engine);
    return a;
}

Test(runtime_pictures, of_the_model_that_ships) {
    const album want = draw_shipped("cpu"), got = draw_shipped("sim:0,seed=4");
    cr_assert_eq(got.size, want.size);
    cr_assert_eq(got.size, 64 * 64 * 3);
    expect_same_bytes("the model that ships", got.rgb, want.rgb, (int64_t)want.size);
    free(want.rgb);
    free(got.rgb);
}

/* backends.c - backends in the host's memory run a whole small sampler: the modes agree byte for byte, so do numbers of
 * threads and batches; the fast one agrees with the reference; checked mode names the operation that lies. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/backend_host.h"
#include "network.h"

typedef unclip_status (*constructor)(uc_backend **, const uc_backend_options *, unclip_error *);

/* One run from nothing to x; the caller frees it. */
static float *draw(constructor make, const uc_backend_options *options, uc_dtype weights, uc_dtype type, int64_t first,
                   int64_t batch) {
    unclip_error err = { 0 };
    uc_backend *backend;
    uc_program *program;
    uc_params *params = network_params(weights, 42);
    float *x = calloc((size_t)(batch * NET_IMAGE), sizeof *x);
    cr_assert_eq(make(&backend, options, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(uc_program_new(backend, network_graph(params, type, batch), &program, &err), UNCLIP_OK, "%s",
                 err.message);
    cr_assert_eq(network_run(backend, program, first, batch, x, &err), UNCLIP_OK, "%s", err.message);
    backend->release(backend, program);
    backend->close(backend);
    network_params_free(params);
    return x;
}

static uc_backend_options options_of(unclip_run_mode mode, int threads) {
    return (uc_backend_options){ .mode = mode, .threads = threads };
}

static bool has_bf16(void) {
    uc_backend *backend;
    const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, 1);
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, NULL), UNCLIP_OK);
    const bool has = backend->supports(backend, UC_BF16);
    cr_assert(backend->supports(backend, UC_F32));
    backend->close(backend);
    return has;
}

static void expect_near(const float *a, const float *b, int64_t count, double tolerance, const char *what) {
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        cr_assert(isfinite(a[i]) && isfinite(b[i]), "%s: element %lld is %g and %g", what, (long long)i, (double)a[i],
                  (double)b[i]);
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    }
    cr_expect_leq(worst, tolerance, "%s: differ by %g", what, worst);
}

Test(backends, fast_one_agrees_with_reference) {
    const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, 2);
    static const uc_dtype weights[] = { UC_F32, UC_F16, UC_BF16 };
    for (size_t i = 0; i < 3; i++) {
        float *fast = draw(uc_backend_cpu_new, &options, weights[i], UC_F32, 0, 2);
        float *reference = draw(uc_backend_ref_new, &options, weights[i], UC_F32, 0, 2);
        expect_near(fast, reference, 2 * NET_IMAGE, 1e-4, uc_dtype_name(weights[i]));
        free(fast);
        free(reference);
    }
}

Test(backends, bf16_is_near_f32) {
    if (!has_bf16()) cr_skip_test("this processor has no bf16 arithmetic");
    const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, 2);
    float *coarse = draw(uc_backend_cpu_new, &options, UC_F16, UC_BF16, 0, 2);
    float *fine = draw(uc_backend_cpu_new, &options, UC_F16, UC_F32, 0, 2);
    expect_near(coarse, fine, 2 * NET_IMAGE, 0.3, "bf16 against f32");
    cr_expect(memcmp(coarse, fine, 2 * NET_IMAGE * sizeof *fine) != 0, "bf16 arithmetic was not used");
    free(coarse);
    free(fine);
}

static void modes_agree(constructor make, uc_dtype type) {
    static const unclip_run_mode modes[] = { UNCLIP_RUN_REPLAY, UNCLIP_RUN_EAGER, UNCLIP_RUN_CHECKED,
                                             UNCLIP_RUN_TIMED };
    float *first = NULL;
    for (size_t i = 0; i < 4; i++) {
        const uc_backend_options options = options_of(modes[i], 1);
        float *x = draw(make, &options, UC_F16, type, 0, 2);
        if (first) cr_expect_arr_eq(x, first, 2 * NET_IMAGE * sizeof *x, "mode %d gives other bytes", (int)modes[i]);
        if (first) free(x);
        else first = x;
    }
    free(first);
}

Test(backends, modes_agree_cpu) { modes_agree(uc_backend_cpu_new, UC_F32); }
Test(backends, modes_agree_ref) { modes_agree(uc_backend_ref_new, UC_F32); }
Test(backends, modes_agree_bf16) {
    if (has_bf16()) modes_agree(uc_backend_cpu_new, UC_BF16);
}

static void threads_and_batches_agree(uc_dtype type) {
    const uc_backend_options one = options_of(UNCLIP_RUN_REPLAY, 1);
    float *batch = draw(uc_backend_cpu_new, &one, UC_F16, type, 0, 3);
    for (int threads = 2; threads <= 4; threads++) {
        const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, threads);
        float *x = draw(uc_backend_cpu_new, &options, UC_F16, type, 0, 3);
        cr_expect_arr_eq(x, batch, 3 * NET_IMAGE * sizeof *x, "%s: %d threads give other bytes than 1",
                         uc_dtype_name(type), threads);
        free(x);
    }
    for (int64_t n = 0; n < 3; n++) {
        float *x = draw(uc_backend_cpu_new, &one, UC_F16, type, n, 1);
        cr_expect_arr_eq(x, batch + n * NET_IMAGE, NET_IMAGE * sizeof *x,
                         "%s: image %d alone has other bytes than in its batch", uc_dtype_name(type), (int)n);
        free(x);
    }
    free(batch);
}

Test(backends, threads_and_batches_agree_f32) { threads_and_batches_agree(UC_F32); }
Test(backends, threads_and_batches_agree_bf16) {
    if (has_bf16()) threads_and_batches_agree(UC_BF16);
}

/* ---- a backend that lies ----------------------------------------------------------------------------------------- */

static bool run_truth(const uc_launch *l, const void *prepared) {
    (void)prepared;
    uc_ref_kernel(l->kind)(l);
    return true;
}

static bool run_lie(const uc_launch *l, const void *prepared) {
    run_truth(l, prepared);
    float *y = l->out[0].data;
    y[17] += 0.01f;
    return true;
}

static bool run_nothing(const uc_launch *l, const void *prepared) {
    (void)l, (void)prepared;
    return true;
}

static bool run_failure(const uc_launch *l, const void *prepared) {
    (void)l, (void)prepared;
    return false;
}

static uc_layout plain_layout(const void *self, const uc_graph *graph, const uc_op *op) {
    (void)self, (void)graph, (void)op;
    return UC_PLAIN;
}

static size_t no_scratch(const void *self, const uc_launch *l) {
    (void)self, (void)l;
    return 0;
}

typedef struct liar {
    uc_host_backend host;
    uc_op_kind about;
    bool (*how)(const uc_launch *, const void *);
} liar;

static unclip_status choose_lie(uc_host_backend *self, const uc_launch *l, uc_host_kernel *kernel, unclip_error *err) {
    const liar *b = (const liar *)self;
    (void)err;
    kernel->run = l->kind == b->about ? b->how : run_truth;
    return UNCLIP_OK;
}

/* Runs the sampler on a backend whose kernel of one operation is replaced. */
static unclip_status run_liar(uc_op_kind about, bool (*how)(const uc_launch *, const void *), unclip_run_mode mode,
                              unclip_error *err) {
    liar b = { .about = about, .how = how };
    const uc_backend_options options = options_of(mode, 1);
    uc_host_backend_init(&b.host, "liar", &options);
    b.host.layout = plain_layout;
    b.host.scratch = no_scratch;
    b.host.choose = choose_lie;
    uc_params *params = network_params(UC_F32, 42);
    uc_program *program;
    float x[NET_IMAGE];
    cr_assert_eq(uc_program_new(&b.host.base, network_graph(params, UC_F32, 1), &program, err), UNCLIP_OK, "%s",
                 err->message);
    const unclip_status status = network_run(&b.host.base, program, 0, 1, x, err);
    b.host.base.release(&b.host.base, program);
    network_params_free(params);
    return status;
}

Test(backends, checked_mode_names_the_operation_that_lies) {
    static const struct {
        uc_op_kind kind;
        const char *scope, *op;
    } lies[] = {
        { UC_OP_conv2d, "conv_in", "conv2d" },  { UC_OP_group_norm, "norm", "group_norm" },
        { UC_OP_matmul, "time", "matmul" },     { UC_OP_attention, "net.", "attention" },
        { UC_OP_resample, "net.", "resample" }, { UC_OP_noise_step, "net.", "noise_step" },
        { UC_OP_concat, "net.", "concat" },     { UC_OP_timestep, "net.", "timestep" },
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        unclip_error err = { 0 };
        cr_expect_eq(run_liar(lies[i].kind, run_lie, UNCLIP_RUN_CHECKED, &err), UNCLIP_ERR_INTERNAL, "%s lied unseen",
                     lies[i].op);
        cr_expect(strstr(err.message, lies[i].scope) && strstr(err.message, lies[i].op) &&
                      strstr(err.message, "reference") && strstr(err.message, "tolerance"),
                  "%s: the message is \"%s\"", lies[i].op, err.message);
        err = (unclip_error){ 0 };
        cr_expect_eq(run_liar(lies[i].kind, run_lie, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK, "%s", err.message);
    }
}

Test(backends, checked_mode_sees_what_was_not_written) {
    unclip_error err = { 0 };
    cr_expect_eq(run_liar(UC_OP_group_norm, run_nothing, UNCLIP_RUN_CHECKED, &err), UNCLIP_ERR_INTERNAL);
    cr_expect(strstr(err.message, "nan"), "the message is \"%s\"", err.message);
}

Test(backends, failing_library_is_reported) {
    unclip_error err = { 0 };
    cr_expect_eq(run_liar(UC_OP_resample, run_failure, UNCLIP_RUN_REPLAY, &err), UNCLIP_ERR_DEVICE);
    cr_expect(strstr(err.message, "resample"), "the message is \"%s\"", err.message);
}

/* ---- states, timing, errors -------------------------------------------------------------------------------------- */

typedef struct timing_log {
    int count;
    int32_t last;
    double seconds;
} timing_log;

static void count_timing(void *user, const uc_plan *plan, int32_t op, double seconds) {
    timing_log *log = user;
    cr_assert(op >= 0 && op < plan->graph->op_count);
    if (op >= plan->phase_begin[1] && log->count) cr_expect(op > log->last || op == plan->phase_begin[1]);
    log->count++;
    log->last = op;
    log->seconds += seconds;
}

Test(backends, timed_mode_reports_each_operation_once) {
    timing_log log = { 0 };
    const uc_backend_options options = {
        .mode = UNCLIP_RUN_TIMED, .threads = 1, .on_timing = count_timing, .user = &log
    };
    unclip_error err = { 0 };
    uc_backend *backend;
    uc_program *program;
    uc_params *params = network_params(UC_F32, 42);
    float x[NET_IMAGE];
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK);
    cr_assert_eq(uc_program_new(backend, network_graph(params, UC_F32, 1), &program, &err), UNCLIP_OK, "%s",
                 err.message);
    cr_assert_eq(network_run(backend, program, 0, 1, x, &err), UNCLIP_OK, "%s", err.message);
    const uc_plan *plan = backend->plan(program);
    const int prepare = plan->phase_begin[1], step = plan->phase_begin[2] - prepare;
    cr_expect_eq(log.count, prepare + NET_STEPS * step, "%d reports of %d + %d x %d operations", log.count, prepare,
                 NET_STEPS, step);
    cr_expect_gt(log.seconds, 0);
    backend->release(backend, program);
    backend->close(backend);
    network_params_free(params);
}

Test(backends, wrong_uses_are_refused) {
    const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, 1);
    unclip_error err = { 0 };
    uc_backend *backend;
    uc_program *program;
    uc_params *params = network_params(UC_F32, 42);
    float x[NET_IMAGE] = { 0 };
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK);
    cr_assert_eq(uc_program_new(backend, network_graph(params, UC_F32, 1), &program, &err), UNCLIP_OK, "%s",
                 err.message);
    cr_expect_eq(backend->upload(program, UC_NONE, x, &err), UNCLIP_ERR_INTERNAL);
    cr_expect(strstr(err.message, "not a state"), "%s", err.message);
    const uc_val last = { backend->plan(program)->graph->value_count - 1 };
    cr_expect_eq(backend->download(program, last, x, &err), UNCLIP_ERR_INTERNAL);
    cr_expect_eq(backend->run(program, 2, NULL, &err), UNCLIP_ERR_INTERNAL);
    cr_expect(strstr(err.message, "no phase 2"), "%s", err.message);
    cr_expect_eq(backend->run(program, 1, NULL, &err), UNCLIP_ERR_INTERNAL);
    cr_expect(strstr(err.message, "needs a step"), "%s", err.message);
    /* states start as zeros and keep what they are given */
    const uc_val state = uc_graph_state(backend->plan(program)->graph, "x0");
    float back[NET_IMAGE];
    cr_expect_eq(backend->download(program, state, back, &err), UNCLIP_OK);
    cr_expect_arr_eq(back, x, sizeof x);
    for (int i = 0; i < NET_IMAGE; i++) x[i] = (float)i;
    cr_expect_eq(backend->upload(program, state, x, &err), UNCLIP_OK);
    cr_expect_eq(backend->download(program, state, back, &err), UNCLIP_OK);
    cr_expect_arr_eq(back, x, sizeof x);
    backend->release(backend, program);
    backend->release(backend, NULL);
    backend->close(backend);
    network_params_free(params);
}

/* A graph that cannot be planned must be freed and reported, with nothing left behind. */
Test(backends, bad_graph_is_reported) {
    const uc_backend_options options = options_of(UNCLIP_RUN_REPLAY, 0);
    unclip_error err = { 0 };
    uc_backend *backend;
    uc_program *program;
    uc_params *params = network_params(UC_F32, 42);
    params->count--; /* value.weight is missing */
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK);
    cr_expect_geq(backend->options.threads, 1);
    cr_expect_neq(uc_program_new(backend, network_graph(params, UC_F32, 1), &program, &err), UNCLIP_OK);
    cr_expect_null(program);
    cr_expect(strstr(err.message, "net.value") && strstr(err.message, "missing"), "%s", err.message);
    params->count++;
    backend->close(backend);
    network_params_free(params);
}

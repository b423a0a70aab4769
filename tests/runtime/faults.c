/* faults.c - every call of the runtime fails in turn while a backend is opened and one small picture is drawn, with
 * errors of every kind; and pieces of work fail while they are run. Each failure is one message that names device
 * and error, nothing is left allocated, nothing is done wrong on the way out, and the next picture is right.
 * UNCLIP_TEST_FAULT_STRIDE=N takes every Nth of them: under sanitizers each picture takes ten times as long. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static void small_painting(painting *p) {
    painting_open(p, "tiny-a");
    p->options.size = 64;
    p->options.stage[UNCLIP_STAGE_PRIOR].steps = 1;
    p->options.stage[UNCLIP_STAGE_DECODER].steps = 3;
}

static uint8_t *undisturbed(painting *p, uc_sim_counts *counts) {
    unclip_error err = { 0 };
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1 });
    cr_assert_eq(paint_on(p, rt, UNCLIP_RUN_REPLAY, &err), UNCLIP_OK, "%s", err.message);
    *counts = uc_sim_count(rt);
    sim_close(rt);
    uint8_t *rgb = p->rgb;
    p->rgb = NULL;
    return rgb;
}

/* Calls that only give something back, or that wait before that: their failure is nobody's business. */
static bool may_be_ignored(const char *call) {
    static const char *const calls[] = { "release", "host_release", "stream_free", "event_free", "exec_free",
                                         "stream_sync", "set_device", "memory_info" };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (!strcmp(call, calls[i])) return true;
    return false;
}

static void expect_named(const unclip_error *err, const char *where, int number) {
    const uc_device_error e = uc_device_error_of(number);
    const bool memory = e.kind == UC_DEVICE_MEMORY && strstr(err->message, "out of memory");
    cr_expect(strstr(err->message, "sim:0") && (memory || strstr(err->message, e.name)),
              "%s: \"%s\" names no device or "
              "not %s",
              where, err->message, e.name);
    const unclip_status status = e.kind == UC_DEVICE_MEMORY        ? UNCLIP_ERR_MEMORY
                                 : e.kind == UC_DEVICE_USAGE       ? UNCLIP_ERR_INTERNAL
                                 : e.kind == UC_DEVICE_ABSENT      ? UNCLIP_ERR_NO_DEVICE
                                 : e.kind == UC_DEVICE_UNSUPPORTED ? UNCLIP_ERR_UNSUPPORTED
                                                                   : UNCLIP_ERR_DEVICE;
    cr_expect_eq(err->status, status, "%s: status %d of %s", where, (int)err->status, err->message);
}

/* The plentiful calls are much alike: after most of their failures the next picture is left out. */
static bool deserves_next(const char *call, uint64_t number) {
    const bool plentiful = !strcmp(call, "op_launch") || !strcmp(call, "op_prepare") || !strcmp(call, "alloc") ||
                           !strcmp(call, "to_device") || !strcmp(call, "event_record") || !strcmp(call, "event_sync");
    return !plentiful || number % 16 == 0;
}

/* Opens, draws, and after a failure draws again on what is left of it. True when the failure was felt. */
static bool survive(painting *p, uc_runtime *rt, const uint8_t *want, const char *where, uint64_t call, int number) {
    unclip_error err = { 0 }, later = { 0 };
    uc_backend *backend = NULL;
    const uc_backend_options options = { .threads = 1 };
    const bool lost = uc_device_error_of(number).kind == UC_DEVICE_LOST;
    unclip_status status = uc_backend_cuda_new(&backend, rt, false, 0, &options, &err);
    if (!status) status = paint(p, backend, UC_F32, &err);
    const bool felt = status != UNCLIP_OK;
    const char *failed = uc_sim_call_name(rt, call);
    if (felt) expect_named(&err, where, number);
    if (backend && felt && lost) {
        cr_expect_eq(paint(p, backend, UC_F32, &later), UNCLIP_ERR_DEVICE, "%s: drawn on a lost device", where);
        cr_expect(strstr(later.message, "was lost"), "%s: %s", where, later.message);
    } else if (backend && felt && deserves_next(failed, call)) {
        status = paint(p, backend, UC_F32, &later);
        cr_expect_eq(status, UNCLIP_OK, "%s: the next picture: %s", where, later.message);
    }
    if (backend && !status) cr_expect_arr_eq(p->rgb, want, p->size, "%s: another picture", where);
    if (backend) backend->close(backend);
    return felt;
}

static uint64_t stride_of_all(void) {
    const char *wanted = getenv("UNCLIP_TEST_FAULT_STRIDE");
    const long stride = wanted ? strtol(wanted, NULL, 10) : 1;
    cr_assert_gt(stride, 0, "UNCLIP_TEST_FAULT_STRIDE is \"%s\"", wanted);
    return (uint64_t)stride;
}

static void each_call(int number, uint64_t first, uint64_t stride) {
    painting p;
    uc_sim_counts counts;
    small_painting(&p);
    uint8_t *want = undisturbed(&p, &counts);
    cr_assert_gt(counts.calls, 500);
    for (uint64_t call = first; call <= counts.calls; call += stride * stride_of_all()) {
        char where[160];
        /* the same seed, so that call k is the same call */
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1, .fail_call = call, .fail_number = number });
        const bool felt = survive(&p, rt, want, "a call", call, number);
        snprintf(where, sizeof where, "call %llu (%s) failing with %d", (unsigned long long)call,
                 uc_sim_call_name(rt, call), number);
        cr_expect(felt || may_be_ignored(uc_sim_call_name(rt, call)), "%s went unnoticed", where);
        cr_expect_str_eq(uc_sim_leaks(rt), "", "%s leaves %s", where, uc_sim_leaks(rt));
        cr_expect_str_eq(uc_sim_misuse(rt), "", "%s leads to %s", where, uc_sim_misuse(rt));
        rt->close(rt);
    }
    free(want);
    painting_close(&p);
}

/* Every call, and a good part of the calls with errors of the other kinds. */
Test(runtime_faults, every_even_call, .timeout = 600) { each_call(UC_CUDA_Unknown, 2, 2); }
Test(runtime_faults, every_odd_call, .timeout = 600) { each_call(UC_CUDA_Unknown, 1, 2); }
Test(runtime_faults, device_lost, .timeout = 600) { each_call(UC_CUDA_LaunchFailure, 1, 11); }
Test(runtime_faults, out_of_memory, .timeout = 600) { each_call(UC_CUDA_MemoryAllocation, 2, 11); }
Test(runtime_faults, invalid_value, .timeout = 600) { each_call(UC_CUDA_InvalidValue, 3, 17); }

/* Every error that CUDA has, at one call in the middle of a picture. */
Test(runtime_faults, every_error_number, .timeout = 600) {
    painting p;
    uc_sim_counts counts;
    size_t count = 0;
    const uc_device_error *errors = uc_device_errors(&count);
    small_painting(&p);
    uint8_t *want = undisturbed(&p, &counts);
    for (size_t i = 0; i < count; i += stride_of_all()) {
        const uint64_t call = counts.calls / 2;
        char where[96];
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1, .fail_call = call, .fail_number = errors[i].number });
        snprintf(where, sizeof where, "a call failing with %s (%d)", errors[i].name, errors[i].number);
        cr_expect(survive(&p, rt, want, where, call, errors[i].number), "%s went unnoticed", where);
        cr_expect_str_eq(uc_sim_leaks(rt), "", "%s leaves %s", where, uc_sim_leaks(rt));
        cr_expect_str_eq(uc_sim_misuse(rt), "", "%s leads to %s", where, uc_sim_misuse(rt));
        rt->close(rt);
    }
    free(want);
    painting_close(&p);
}

static void each_work(int number, uint64_t stride) {
    painting p;
    uc_sim_counts counts;
    small_painting(&p);
    uint8_t *want = undisturbed(&p, &counts);
    for (uint64_t work = 1; work <= counts.work; work += stride * stride_of_all()) {
        char where[96];
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1, .fail_work = work, .fail_number = number });
        snprintf(where, sizeof where, "work %llu failing with %d", (unsigned long long)work, number);
        survive(&p, rt, want, where, 0, number);
        cr_expect_str_eq(uc_sim_leaks(rt), "", "%s leaves %s", where, uc_sim_leaks(rt));
        cr_expect_str_eq(uc_sim_misuse(rt), "", "%s leads to %s", where, uc_sim_misuse(rt));
        rt->close(rt);
    }
    free(want);
    painting_close(&p);
}

Test(runtime_faults, work_that_fails_for_good, .timeout = 600) { each_work(UC_CUDA_IllegalAddress, 13); }

Test(runtime_faults, every_error_number_has_a_kind) {
    size_t count = 0;
    const uc_device_error *errors = uc_device_errors(&count);
    int lost = 0;
    cr_assert_geq(count, 80);
    for (size_t i = 0; i < count; i++) {
        cr_expect(i == 0 || errors[i].number > errors[i - 1].number, "%s out of order", errors[i].name);
        cr_expect_eq(uc_device_error_of(errors[i].number).kind, errors[i].kind);
        lost += errors[i].kind == UC_DEVICE_LOST;
    }
    cr_expect_eq(lost, 16);
    cr_expect_eq(uc_device_error_of(123456).kind, UC_DEVICE_FAILED);
}

/* sim.c - the simulated runtime catches what it promises to catch (host/cuda/sim.h): each thing that a program may
 * do wrong is done once, on seeds that run early and late, and has its error. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Two devices, two streams of device 0, an event, a block on each device, pinned memory. */
typedef struct rig {
    uc_runtime *rt;
    uc_stream *a, *b;
    uc_event *event;
    char *block, *other, *pinned;
    uint64_t seed;
} rig;

enum { BYTES = 1024 };

static void *allocated(rig *r, int device) {
    void *at = NULL;
    cr_assert_eq(r->rt->set_device(r->rt, device), 0);
    cr_assert_eq(r->rt->alloc(r->rt, &at, BYTES), 0);
    return at;
}

static rig rig_new(uint64_t seed) {
    rig r = { .seed = seed, .rt = sim_with((uc_sim_options){ .devices = 2, .seed = seed, .device_bytes = 1 << 20 }) };
    void *pinned = NULL;
    r.other = allocated(&r, 1);
    r.block = allocated(&r, 0);
    cr_assert_eq(r.rt->host_alloc(r.rt, &pinned, BYTES), 0);
    r.pinned = pinned;
    cr_assert_eq(r.rt->stream_new(r.rt, &r.a), 0);
    cr_assert_eq(r.rt->stream_new(r.rt, &r.b), 0);
    cr_assert_eq(r.rt->event_new(r.rt, &r.event, true), 0);
    return r;
}

/* Each mistake makes exactly one wrong call and returns what it gave. */
typedef int (*mistake)(rig *r);

static int host_pointer_to_kernel_copy(rig *r) { return r->rt->to_device(r->rt, r->pinned, r->pinned, 8, r->a); }
static int pageable_memory(rig *r) {
    char here[8] = "";
    return r->rt->to_device(r->rt, r->block, here, 8, r->a);
}
static int wrong_direction(rig *r) { return r->rt->to_host(r->rt, r->block, r->pinned, 8, r->a); }
static int other_device(rig *r) { return r->rt->set_bytes(r->rt, r->other, 0, 8, r->a); }
static int beyond_the_end(rig *r) { return r->rt->set_bytes(r->rt, r->block + 8, 0, BYTES, r->a); }
static int null_pointer(rig *r) { return r->rt->set_bytes(r->rt, NULL, 0, 8, r->a); }
static int default_stream(rig *r) { return r->rt->set_bytes(r->rt, r->block, 0, 8, NULL); }
static int wrong_current_device(rig *r) {
    r->rt->set_device(r->rt, 1);
    return r->rt->set_bytes(r->rt, r->other, 0, 8, r->a);
}
static int use_after_free(rig *r) {
    r->rt->release(r->rt, r->block);
    return r->rt->set_bytes(r->rt, r->block, 0, 8, r->a);
}
static int double_free(rig *r) {
    r->rt->release(r->rt, r->block);
    return r->rt->release(r->rt, r->block);
}
static int free_of_a_middle(rig *r) { return r->rt->release(r->rt, r->block + 64); }
static int free_of_host_as_device(rig *r) { return r->rt->release(r->rt, r->pinned); }
static int early_free(rig *r) {
    r->rt->set_bytes(r->rt, r->block, 0, 8, r->a);
    return r->rt->release(r->rt, r->block);
}
static int early_free_of_staging(rig *r) {
    r->rt->to_device(r->rt, r->block, r->pinned, 8, r->a);
    return r->rt->host_release(r->rt, r->pinned);
}
static int unordered_writes(rig *r) {
    r->rt->set_bytes(r->rt, r->block, 0, 64, r->a);
    return r->rt->set_bytes(r->rt, r->block + 32, 1, 64, r->b);
}
static int read_before_event(rig *r) {
    r->rt->set_bytes(r->rt, r->block, 0, 64, r->a);
    r->rt->event_record(r->rt, r->event, r->a);
    return r->rt->to_host(r->rt, r->pinned, r->block, 8, r->b);
}
static int event_recorded_too_early(rig *r) {
    r->rt->event_record(r->rt, r->event, r->a);
    r->rt->set_bytes(r->rt, r->block, 0, 64, r->a);
    r->rt->event_wait(r->rt, r->b, r->event);
    return r->rt->to_host(r->rt, r->pinned, r->block, 8, r->b);
}
static int freed_event(rig *r) {
    uc_event *e = r->event;
    r->rt->event_free(r->rt, e);
    return r->rt->event_record(r->rt, e, r->a);
}
static int time_of_event_without_waiting(rig *r) {
    double seconds;
    r->rt->event_record(r->rt, r->event, r->a);
    if (r->seed) return r->rt->event_seconds(r->rt, r->event, NULL, &seconds);
    return r->rt->event_seconds(r->rt, r->event, r->event, &seconds);
}
static int end_without_capture(rig *r) {
    uc_exec *exec;
    return r->rt->capture_end(r->rt, r->a, &exec);
}
static int sync_in_capture(rig *r) {
    r->rt->capture_begin(r->rt, r->a);
    return r->rt->stream_sync(r->rt, r->a);
}
static int unjoined_branch(rig *r) {
    uc_exec *exec;
    r->rt->capture_begin(r->rt, r->a);
    r->rt->event_record(r->rt, r->event, r->a);
    r->rt->event_wait(r->rt, r->b, r->event);
    r->rt->set_bytes(r->rt, r->block, 0, 8, r->b);
    return r->rt->capture_end(r->rt, r->a, &exec);
}
static int race_in_capture(rig *r) {
    uc_exec *exec;
    r->rt->capture_begin(r->rt, r->a);
    r->rt->event_record(r->rt, r->event, r->a);
    r->rt->event_wait(r->rt, r->b, r->event);
    r->rt->set_bytes(r->rt, r->block, 0, 8, r->b);
    r->rt->set_bytes(r->rt, r->block, 1, 8, r->a);
    r->rt->event_record(r->rt, r->event, r->b);
    r->rt->event_wait(r->rt, r->a, r->event);
    return r->rt->capture_end(r->rt, r->a, &exec);
}
static int outside_event_in_capture(rig *r) {
    r->rt->event_record(r->rt, r->event, r->b);
    r->rt->capture_begin(r->rt, r->a);
    return r->rt->event_wait(r->rt, r->a, r->event);
}
static int replay_after_free(rig *r) {
    uc_exec *exec;
    r->rt->capture_begin(r->rt, r->a);
    r->rt->set_bytes(r->rt, r->block, 0, 8, r->a);
    r->rt->capture_end(r->rt, r->a, &exec);
    r->rt->release(r->rt, r->block);
    r->rt->exec_launch(r->rt, exec, r->a);
    return r->rt->stream_sync(r->rt, r->a);
}
static int host_weight_to_kernel(rig *r) {
    const uc_shape shape = UC_SHAPE2(1, 4);
    const uc_launch l = { .kind = UC_OP_activation,
                          .in = { { .shape = shape, .data = r->pinned } },
                          .out = { { .shape = shape, .data = r->block } } };
    return r->rt->op_launch(r->rt, NULL, &l, r->a);
}
/* x, weight, result and workspace of a matmul at these places of the block. */
static int matmul_at(rig *r, size_t x, size_t workspace) {
    const uc_launch l = { .kind = UC_OP_matmul,
                          .in = { [UC_MATMUL_X] = { .shape = UC_SHAPE2(1, 4), .data = r->block + x },
                                  [UC_MATMUL_WEIGHT] = { .shape = UC_SHAPE2(4, 4), .data = r->block + 64 } },
                          .out = { { .shape = UC_SHAPE2(1, 4), .data = r->block + 256 } },
                          .scratch = r->block + workspace };
    return r->rt->op_launch(r->rt, NULL, &l, r->a);
}
static int uneven_workspace(rig *r) { return matmul_at(r, 0, 512 + 128); }
static int uneven_operand(rig *r) { return matmul_at(r, 8, 512); }

Test(runtime_sim, every_mistake_has_its_error) {
    static const struct { mistake make; int number; const char *text; } mistakes[] = {
        { host_pointer_to_kernel_copy, UC_CUDA_IllegalAddress, "copy to a device: the host's memory" },
        { pageable_memory, UC_CUDA_IllegalAddress, "neither a device's memory nor from host_alloc" },
        { wrong_direction, UC_CUDA_IllegalAddress, "copy from a device: the host's memory" },
        { other_device, UC_CUDA_IllegalAddress, "memory of device 1 used by device 0" },
        { beyond_the_end, UC_CUDA_IllegalAddress, "of a block of 1024" },
        { null_pointer, UC_CUDA_IllegalAddress, "neither" },
        { default_stream, UC_CUDA_InvalidResourceHandle, "the default stream" },
        { wrong_current_device, UC_CUDA_InvalidResourceHandle, "a stream of device 0 while device 1 is current" },
        { use_after_free, UC_CUDA_IllegalAddress, "used after its release" },
        { double_free, UC_CUDA_InvalidValue, "released before" },
        { free_of_a_middle, UC_CUDA_InvalidValue, "never allocated" },
        { free_of_host_as_device, UC_CUDA_InvalidValue, "never allocated" },
        { early_free, UC_CUDA_IllegalAddress, "used by work that nobody has waited for" },
        { early_free_of_staging, UC_CUDA_IllegalAddress, "used by work that nobody has waited for" },
        { unordered_writes, UC_CUDA_IllegalState, "race" },
        { read_before_event, UC_CUDA_IllegalState, "race" },
        { event_recorded_too_early, UC_CUDA_IllegalState, "race" },
        { freed_event, UC_CUDA_InvalidResourceHandle, "freed event" },
        { time_of_event_without_waiting, 0, "" },
        { end_without_capture, UC_CUDA_IllegalState, "not captured" },
        { sync_in_capture, UC_CUDA_StreamCaptureUnsupported, "captured" },
        { unjoined_branch, UC_CUDA_StreamCaptureUnjoined, "joined" },
        { race_in_capture, UC_CUDA_IllegalState, "race: captured" },
        { outside_event_in_capture, UC_CUDA_StreamCaptureIsolation, "from outside" },
        { replay_after_free, UC_CUDA_IllegalAddress, "used after its release" },
        { host_weight_to_kernel, UC_CUDA_IllegalAddress, "activation: the host's memory" },
        { uneven_workspace, UC_CUDA_MisalignedAddress, "matmul: the workspace at" },
        { uneven_operand, UC_CUDA_MisalignedAddress, "matmul: an operand at" },
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        for (uint64_t seed = 0; seed < 12; seed++) {
            rig r = rig_new(seed);
            const int number = mistakes[i].make(&r);
            const char *text = uc_sim_misuse(r.rt);
            cr_expect(number != 0 && (!mistakes[i].number || number == mistakes[i].number),
                      "mistake %zu, seed %llu: error %d", i, (unsigned long long)seed, number);
            cr_expect(strstr(text, mistakes[i].text), "mistake %zu, seed %llu: \"%s\"", i, (unsigned long long)seed,
                      text);
            r.rt->close(r.rt);
        }
}

static void rig_close(rig *r) {
    cr_expect_eq(r->rt->stream_sync(r->rt, r->a), 0);
    cr_expect_eq(r->rt->stream_sync(r->rt, r->b), 0);
    r->rt->release(r->rt, r->block);
    r->rt->release(r->rt, r->other);
    r->rt->host_release(r->rt, r->pinned);
    r->rt->stream_free(r->rt, r->a);
    r->rt->stream_free(r->rt, r->b);
    r->rt->event_free(r->rt, r->event);
    sim_close(r->rt);
}

static bool all(const char *at, int byte) {
    for (int i = 0; i < BYTES; i++)
        if ((unsigned char)at[i] != (unsigned char)byte) return false;
    return true;
}

Test(runtime_sim, libraries_take_even_addresses) {
    rig r = rig_new(0);
    cr_expect_eq(r.rt->set_bytes(r.rt, r.block, 0, BYTES, r.a), 0);
    cr_expect_eq(matmul_at(&r, 0, 512), 0, "%s", uc_sim_misuse(r.rt));
    rig_close(&r);
}

Test(runtime_sim, memory_is_poisoned_and_copies_are_late) {
    int early = 0, late = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        rig r = rig_new(seed);
        cr_expect(all(r.pinned, 0xFF), "new pinned memory");
        memset(r.pinned, 0, BYTES);
        r.rt->to_host(r.rt, r.pinned, r.block, BYTES, r.a);
        r.rt->stream_sync(r.rt, r.a);
        cr_expect(all(r.pinned, 0xFF), "new device memory");
        r.rt->set_bytes(r.rt, r.block, 7, BYTES, r.a);
        r.rt->to_host(r.rt, r.pinned, r.block, BYTES, r.a);
        cr_expect(all(r.pinned, 0xFF), "a copy that nobody waited for has arrived before it was enqueued");
        int count;
        r.rt->device_count(r.rt, &count);
        *(all(r.pinned, 7) ? &early : &late) += 1;
        r.rt->stream_sync(r.rt, r.a);
        cr_expect(all(r.pinned, 7));
        rig_close(&r);
    }
    cr_expect(early > 3 && late > 3, "seeds run work early %d times and late %d times", early, late);
}

Test(runtime_sim, staging_is_read_late) {
    int wrong = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        rig r = rig_new(seed);
        memset(r.pinned, 1, BYTES);
        r.rt->to_device(r.rt, r.block, r.pinned, BYTES, r.a);
        memset(r.pinned, 2, BYTES); /* too early */
        r.rt->to_host(r.rt, r.pinned, r.block, BYTES, r.a);
        r.rt->stream_sync(r.rt, r.a);
        wrong += !all(r.pinned, 1);
        rig_close(&r);
    }
    cr_expect_gt(wrong, 10, "%d of 20", wrong);
}

Test(runtime_sim, events_order_streams_and_replays_freeze) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        rig r = rig_new(seed);
        uc_exec *exec = NULL;
        for (int i = 0; i < 4; i++) {
            r.rt->set_bytes(r.rt, r.block, i, BYTES, r.a);
            r.rt->event_record(r.rt, r.event, r.a);
            r.rt->event_wait(r.rt, r.b, r.event);
            r.rt->to_host(r.rt, r.pinned, r.block, BYTES, r.b);
            r.rt->event_record(r.rt, r.event, r.b);
            r.rt->event_wait(r.rt, r.a, r.event);
        }
        cr_expect_eq(r.rt->stream_sync(r.rt, r.b), 0);
        cr_expect(all(r.pinned, 3), "seed %llu", (unsigned long long)seed);
        int byte = 5;
        cr_expect_eq(r.rt->capture_begin(r.rt, r.a), 0);
        r.rt->set_bytes(r.rt, r.block, byte, BYTES, r.a);
        cr_expect_eq(r.rt->capture_end(r.rt, r.a, &exec), 0);
        byte = 6;
        r.rt->set_bytes(r.rt, r.block, byte, BYTES, r.a);
        r.rt->exec_launch(r.rt, exec, r.a);
        r.rt->to_host(r.rt, r.pinned, r.block, BYTES, r.a);
        cr_expect_eq(r.rt->stream_sync(r.rt, r.a), 0);
        cr_expect(all(r.pinned, 5), "seed %llu", (unsigned long long)seed);
        cr_expect_eq(r.rt->exec_free(r.rt, exec), 0);
        rig_close(&r);
    }
}

Test(runtime_sim, peers_copy_and_account_is_kept) {
    rig r = rig_new(4);
    r.rt->set_bytes(r.rt, r.block, 9, BYTES, r.a);
    cr_expect_eq(r.rt->to_peer(r.rt, r.other, 1, r.block, 0, BYTES, r.a), 0);
    cr_expect_eq(r.rt->enable_peer(r.rt, 1), 0);
    cr_expect_eq(r.rt->enable_peer(r.rt, 1), UC_CUDA_PeerAccessAlreadyEnabled);
    r.rt->to_host(r.rt, r.pinned, r.other, BYTES, r.a); /* may read it now */
    cr_expect_eq(r.rt->stream_sync(r.rt, r.a), 0);
    cr_expect(all(r.pinned, 9));
    uint64_t available, total;
    cr_expect_eq(r.rt->memory_info(r.rt, &available, &total), 0);
    cr_expect_eq(total - available, BYTES);
    cr_expect(strstr(uc_sim_leaks(r.rt), "3 blocks of 3072 bytes"), "%s", uc_sim_leaks(r.rt));
    void *much;
    cr_expect_eq(r.rt->alloc(r.rt, &much, 1 << 20), UC_CUDA_MemoryAllocation);
    cr_expect_null(much);
    rig_close(&r);
}

Test(runtime_sim, failures_on_demand) {
    rig r = rig_new(0);
    int count;
    uc_sim_fail(r.rt, 2, UC_CUDA_Unknown);
    cr_expect_eq(r.rt->device_count(r.rt, &count), 0);
    cr_expect_eq(r.rt->device_count(r.rt, &count), UC_CUDA_Unknown);
    cr_expect_eq(r.rt->device_count(r.rt, &count), 0);
    uc_sim_fail(r.rt, 1, UC_CUDA_LaunchFailure);
    cr_expect_eq(r.rt->device_count(r.rt, &count), UC_CUDA_LaunchFailure);
    cr_expect_eq(r.rt->stream_sync(r.rt, r.a), UC_CUDA_LaunchFailure, "the error does not stay");
    r.rt->close(r.rt);
}

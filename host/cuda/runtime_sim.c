/* runtime_sim.c - see sim.h. The table itself: devices, failing on demand, and the account at the end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_parts.h"

/* splitmix64 */
uint64_t sim_random(sim_runtime *s) {
    uint64_t z = s->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int sim_misuse(sim_runtime *s, int number, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(s->detail, sizeof s->detail, format, args);
    va_end(args);
    if (!s->misuse[0]) memcpy(s->misuse, s->detail, sizeof s->misuse);
    if (uc_device_error_of(number).kind == UC_DEVICE_LOST && !s->lost) s->lost = number;
    return number;
}

int sim_call(sim_runtime *s, const char *name) {
    s->trace[s->counts.calls++ % SIM_TRACE] = name;
    if (s->options.fail_call && s->counts.calls == s->options.fail_call) {
        const int number = s->options.fail_number;
        snprintf(s->detail, sizeof s->detail, "call %llu, %s", (unsigned long long)s->counts.calls, name);
        if (uc_device_error_of(number).kind == UC_DEVICE_LOST) s->lost = number;
        return number;
    }
    if (s->lost) {
        sim_drop_all(s);
        return s->lost;
    }
    s->detail[0] = '\0';
    sim_run_some(s);
    return s->lost;
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static int device_count(uc_runtime *rt, int *count) {
    const int failed = sim_call(sim_of(rt), "device_count");
    *count = failed ? 0 : sim_of(rt)->options.devices;
    return failed;
}

static int check_device(sim_runtime *s, int device) {
    return device >= 0 && device < s->options.devices ? 0 : UC_CUDA_InvalidDevice;
}

static int device_info(uc_runtime *rt, int device, uc_device_info *info) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "device_info");
    *info = (uc_device_info){ .major = 8, .processors = 1, .bytes = s->options.device_bytes };
    if (!failed) failed = check_device(s, device);
    snprintf(info->name, sizeof info->name, "simulated device %d", device);
    return failed;
}

static int set_device(uc_runtime *rt, int device) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "set_device");
    if (!failed) failed = check_device(s, device);
    if (!failed) s->current = device;
    return failed;
}

static int enable_peer(uc_runtime *rt, int peer) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "enable_peer");
    if (!failed) failed = check_device(s, peer);
    if (!failed && peer == s->current) failed = UC_CUDA_InvalidDevice;
    if (!failed && s->device[s->current].peer[peer]) failed = UC_CUDA_PeerAccessAlreadyEnabled;
    if (!failed) s->device[s->current].peer[peer] = true;
    return failed;
}

static const char *detail(uc_runtime *rt) { return sim_of(rt)->detail; }

/* ---- the account ------------------------------------------------------------------------------------------------- */

const char *uc_sim_leaks(uc_runtime *rt) {
    sim_runtime *s = sim_of(rt);
    size_t blocks = 0, bytes = 0, streams = 0, events = 0, execs = 0;
    uint64_t first = 0;
    for (size_t i = 0; i < s->block_count; i++) {
        if (!s->blocks[i]->data) continue;
        if (!blocks++) first = s->blocks[i]->serial;
        bytes += s->blocks[i]->bytes;
    }
    for (const uc_stream *t = s->streams; t; t = t->next) streams++;
    for (const uc_event *e = s->events; e; e = e->next) events++;
    for (const uc_exec *e = s->execs; e; e = e->next) execs++;
    s->leaks[0] = '\0';
    if (blocks || streams || events || execs)
        snprintf(s->leaks, sizeof s->leaks,
                 "%zu blocks of %zu bytes in all (first: block %llu), %zu streams, %zu events, "
                 "%zu captured lists",
                 blocks, bytes, (unsigned long long)first, streams, events, execs);
    return s->leaks;
}

const char *uc_sim_misuse(uc_runtime *rt) { return sim_of(rt)->misuse; }

uc_sim_counts uc_sim_count(const uc_runtime *rt) { return sim_of(rt)->counts; }

void uc_sim_fail(uc_runtime *rt, uint64_t call, int number) {
    sim_runtime *s = sim_of(rt);
    s->options.fail_call = call ? s->counts.calls + call : 0;
    s->options.fail_number = number;
}

const char *uc_sim_call_name(const uc_runtime *rt, uint64_t number) {
    const sim_runtime *s = sim_of(rt);
    const bool known = number && number <= s->counts.calls && number + SIM_TRACE > s->counts.calls;
    return known ? s->trace[(number - 1) % SIM_TRACE] : "";
}

/* ---- the runtime ------------------------------------------------------------------------------------------------- */

static void close_runtime(uc_runtime *rt) {
    sim_runtime *s = sim_of(rt);
    for (uc_stream *t = s->streams, *next; t; t = next) {
        next = t->next;
        free(t->queue);
        free(t);
    }
    for (uc_event *e = s->events, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    for (uc_exec *e = s->execs, *next; e; e = next) {
        next = e->next;
        sim_delete_exec(e);
    }
    sim_free_blocks(s);
    free(s);
}

unclip_status uc_runtime_sim_new(uc_runtime **rt, const uc_sim_options *options, unclip_error *err) {
    sim_runtime *s = calloc(1, sizeof *s);
    *rt = NULL;
    if (!s) return uc_fail_memory(err, sizeof *s, "simulated runtime");
    s->options = *options;
    if (s->options.devices < 1) s->options.devices = 1;
    if (s->options.devices > SIM_MAX_DEVICES) s->options.devices = SIM_MAX_DEVICES;
    if (!s->options.device_bytes) s->options.device_bytes = (uint64_t)64 << 30;
    if (s->options.threads < 1) s->options.threads = 1;
    s->random = s->options.seed;
    s->table.kind = "sim";
    s->table.close = close_runtime;
    s->table.device_count = device_count;
    s->table.device_info = device_info;
    s->table.set_device = set_device;
    s->table.enable_peer = enable_peer;
    s->table.detail = detail;
    sim_memory_functions(&s->table);
    sim_stream_functions(&s->table);
    sim_capture_functions(&s->table);
    sim_op_functions(&s->table);
    *rt = &s->table;
    return UNCLIP_OK;
}

/* device.c - see device.h. */
#include "device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING_SLOTS = 2, STAGING_BYTES = 4 << 20, STEP_BYTES = 256 };

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static unclip_status status_of(uc_device_error_kind kind) {
    switch (kind) {
    case UC_DEVICE_MEMORY: return UNCLIP_ERR_MEMORY;
    case UC_DEVICE_ABSENT: return UNCLIP_ERR_NO_DEVICE;
    case UC_DEVICE_UNSUPPORTED: return UNCLIP_ERR_UNSUPPORTED;
    case UC_DEVICE_USAGE: return UNCLIP_ERR_INTERNAL;
    default: return UNCLIP_ERR_DEVICE;
    }
}

unclip_status uc_device_check(uc_device *d, int number, unclip_error *err, const char *format, ...) {
    if (!number) return UNCLIP_OK;
    const uc_device_error e = uc_device_error_of(number);
    char what[256], message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    const char *detail = d->rt->detail(d->rt);
    snprintf(message, sizeof message, "%s: %s (%d)%s%.400s", what, e.name, number, detail[0] ? ": " : "", detail);
    if (e.kind == UC_DEVICE_LOST && !d->lost) {
        d->lost = true;
        snprintf(d->why_lost, sizeof d->why_lost, "%.255s", message);
    }
    if (e.kind == UC_DEVICE_LOST)
        return uc_fail(err, UNCLIP_ERR_DEVICE, "%s: %s; the device is lost and the process must be started anew",
                       d->name, message);
    return uc_fail(err, status_of(e.kind), "%s: %s", d->name, message);
}

unclip_status uc_device_enter(uc_device *d, unclip_error *err) {
    if (d->lost) return uc_fail(err, UNCLIP_ERR_DEVICE, "%s was lost: %s", d->name, d->why_lost);
    return uc_device_check(d, d->rt->set_device(d->rt, d->number), err, "choosing the device");
}

/* Twice, because the first one may only bring the news of an earlier failure. */
void uc_device_drain(uc_device *d) {
    (void)d->rt->set_device(d->rt, d->number);
    for (int turn = 0; turn < 2; turn++) {
        if (d->copies) (void)d->rt->stream_sync(d->rt, d->copies);
        if (d->compute) (void)d->rt->stream_sync(d->rt, d->compute);
    }
}

unclip_status uc_device_alloc(uc_device *d, void **at, size_t bytes, unclip_error *err, const char *what) {
    const int number = d->rt->alloc(d->rt, at, bytes);
    if (!number) return UNCLIP_OK;
    uint64_t free_bytes = 0, total = 0;
    if (uc_device_error_of(number).kind != UC_DEVICE_MEMORY || d->rt->memory_info(d->rt, &free_bytes, &total))
        return uc_device_check(d, number, err, "%s: allocating %zu bytes", what, bytes);
    return uc_fail(err, UNCLIP_ERR_MEMORY, "%s: out of memory: %s needs %zu bytes, %llu of %llu are free", d->name,
                   what, bytes, (unsigned long long)free_bytes, (unsigned long long)total);
}

/* ---- rings ------------------------------------------------------------------------------------------------------- */

static unclip_status ring_new(uc_device *d, uc_ring *ring, int slots, size_t slot_bytes, unclip_error *err) {
    void *memory = NULL;
    ring->slots = slots;
    ring->slot_bytes = slot_bytes;
    unclip_status status = uc_device_check(d, d->rt->host_alloc(d->rt, &memory, (size_t)slots * slot_bytes), err,
                                           "allocating %zu bytes of pinned memory", (size_t)slots * slot_bytes);
    ring->memory = memory;
    for (int i = 0; i < slots && !status; i++)
        status = uc_device_check(d, d->rt->event_new(d->rt, &ring->free_again[i], false), err, "making an event");
    return status;
}

static void ring_free(uc_device *d, uc_ring *ring) {
    for (int i = 0; i < ring->slots; i++)
        if (ring->free_again[i]) (void)d->rt->event_free(d->rt, ring->free_again[i]);
    if (ring->memory) (void)d->rt->host_release(d->rt, ring->memory);
}

unclip_status uc_ring_take(uc_device *d, uc_ring *ring, char **slot, unclip_error *err) {
    const int i = ring->next;
    *slot = ring->memory + (size_t)i * ring->slot_bytes;
    if (!ring->used[i]) return UNCLIP_OK;
    return uc_device_check(d, d->rt->event_sync(d->rt, ring->free_again[i]), err, "waiting for a copy");
}

unclip_status uc_ring_give(uc_device *d, uc_ring *ring, uc_stream *stream, unclip_error *err) {
    const int i = ring->next;
    const unclip_status status = uc_device_check(d, d->rt->event_record(d->rt, ring->free_again[i], stream), err,
                                                 "recording an event");
    if (status) uc_device_drain(d); /* nothing else tells when the slot is free */
    ring->used[i] = !status;
    ring->next = (i + 1) % ring->slots;
    return status;
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

unclip_status uc_device_upload(uc_device *d, void *to, const void *from, size_t bytes, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (size_t done = 0; done < bytes && !status; done += d->staging.slot_bytes) {
        const size_t part = bytes - done < d->staging.slot_bytes ? bytes - done : d->staging.slot_bytes;
        char *slot = NULL;
        status = uc_ring_take(d, &d->staging, &slot, err);
        if (status) break;
        memcpy(slot, (const char *)from + done, part);
        status = uc_device_check(d, d->rt->to_device(d->rt, (char *)to + done, slot, part, d->compute), err,
                                 "copying %zu bytes to the device", part);
        if (!status) status = uc_ring_give(d, &d->staging, d->compute, err);
    }
    return status;
}

unclip_status uc_device_download(uc_device *d, void *to, const void *from, size_t bytes, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (size_t done = 0; done < bytes && !status; done += d->staging.slot_bytes) {
        const size_t part = bytes - done < d->staging.slot_bytes ? bytes - done : d->staging.slot_bytes;
        const int slot_number = d->staging.next;
        char *slot = NULL;
        status = uc_ring_take(d, &d->staging, &slot, err);
        if (status) break;
        status = uc_device_check(d, d->rt->to_host(d->rt, slot, (const char *)from + done, part, d->compute), err,
                                 "copying %zu bytes from the device", part);
        if (!status) status = uc_ring_give(d, &d->staging, d->compute, err);
        if (!status)
            status = uc_device_check(d, d->rt->event_sync(d->rt, d->staging.free_again[slot_number]), err,
                                     "waiting for the device");
        if (!status) memcpy((char *)to + done, slot, part);
    }
    return status;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static unclip_status open_parts(uc_device *d, unclip_error *err) {
    uc_runtime *rt = d->rt;
    int count = 0;
    unclip_status status = uc_device_check(d, rt->device_count(rt, &count), err, "counting devices");
    if (status) return status;
    if (d->number < 0 || d->number >= count)
        return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s: there are %d devices of this kind", d->name, count);
    status = uc_device_enter(d, err);
    if (!status) status = uc_device_check(d, rt->stream_new(rt, &d->compute), err, "making a stream");
    if (!status) status = uc_device_check(d, rt->stream_new(rt, &d->copies), err, "making a stream");
    if (!status) status = uc_device_check(d, rt->event_new(rt, &d->weights_there, false), err, "making an event");
    if (!status) status = ring_new(d, &d->steps, UC_RING_SLOTS, STEP_BYTES, err);
    if (!status) status = ring_new(d, &d->staging, STAGING_SLOTS, STAGING_BYTES, err);
    return status;
}

unclip_status uc_device_open(uc_device *d, uc_runtime *rt, int number, unclip_error *err) {
    *d = (uc_device){ .rt = rt, .number = number };
    snprintf(d->name, sizeof d->name, "%s:%d", rt->kind, number);
    const unclip_status status = open_parts(d, err);
    if (status) uc_device_close(d);
    return status;
}

void uc_device_close(uc_device *d) {
    uc_device_drain(d);
    for (size_t i = 0; i < d->weight_count; i++) (void)d->rt->release(d->rt, d->weights[i].at);
    free(d->weights);
    free(d->row);
    ring_free(d, &d->staging);
    ring_free(d, &d->steps);
    if (d->weights_there) (void)d->rt->event_free(d->rt, d->weights_there);
    if (d->copies) (void)d->rt->stream_free(d->rt, d->copies);
    if (d->compute) (void)d->rt->stream_free(d->rt, d->compute);
    *d = (uc_device){ .rt = d->rt, .number = d->number };
}

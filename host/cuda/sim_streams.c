/* sim_streams.c - streams and events of the simulated runtime (see sim.h): queues whose heads are run in an order that
 * the seed chooses, as late as it likes. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim_parts.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- running what is enqueued ------------------------------------------------------------------------------------ */

static bool is_ready(const uc_stream *t) {
    if (!t->count) return false;
    const sim_work *head = &t->queue[t->first];
    return head->kind != SIM_WAIT || !head->event || head->event->done >= head->ticket;
}

static void run_head(sim_runtime *s, uc_stream *t) {
    const sim_work w = t->queue[t->first++];
    t->count--;
    if (!t->count) t->first = 0;
    s->counts.work++;
    int failed = s->lost;
    if (s->options.fail_work && s->counts.work == s->options.fail_work) failed = s->options.fail_number;
    if (!failed && w.kind == SIM_EXEC) failed = w.exec ? sim_run_exec(s, w.exec) : 0;
    else if (!failed) failed = sim_run_work(s, &w);
    if (w.kind == SIM_EXEC && w.exec) w.exec->pending--;
    if (w.kind == SIM_RECORD && w.event) {
        w.event->done = w.ticket;
        w.event->seconds = now();
    }
    if (!failed) return;
    if (uc_device_error_of(failed).kind == UC_DEVICE_LOST) s->lost = failed;
    else if (!s->pending_error) s->pending_error = failed;
}

/* Any stream that can go on; the preferred one if the seed is 0 and it can. */
static uc_stream *choose(sim_runtime *s, uc_stream *preferred) {
    if (!s->options.seed && preferred && is_ready(preferred)) return preferred;
    uint64_t ready = 0;
    for (const uc_stream *t = s->streams; t; t = t->next) ready += is_ready(t);
    if (!ready) return NULL;
    uint64_t pick = sim_random(s) % ready;
    for (uc_stream *t = s->streams; t; t = t->next)
        if (is_ready(t) && pick-- == 0) return t;
    return NULL;
}

void sim_run_some(sim_runtime *s) {
    if (!s->options.seed) return;
    for (uint64_t n = sim_random(s) % 4; n > 0; n--) {
        uc_stream *t = choose(s, NULL);
        if (!t) return;
        run_head(s, t);
    }
}

/* Until the stream is empty, or the event has been reached. */
int sim_run_until(sim_runtime *s, uc_stream *stream, const uc_event *event, uint64_t ticket) {
    while (stream ? stream->count > 0 : event->done < ticket) {
        uc_stream *t = choose(s, stream);
        if (!t) return sim_misuse(s, UC_CUDA_LaunchTimeout, "deadlock: every stream waits for an event");
        run_head(s, t);
    }
    const int failed = s->lost ? s->lost : s->pending_error;
    s->pending_error = 0;
    return failed;
}

/* After an error that stays: nothing that was enqueued happens. */
void sim_drop_all(sim_runtime *s) {
    for (uc_stream *t = s->streams; t; t = t->next)
        while (t->count) {
            const sim_work *w = &t->queue[t->first++];
            if (w->kind == SIM_RECORD && w->event) w->event->done = w->ticket;
            if (w->kind == SIM_EXEC && w->exec) w->exec->pending--;
            t->count--;
        }
}

void sim_forget_handle(sim_runtime *s, const void *handle) {
    for (uc_stream *t = s->streams; t; t = t->next)
        for (size_t i = t->first; i < t->first + t->count; i++) {
            if (t->queue[i].event == handle) t->queue[i].event = NULL;
            if (t->queue[i].exec == handle) t->queue[i].exec = NULL;
        }
}

/* ---- enqueueing -------------------------------------------------------------------------------------------------- */

static int push(sim_runtime *s, uc_stream *t, const sim_work *w) {
    if (t->first + t->count == t->capacity) {
        if (t->first) memmove(t->queue, t->queue + t->first, t->count * sizeof *t->queue);
        t->first = 0;
        if (t->count == t->capacity) {
            const size_t capacity = t->capacity ? 2 * t->capacity : 64;
            sim_work *grown = realloc(t->queue, capacity * sizeof *grown);
            if (!grown) return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
            t->queue = grown;
            t->capacity = capacity;
        }
    }
    t->queue[t->first + t->count++] = *w;
    return 0;
}

static int check_stream(sim_runtime *s, const uc_stream *stream) {
    for (const uc_stream *t = s->streams; t; t = t->next)
        if (t == stream) {
            if (t->device == s->current) return 0;
            return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "a stream of device %d while device %d is current",
                              t->device, s->current);
        }
    return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "%s stream", stream ? "an unknown or freed" : "the default");
}

/* The accesses of w have been collected and checked. */
int sim_enqueue(sim_runtime *s, uc_stream *stream, sim_work *w) {
    int failed = check_stream(s, stream);
    w->device = s->current;
    if (!failed && stream->capture) return sim_capture(s, stream, w);
    if (failed) return failed;
    sim_clock_merge(&stream->clock, &s->host);
    stream->clock.tick[stream->index] = ++s->ticks[stream->index];
    failed = w->exec ? sim_order_accesses(s, stream, w->exec->access, w->exec->access_count)
                     : sim_order_accesses(s, stream, w->access, w->access_count);
    if (!failed) failed = push(s, stream, w);
    if (!failed && w->exec) w->exec->pending++;
    return failed;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static int stream_new(uc_runtime *rt, uc_stream **stream) {
    sim_runtime *s = sim_of(rt);
    *stream = NULL;
    const int failed = sim_call(s, "stream_new");
    if (failed) return failed;
    int index = 0;
    while (index < SIM_MAX_STREAMS && s->stream_index_used[index]) index++;
    uc_stream *t = index < SIM_MAX_STREAMS ? calloc(1, sizeof *t) : NULL;
    if (!t) return UC_CUDA_MemoryAllocation;
    t->device = s->current;
    t->index = index;
    t->next = s->streams;
    s->streams = t;
    s->stream_index_used[index] = true;
    *stream = t;
    return 0;
}

static int stream_free(uc_runtime *rt, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "stream_free");
    for (uc_stream **at = &s->streams; *at; at = &(*at)->next) {
        if (*at != stream) continue;
        if (stream->count)
            failed = sim_misuse(s, UC_CUDA_InvalidResourceHandle, "stream_free: work is still enqueued on the stream");
        *at = stream->next;
        s->stream_index_used[stream->index] = false;
        free(stream->queue);
        free(stream);
        return failed;
    }
    return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "stream_free: the stream is unknown or was freed before");
}

static int stream_sync(uc_runtime *rt, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "stream_sync");
    if (!failed) failed = check_stream(s, stream);
    if (!failed && stream->capture)
        failed = sim_misuse(s, UC_CUDA_StreamCaptureUnsupported, "stream_sync while the stream is captured");
    if (failed) return failed;
    failed = sim_run_until(s, stream, NULL, 0);
    sim_clock_merge(&s->host, &stream->clock);
    sim_forget_ordered(s);
    return failed;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static int check_event(sim_runtime *s, const uc_event *event) {
    for (const uc_event *e = s->events; e; e = e->next)
        if (e == event) return 0;
    return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "an unknown or freed event");
}

static int event_new(uc_runtime *rt, uc_event **event, bool timed) {
    sim_runtime *s = sim_of(rt);
    *event = NULL;
    const int failed = sim_call(s, "event_new");
    if (failed) return failed;
    uc_event *e = calloc(1, sizeof *e);
    if (!e) return UC_CUDA_MemoryAllocation;
    e->device = s->current;
    e->timed = timed;
    e->next = s->events;
    s->events = e;
    *event = e;
    return 0;
}

static int event_free(uc_runtime *rt, uc_event *event) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "event_free");
    for (uc_event **at = &s->events; *at; at = &(*at)->next) {
        if (*at != event) continue;
        if (event->done < event->recorded)
            failed = sim_misuse(s, UC_CUDA_InvalidResourceHandle, "event_free: the event is still to be reached");
        *at = event->next;
        sim_forget_handle(s, event);
        free(event);
        return failed;
    }
    return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "event_free: the event is unknown or was freed before");
}

static int event_record(uc_runtime *rt, uc_event *event, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "event_record");
    if (!failed) failed = check_event(s, event);
    if (!failed) failed = check_stream(s, stream);
    if (failed) return failed;
    if (stream->capture) return sim_capture_record(s, stream, event);
    sim_work w = { .kind = SIM_RECORD, .event = event, .ticket = event->recorded + 1 };
    failed = sim_enqueue(s, stream, &w);
    if (failed) return failed;
    event->recorded++;
    event->clock = stream->clock;
    return 0;
}

static int event_wait(uc_runtime *rt, uc_stream *stream, uc_event *event) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "event_wait");
    if (!failed) failed = check_event(s, event);
    if (!failed) failed = check_stream(s, stream);
    if (failed) return failed;
    if (stream->capture || event->capture) return sim_capture_wait(s, stream, event);
    sim_work w = { .kind = SIM_WAIT, .event = event, .ticket = event->recorded };
    sim_clock_merge(&stream->clock, &event->clock);
    return sim_enqueue(s, stream, &w);
}

static int event_sync(uc_runtime *rt, uc_event *event) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "event_sync");
    if (!failed) failed = check_event(s, event);
    if (!failed && event->capture)
        failed = sim_misuse(s, UC_CUDA_CapturedEvent, "event_sync of an event that was last recorded in a capture");
    if (failed) return failed;
    failed = sim_run_until(s, NULL, event, event->recorded);
    sim_clock_merge(&s->host, &event->clock);
    sim_forget_ordered(s);
    return failed;
}

static int event_seconds(uc_runtime *rt, uc_event *from, uc_event *to, double *seconds) {
    sim_runtime *s = sim_of(rt);
    *seconds = 0;
    int failed = sim_call(s, "event_seconds");
    if (!failed) failed = check_event(s, from);
    if (!failed) failed = check_event(s, to);
    if (failed) return failed;
    if (!from->timed || !to->timed || !from->recorded || !to->recorded)
        return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "event_seconds: an event without time or never recorded");
    if (from->done < from->recorded || to->done < to->recorded)
        return sim_misuse(s, UC_CUDA_NotReady, "event_seconds: an event that has not been reached");
    *seconds = to->seconds - from->seconds;
    return 0;
}

void sim_stream_functions(uc_runtime *table) {
    table->stream_new = stream_new;
    table->stream_free = stream_free;
    table->stream_sync = stream_sync;
    table->event_new = event_new;
    table->event_free = event_free;
    table->event_record = event_record;
    table->event_wait = event_wait;
    table->event_sync = event_sync;
    table->event_seconds = event_seconds;
}

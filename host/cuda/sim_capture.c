/* sim_capture.c - captured lists of the simulated runtime (see sim.h): work with its parameters as they were, and what
 * each piece comes after, by stream order and by events. */
#include <stdlib.h>
#include <string.h>

#include "sim_parts.h"

/* ---- recording --------------------------------------------------------------------------------------------------- */

static int join(sim_runtime *s, sim_after *into, const sim_after *more) {
    for (int i = 0; i < more->count; i++) {
        bool known = false;
        for (int k = 0; k < into->count; k++) known = known || into->index[k] == more->index[i];
        if (known) continue;
        if (into->count == SIM_MAX_AFTER)
            return sim_misuse(s, UC_CUDA_StreamCaptureUnsupported, "more than %d branches meet", (int)SIM_MAX_AFTER);
        into->index[into->count++] = more->index[i];
    }
    return 0;
}

int sim_capture(sim_runtime *s, uc_stream *stream, sim_work *w) {
    uc_exec *e = stream->capture;
    if (w->exec) return sim_misuse(s, UC_CUDA_StreamCaptureUnsupported, "a captured list launched inside a capture");
    if (e->count == e->capacity) {
        const int capacity = e->capacity ? 2 * e->capacity : 64;
        sim_work *grown = realloc(e->work, (size_t)capacity * sizeof *grown);
        if (!grown) return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
        e->work = grown;
        e->capacity = capacity;
    }
    w->after = stream->after;
    e->work[e->count] = *w;
    stream->after = (sim_after){ .index = { e->count }, .count = 1 };
    e->count++;
    return 0;
}

int sim_capture_record(sim_runtime *s, uc_stream *stream, uc_event *event) {
    (void)s;
    event->capture = stream->capture;
    event->after = stream->after;
    return 0;
}

int sim_capture_wait(sim_runtime *s, uc_stream *stream, uc_event *event) {
    if (!event->capture)
        return sim_misuse(s, UC_CUDA_StreamCaptureIsolation, "a captured stream waits for an event from outside");
    if (stream->capture && stream->capture != event->capture)
        return sim_misuse(s, UC_CUDA_StreamCaptureMerge, "a captured stream waits for an event of another capture");
    if (!stream->capture) stream->after = (sim_after){ .count = 0 };
    stream->capture = event->capture;
    return join(s, &stream->after, &event->after);
}

static int capture_begin(uc_runtime *rt, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    const int failed = sim_call(s, "capture_begin");
    if (failed) return failed;
    if (!stream || stream->device != s->current)
        return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "capture_begin: not a stream of the current device");
    if (stream->capture) return sim_misuse(s, UC_CUDA_IllegalState, "capture_begin: the stream is captured already");
    uc_exec *e = calloc(1, sizeof *e);
    if (!e) return UC_CUDA_MemoryAllocation;
    e->device = s->current;
    e->origin = stream;
    e->next = s->execs;
    s->execs = e;
    stream->capture = e;
    stream->after = (sim_after){ .count = 0 };
    return 0;
}

/* ---- making it ready --------------------------------------------------------------------------------------------- */

static bool comes_before(const uc_exec *e, int a, const sim_after *after) {
    for (int i = 0; i < after->count; i++)
        if (after->index[i] == a || (after->index[i] > a && comes_before(e, a, &e->work[after->index[i]].after)))
            return true;
    return false;
}

/* Every branch has come back to the stream that was captured first. */
static int check_joined(sim_runtime *s, const uc_exec *e) {
    for (const uc_stream *t = s->streams; t; t = t->next) {
        if (t->capture != e || t == e->origin) continue;
        for (int i = 0; i < t->after.count; i++)
            if (!comes_before(e, t->after.index[i], &e->origin->after))
                return sim_misuse(s, UC_CUDA_StreamCaptureUnjoined, "capture_end: a branch was not joined again");
    }
    return 0;
}

static int by_place(const void *pa, const void *pb) {
    const sim_access *a = pa, *b = pb;
    if (a->block->serial != b->block->serial) return a->block->serial < b->block->serial ? -1 : 1;
    if (a->write != b->write) return a->write ? -1 : 1;
    return a->begin < b->begin ? -1 : a->begin > b->begin;
}

/* All accesses, those that meet made one. */
static int merge_accesses(sim_runtime *s, uc_exec *e) {
    int count = 0;
    for (int i = 0; i < e->count; i++) count += e->work[i].access_count;
    e->access = malloc(((size_t)count + 1) * sizeof *e->access);
    if (!e->access) return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
    count = 0;
    for (int i = 0; i < e->count; i++) {
        memcpy(e->access + count, e->work[i].access, (size_t)e->work[i].access_count * sizeof *e->access);
        count += e->work[i].access_count;
    }
    qsort(e->access, (size_t)count, sizeof *e->access, by_place);
    for (int i = 0; i < count; i++) {
        sim_access *last = e->access_count ? &e->access[e->access_count - 1] : NULL;
        const sim_access *a = &e->access[i];
        if (last && last->block == a->block && last->write == a->write && a->begin <= last->end) {
            if (a->end > last->end) last->end = a->end;
        } else {
            e->access[e->access_count++] = *a;
        }
    }
    return 0;
}

static void leave_capture(sim_runtime *s, const uc_exec *e) {
    for (uc_stream *t = s->streams; t; t = t->next)
        if (t->capture == e) t->capture = NULL;
    for (uc_event *v = s->events; v; v = v->next)
        if (v->capture == e) v->capture = NULL;
}

void sim_delete_exec(uc_exec *e) {
    free(e->work);
    free(e->access);
    free(e);
}

static void unlink_exec(sim_runtime *s, uc_exec *exec) {
    for (uc_exec **at = &s->execs; *at; at = &(*at)->next)
        if (*at == exec) {
            *at = exec->next;
            break;
        }
    leave_capture(s, exec);
    sim_forget_handle(s, exec);
    sim_delete_exec(exec);
}

static int capture_end(uc_runtime *rt, uc_stream *stream, uc_exec **exec) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "capture_end");
    *exec = NULL;
    uc_exec *e = stream ? stream->capture : NULL;
    if (!e) return failed ? failed : sim_misuse(s, UC_CUDA_IllegalState, "capture_end: the stream is not captured");
    if (!failed && e->origin != stream)
        failed = sim_misuse(s, UC_CUDA_StreamCaptureUnmatched, "capture_end: on another stream than capture_begin");
    if (!failed) failed = check_joined(s, e);
    if (!failed) failed = sim_order_captured(s, e);
    if (!failed) failed = merge_accesses(s, e);
    leave_capture(s, e);
    if (failed) {
        unlink_exec(s, e);
        return failed;
    }
    e->ready = true;
    s->counts.captures++;
    *exec = e;
    return 0;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static int find_exec(sim_runtime *s, const uc_exec *exec, const char *call) {
    for (const uc_exec *e = s->execs; e; e = e->next)
        if (e == exec && e->ready) return 0;
    return sim_misuse(s, UC_CUDA_InvalidResourceHandle, "%s: the captured list is unknown or was freed", call);
}

static int exec_launch(uc_runtime *rt, uc_exec *exec, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "exec_launch");
    if (!failed) failed = find_exec(s, exec, "exec_launch");
    if (failed) return failed;
    sim_work w = { .kind = SIM_EXEC, .exec = exec };
    s->counts.replays++;
    return sim_enqueue(s, stream, &w);
}

static int exec_free(uc_runtime *rt, uc_exec *exec) {
    sim_runtime *s = sim_of(rt);
    int failed = sim_call(s, "exec_free");
    const int unknown = find_exec(s, exec, "exec_free");
    if (unknown) return unknown;
    if (exec->pending && !s->lost)
        failed = sim_misuse(s, UC_CUDA_InvalidResourceHandle, "exec_free: a launch of it is still enqueued");
    unlink_exec(s, exec);
    return failed;
}

static bool is_chain(const uc_exec *e) {
    for (int i = 1; i < e->count; i++)
        if (e->work[i].after.count != 1 || e->work[i].after.index[0] != i - 1) return false;
    return true;
}

static bool can_run(const uc_exec *e, const bool *done, int i) {
    if (done[i]) return false;
    for (int k = 0; k < e->work[i].after.count; k++)
        if (!done[e->work[i].after.index[k]]) return false;
    return true;
}

static int run_in_some_order(sim_runtime *s, const uc_exec *e, bool *done) {
    int failed = 0;
    for (int left = e->count; left > 0 && !failed; left--) {
        int ready = 0, chosen = -1;
        for (int i = 0; i < e->count; i++)
            if (can_run(e, done, i) && sim_random(s) % (uint64_t)++ready == 0) chosen = i;
        failed = sim_run_work(s, &e->work[chosen]);
        done[chosen] = true;
    }
    return failed;
}

int sim_run_exec(sim_runtime *s, const uc_exec *e) {
    int failed = 0;
    if (!s->options.seed || is_chain(e)) {
        for (int i = 0; i < e->count && !failed; i++) failed = sim_run_work(s, &e->work[i]);
        return failed;
    }
    bool *done = calloc((size_t)e->count + 1, sizeof *done);
    if (!done) return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
    failed = run_in_some_order(s, e, done);
    free(done);
    return failed;
}

void sim_capture_functions(uc_runtime *table) {
    table->capture_begin = capture_begin;
    table->capture_end = capture_end;
    table->exec_launch = exec_launch;
    table->exec_free = exec_free;
}

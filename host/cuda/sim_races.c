/* sim_races.c - finds work of the simulated runtime (see sim.h) that nothing orders and that touches the same bytes.
 * Each stream counts its work; a clock says how far every other stream was known to be. */
#include <stdlib.h>
#include <string.h>

#include "sim_parts.h"

void sim_clock_merge(sim_clock *into, const sim_clock *from) {
    for (int i = 0; i < SIM_MAX_STREAMS; i++)
        if (from->tick[i] > into->tick[i]) into->tick[i] = from->tick[i];
}

static bool overlaps(size_t begin_a, size_t end_a, size_t begin_b, size_t end_b) {
    return begin_a < end_b && begin_b < end_a;
}

static int check_touches(sim_runtime *s, const uc_stream *stream, const sim_access *a) {
    const sim_block *b = a->block;
    for (size_t i = 0; i < b->touch_count; i++) {
        const sim_touch *t = &b->touches[i];
        if (t->stream == stream->index || t->tick <= stream->clock.tick[t->stream]) continue;
        if (!(t->write || a->write) || !overlaps(t->begin, t->end, a->begin, a->end)) continue;
        return sim_misuse(s, UC_CUDA_IllegalState,
                          "race: %s (%s) and %s (%s) touch the same bytes of block %llu on streams that nothing orders",
                          a->what, a->write ? "writes" : "reads", t->what, t->write ? "writes" : "reads",
                          (unsigned long long)b->serial);
    }
    return 0;
}

static int note_touch(sim_runtime *s, const uc_stream *stream, const sim_access *a, uint64_t tick) {
    sim_block *b = a->block;
    for (size_t i = 0; i < b->touch_count; i++) {
        sim_touch *t = &b->touches[i];
        if (t->stream != stream->index || t->write != a->write || t->begin != a->begin || t->end != a->end) continue;
        t->tick = tick;
        t->what = a->what;
        return 0;
    }
    if (b->touch_count == b->touch_capacity) {
        const size_t capacity = b->touch_capacity ? 2 * b->touch_capacity : 16;
        sim_touch *grown = realloc(b->touches, capacity * sizeof *grown);
        if (!grown) return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
        b->touches = grown;
        b->touch_capacity = capacity;
    }
    b->touches[b->touch_count++] = (sim_touch){ .begin = a->begin, .end = a->end, .tick = tick,
                                                .stream = stream->index, .write = a->write, .what = a->what };
    return 0;
}

/* The stream's clock has been advanced to this work. */
int sim_order_accesses(sim_runtime *s, uc_stream *stream, const sim_access *access, int count) {
    int failed = 0;
    for (int i = 0; i < count && !failed; i++) failed = check_touches(s, stream, &access[i]);
    for (int i = 0; i < count && !failed; i++)
        failed = note_touch(s, stream, &access[i], stream->clock.tick[stream->index]);
    return failed;
}

/* What the host has waited for comes before everything that is still to be enqueued. */
void sim_forget_ordered(sim_runtime *s) {
    for (size_t i = 0; i < s->block_count; i++) {
        sim_block *b = s->blocks[i];
        size_t kept = 0;
        for (size_t k = 0; k < b->touch_count; k++)
            if (b->touches[k].tick > s->host.tick[b->touches[k].stream]) b->touches[kept++] = b->touches[k];
        b->touch_count = kept;
    }
}

/* ---- captured lists ---------------------------------------------------------------------------------------------- */

static bool conflict(const sim_work *a, const sim_work *b, const sim_access **in_a, const sim_access **in_b) {
    for (int i = 0; i < a->access_count; i++)
        for (int k = 0; k < b->access_count; k++) {
            const sim_access *x = &a->access[i], *y = &b->access[k];
            if (x->block != y->block || !(x->write || y->write)) continue;
            if (!overlaps(x->begin, x->end, y->begin, y->end)) continue;
            *in_a = x;
            *in_b = y;
            return true;
        }
    return false;
}

/* Bit k of row i: work k comes before work i. Dependencies point backwards, so one pass closes the relation. */
static uint64_t *reachable(const uc_exec *e, size_t words) {
    uint64_t *row = calloc((size_t)e->count * words + 1, sizeof *row);
    for (int i = 0; row && i < e->count; i++)
        for (int k = 0; k < e->work[i].after.count; k++) {
            const int j = e->work[i].after.index[k];
            for (size_t w = 0; w < words; w++) row[(size_t)i * words + w] |= row[(size_t)j * words + w];
            row[(size_t)i * words + (size_t)j / 64] |= (uint64_t)1 << (j % 64);
        }
    return row;
}

int sim_order_captured(sim_runtime *s, uc_exec *e) {
    const size_t words = ((size_t)e->count + 63) / 64;
    uint64_t *before = reachable(e, words);
    int failed = before ? 0 : sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
    for (int i = 0; i < e->count && !failed; i++)
        for (int k = 0; k < i && !failed; k++) {
            const sim_access *x, *y;
            if (before[(size_t)i * words + (size_t)k / 64] >> (k % 64) & 1) continue;
            if (!conflict(&e->work[i], &e->work[k], &x, &y)) continue;
            failed =
                sim_misuse(s, UC_CUDA_IllegalState,
                           "race: captured %s and %s touch the same bytes and nothing orders them", x->what, y->what);
        }
    free(before);
    return failed;
}

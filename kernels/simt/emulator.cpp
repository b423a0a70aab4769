/* emulator.cpp - see emulator.h: runs the blocks of a launch one after the other, their threads as fibers, and is as strict
 * as a device at its worst moment. Shared memory starts as NaN; a collective waits for exactly the lanes of its mask;
 * a barrier that not all threads reach is named with the places where each of them waits; what a device refuses to
 * launch is refused; copies land as late as they may. */
#include "emulator.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "fiber.h"

namespace simt {

enum : size_t {
    STATIC_LIMIT = 48 * 1024,       /* and of both kinds together without opting in */
    DYNAMIC_LIMIT = 99 * 1024,      /* with opting in, static included: sm_86's, the least of our devices */
    RED_ZONE = 128,
    ARENA = DYNAMIC_LIMIT + STATIC_LIMIT + 64 * RED_ZONE
};
enum { MOST_THREADS = 1024, MOST_SITES = 32, WARP = 32 };

enum thread_state { READY, AT_BLOCK, AT_WARP, DONE };

struct pending_copy {
    copy what;
    int group;
};

struct thread {
    thread_state state;
    uint3 index;
    place at;
    uint32_t mask;
    collective_fn fn;
    deposit words;
    std::vector<pending_copy> copies;
    int groups; /* committed so far */
};

struct site_use {
    const shared_site *site;
    size_t offset;
};

/* Everything of one OS thread. */
struct machine {
    simt_order order;
    uint64_t random;
    simt_submit submit;
    void *submit_user;
    simt_counters count;
    char error[1024];
    std::vector<std::pair<const void *, size_t>> allowed;

    const launch_shape *shape; /* of the launch that runs now */
    size_t shared_allowed;
    const closure *body;
    uint3 block;
    fiber_context *pool;
    std::vector<thread> threads;
    int running, live;
    bool failed;
    unsigned char *arena;
    site_use sites[MOST_SITES];
    int site_count;
    size_t shared_used;
    char token_start, token_end, token_block, token_warp[WARP]; /* addresses for TSan */

    ~machine() { std::free(arena); }
};

static machine &self() {
    static thread_local machine m;
    return m;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void set_error(machine &m, const char *format, ...) {
    m.failed = true;
    if (m.error[0]) return;
    va_list args;
    va_start(args, format);
    std::vsnprintf(m.error, sizeof m.error, format, args);
    va_end(args);
}

static const char *short_name(const char *file) {
    const char *slash = std::strrchr(file, '/');
    return slash ? slash + 1 : file;
}

[[noreturn]] void fail(place at, const char *message) {
    machine &m = self();
    const uint3 b = m.block, t = m.threads[(size_t)m.running].index;
    set_error(m, "%s, block (%u,%u,%u), thread (%u,%u,%u): %s at %s:%d: %s", m.shape->kernel, b.x, b.y, b.z, t.x, t.y,
              t.z, at.what, short_name(at.file), at.line, message);
    memory_release(&m.token_end);
    fiber_leave(m.pool, m.running, FIBER_FAILED);
    std::abort(); /* a failed launch resumes nobody */
}

/* ---- where a thread is ------------------------------------------------------------------------------------------- */

static thread &me() { return self().threads[(size_t)self().running]; }
const uint3 &thread_index() { return me().index; }
const uint3 &block_index() { return self().block; }
const dim3 &block_size() { return self().shape->block; }
const dim3 &grid_size() { return self().shape->grid; }
int lane_index() { return self().running % WARP; }

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* To the scheduler, which may never come back: after a deadlock what was done so far counts as done. */
static void wait(machine &m) {
    memory_release(&m.token_end);
    fiber_leave(m.pool, m.running, FIBER_WAITS);
}

void block_barrier(place at) {
    machine &m = self();
    thread &t = me();
    t.at = at;
    t.state = AT_BLOCK;
    memory_release(&m.token_block);
    wait(m);
    memory_acquire(&m.token_block);
}

static void copy_words(uint32_t *to, const void *from, size_t bytes) {
    const volatile uint32_t *words = static_cast<const volatile uint32_t *>(from);
    for (size_t i = 0; i < bytes / 4; i++) to[i] = words[i];
}

void collective(uint32_t mask, collective_fn fn, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                bool orders, place at) {
    machine &m = self();
    thread &t = me();
    const int warp = m.running / WARP;
    if (!(mask >> (m.running % WARP) & 1u)) fail(at, "the calling lane is not in its own mask");
    t.at = at;
    t.mask = mask;
    t.fn = fn;
    t.state = AT_WARP;
    copy_words(t.words.in, in, in_bytes);
    if (orders) memory_release(&m.token_warp[warp]);
    wait(m);
    if (orders) memory_acquire(&m.token_warp[warp]);
    copy_words(static_cast<uint32_t *>(out), t.words.out, out_bytes);
}

void async_push(const copy &c, place at) {
    if (reinterpret_cast<uintptr_t>(c.to) % c.bytes || reinterpret_cast<uintptr_t>(c.from) % c.bytes)
        fail(at, "an address is not aligned to the size of the copy");
    me().copies.push_back({ c, me().groups });
}

void async_commit() { me().groups++; }

bool async_next(int left, copy *c) {
    thread &t = me();
    if (t.copies.empty() || (left >= 0 && t.copies.front().group >= t.groups - left)) return false;
    *c = t.copies.front().what;
    t.copies.erase(t.copies.begin());
    return true;
}

/* ---- shared memory ----------------------------------------------------------------------------------------------- */

/* Not memset, which TSan would take for an access of whoever runs now. */
static void fill_with_nan(unsigned char *at, size_t bytes) {
    for (volatile unsigned char *p = at; p < at + bytes; p++) *p = 0xFF;
}

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

static void reset_shared(machine &m) {
    if (!m.arena) m.arena = static_cast<unsigned char *>(std::aligned_alloc(RED_ZONE, ARENA));
    memory_allow(m.arena, ARENA);
    fill_with_nan(m.arena, m.shape->dynamic_bytes);
    m.site_count = 0;
    m.shared_used = round_up(m.shape->dynamic_bytes, RED_ZONE) + RED_ZONE;
    memory_forbid(m.arena + m.shape->dynamic_bytes, ARENA - m.shape->dynamic_bytes);
}

void *dynamic_shared() { return self().arena; }

static size_t static_bytes(const machine &m) {
    size_t sum = 0;
    for (int i = 0; i < m.site_count; i++) sum += m.sites[i].site->bytes;
    return sum;
}

void *static_shared(const shared_site *site) {
    machine &m = self();
    for (int i = 0; i < m.site_count; i++)
        if (m.sites[i].site == site) return m.arena + m.sites[i].offset;
    const size_t all = static_bytes(m) + site->bytes;
    const place at = { "static shared memory", site->name, 0 };
    if (m.site_count == MOST_SITES) fail(at, "more arrays than the emulator counts");
    if (all > STATIC_LIMIT) fail(at, "more than 48 KB");
    if (all + m.shape->dynamic_bytes > m.shared_allowed) fail(at, "more than the launch allows, dynamic included");
    const size_t offset = m.shared_used;
    m.sites[m.site_count++] = { site, offset };
    m.shared_used = round_up(offset + site->bytes, RED_ZONE) + RED_ZONE;
    memory_allow(m.arena + offset, site->bytes);
    fill_with_nan(m.arena + offset, site->bytes);
    return m.arena + offset;
}

/* ---- scheduling -------------------------------------------------------------------------------------------------- */

static void thread_main() {
    machine &m = self();
    fiber_begin(m.pool, m.running);
    memory_acquire(&m.token_start);
    m.body->call(m.body->self);
    memory_release(&m.token_end);
    if (!me().copies.empty()) fail({ "exit", "kernel", 0 }, "copies are still in flight");
    me().state = DONE;
    m.live--;
    fiber_leave(m.pool, m.running, FIBER_FINISHED);
    std::abort(); /* nobody resumes a thread that has ended */
}

static void resume(machine &m, int i) {
    m.running = i;
    m.count.switches++;
    fiber_enter(m.pool, i);
}

static uint64_t next_random(machine &m) {
    uint64_t z = m.random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* 0 ... count - 1 in the order that is set. */
static void make_order(machine &m, int *order, int count) {
    for (int i = 0; i < count; i++) order[i] = m.order == SIMT_REVERSE ? count - 1 - i : i;
    for (int i = count - 1; i > 0 && m.order == SIMT_RANDOM; i--)
        std::swap(order[i], order[next_random(m) % (uint64_t)(i + 1)]);
}

static bool same_place(const place &a, const place &b) { return a.line == b.line && !std::strcmp(a.file, b.file); }

/* Lanes of the warp that wait in the same instruction as lane `leader`. */
static uint32_t companions(const machine &m, int first, int lanes, int leader) {
    const thread &l = m.threads[(size_t)(first + leader)];
    uint32_t group = 0;
    for (int i = 0; i < lanes; i++) {
        const thread &t = m.threads[(size_t)(first + i)];
        if (t.state == AT_WARP && t.mask == l.mask && t.fn == l.fn && same_place(t.at, l.at)) group |= 1u << i;
    }
    return group;
}

/* Runs the collectives of a warp that are complete; whether there was one. */
static bool run_collectives(machine &m, int first, int lanes) {
    uint32_t alive = 0, seen = 0;
    for (int i = 0; i < lanes; i++)
        if (m.threads[(size_t)(first + i)].state != DONE) alive |= 1u << i;
    bool any = false;
    for (int i = 0; i < lanes; i++) {
        if (m.threads[(size_t)(first + i)].state != AT_WARP || seen >> i & 1u) continue;
        const uint32_t group = companions(m, first, lanes, i);
        seen |= group;
        if (m.threads[(size_t)(first + i)].mask & alive & ~group) continue;
        deposit *deposits[WARP];
        for (int k = 0; k < WARP; k++) deposits[k] = group >> k & 1u ? &m.threads[(size_t)(first + k)].words : nullptr;
        m.threads[(size_t)(first + i)].fn(deposits);
        for (int k = 0; k < lanes; k++)
            if (group >> k & 1u) m.threads[(size_t)(first + k)].state = READY;
        m.count.collectives++;
        any = true;
    }
    return any;
}

/* Runs a warp until all its lanes wait for others; in random order only a part of the way, so that warps interleave. */
static bool run_warp(machine &m, int warp) {
    const int count = (int)m.threads.size(), first = warp * WARP;
    const int lanes = count - first < WARP ? count - first : WARP;
    bool progress = false, again = true;
    while (again) {
        int order[WARP];
        make_order(m, order, lanes);
        for (int i = 0; i < lanes; i++) {
            if (m.threads[(size_t)(first + order[i])].state != READY) continue;
            resume(m, first + order[i]);
            if (m.failed) return false;
            progress = true;
        }
        again = run_collectives(m, first, lanes);
        progress |= again;
        again = again && m.order != SIMT_RANDOM;
    }
    return progress;
}

/* "threads 0-31 and 64 wait at __syncthreads (file.cu:10)" for each place where some wait. */
static void name_deadlock(machine &m, const char *what) {
    char text[768];
    size_t used = 0;
    std::vector<bool> told(m.threads.size());
    for (size_t i = 0; i < m.threads.size() && used < sizeof text - 1; i++) {
        const thread &t = m.threads[i];
        if (t.state == DONE || told[i]) continue;
        used += (size_t)std::snprintf(text + used, sizeof text - used, "%sthreads", used ? "; " : "");
        for (size_t k = i, last; k < m.threads.size() && used < sizeof text; k = last + 1) {
            last = k;
            const auto same = [&](const thread &o) {
                return o.state == t.state && same_place(o.at, t.at) && (t.state != AT_WARP || o.mask == t.mask);
            };
            if (!same(m.threads[k])) continue;
            while (last + 1 < m.threads.size() && same(m.threads[last + 1])) last++;
            for (size_t j = k; j <= last; j++) told[j] = true;
            used += (size_t)std::snprintf(text + used, sizeof text - used, last > k ? " %zu-%zu" : " %zu", k, last);
        }
        if (used >= sizeof text) break;
        used += (size_t)std::snprintf(text + used, sizeof text - used, " wait at %s (%s:%d)", t.at.what,
                                      short_name(t.at.file), t.at.line);
        if (t.state == AT_WARP && used < sizeof text)
            used += (size_t)std::snprintf(text + used, sizeof text - used, " with mask 0x%08x", t.mask);
    }
    set_error(m, "%s, block (%u,%u,%u): %s: %s", m.shape->kernel, m.block.x, m.block.y, m.block.z, what, text);
}

/* All that live stand at __syncthreads: lets them go, if it is the same one. */
static void release_block(machine &m) {
    const place *at = nullptr;
    for (const thread &t : m.threads)
        if (t.state == AT_BLOCK) {
            if (at && !same_place(*at, t.at)) return name_deadlock(m, "mismatched barriers");
            at = &t.at;
        }
    for (thread &t : m.threads)
        if (t.state == AT_BLOCK) t.state = READY;
}

static void start_threads(machine &m) {
    const dim3 b = m.shape->block;
    m.threads.resize((size_t)b.x * b.y * b.z);
    m.live = (int)m.threads.size();
    for (int i = 0; i < m.live; i++) {
        thread &t = m.threads[(size_t)i];
        const unsigned u = (unsigned)i;
        t.state = READY;
        t.index = { u % b.x, u / b.x % b.y, u / (b.x * b.y) };
        t.copies.clear();
        t.groups = 0;
        fiber_prepare(m.pool, i, thread_main);
    }
}

static void run_block(machine &m) {
    m.count.blocks++;
    reset_shared(m);
    start_threads(m);
    memory_release(&m.token_start);
    const int warps = ((int)m.threads.size() + WARP - 1) / WARP;
    while (m.live && !m.failed) {
        int order[MOST_THREADS / WARP];
        make_order(m, order, warps);
        bool progress = false;
        for (int w = 0; w < warps && !m.failed; w++) progress |= run_warp(m, order[w]);
        if (m.failed || !m.live) break;
        int at_block = 0;
        for (const thread &t : m.threads) at_block += t.state == AT_BLOCK;
        if (at_block == m.live) release_block(m);
        else if (!progress) name_deadlock(m, "deadlock");
    }
    memory_acquire(&m.token_end);
    memory_allow(m.arena, ARENA);
}

/* ---- launches ---------------------------------------------------------------------------------------------------- */

static size_t allowed_for(const machine &m, const void *function) {
    for (const auto &a : m.allowed)
        if (a.first == function) return a.second > STATIC_LIMIT ? a.second : STATIC_LIMIT;
    return STATIC_LIMIT;
}

void allow_shared(const void *function, size_t bytes) {
    machine &m = self();
    if (bytes > DYNAMIC_LIMIT) {
        set_error(m, "%zu bytes of shared memory asked for, the device has %zu a block", bytes, (size_t)DYNAMIC_LIMIT);
        return;
    }
    for (auto &a : m.allowed)
        if (a.first == function) {
            a.second = bytes;
            return;
        }
    m.allowed.push_back({ function, bytes });
}

static bool launchable(machine &m, const launch_shape &s) {
    const dim3 g = s.grid, b = s.block;
    const size_t threads = (size_t)b.x * b.y * b.z, allowed = allowed_for(m, s.function);
    if (!threads || threads > MOST_THREADS || b.x > 1024 || b.y > 1024 || b.z > 64)
        set_error(m, "%s: a block of (%u,%u,%u) threads, the limit is 1024", s.kernel, b.x, b.y, b.z);
    else if (!g.x || !g.y || !g.z || g.x > 0x7FFFFFFFu || g.y > 65535 || g.z > 65535)
        set_error(m, "%s: a grid of (%u,%u,%u) blocks, the limits are (2147483647,65535,65535)", s.kernel, g.x, g.y,
                  g.z);
    else if (s.dynamic_bytes > allowed)
        set_error(m, "%s: %zu bytes of dynamic shared memory, %zu are allowed", s.kernel, s.dynamic_bytes, allowed);
    return !m.failed;
}

} // namespace simt

struct simt_launch {
    simt::launch_shape shape;
    size_t shared_allowed;
    simt::closure body;
};

namespace simt {

void submit(const launch_shape &shape, void *stream, const closure &body) {
    machine &m = self();
    if (m.error[0] || !launchable(m, shape)) {
        body.destroy(body.self);
        return;
    }
    simt_launch *launch = new simt_launch{ shape, allowed_for(m, shape.function), body };
    if (m.submit) {
        m.submit(m.submit_user, stream, launch);
        return;
    }
    (void)simt_run(launch);
    simt_free(launch);
}

/* Blocks are independent, whatever order they run in. */
static uint3 block_at(const machine &m, uint64_t i, uint64_t count, uint64_t offset) {
    const dim3 g = m.shape->grid;
    if (m.order == SIMT_REVERSE) i = count - 1 - i;
    if (m.order == SIMT_RANDOM) i = (i + offset) % count;
    return { (unsigned)(i % g.x), (unsigned)(i / g.x % g.y), (unsigned)(i / ((uint64_t)g.x * g.y)) };
}

static int run(const simt_launch *launch) {
    machine &m = self();
    m.failed = m.error[0] != 0;
    if (m.failed) return 1;
    const dim3 g = launch->shape.grid, b = launch->shape.block;
    m.pool = fiber_pool((int)(b.x * b.y * b.z));
    if (!m.pool) {
        set_error(m, "%s: no memory for %u stacks", launch->shape.kernel, b.x * b.y * b.z);
        return 1;
    }
    m.shape = &launch->shape;
    m.shared_allowed = launch->shared_allowed;
    m.body = &launch->body;
    m.count.launches++;
    const uint64_t count = (uint64_t)g.x * g.y * g.z, offset = next_random(m) % count;
    for (uint64_t i = 0; i < count && !m.failed; i++) {
        m.block = block_at(m, i, count, offset);
        run_block(m);
    }
    return m.failed;
}

} // namespace simt

extern "C" {

void simt_set_order(simt_order order, uint64_t seed) {
    simt::self().order = order;
    simt::self().random = seed;
}

const char *simt_error(void) { return simt::self().error; }

void simt_clear_error(void) {
    simt::self().error[0] = 0;
    simt::self().failed = false;
}

simt_counters simt_count(void) { return simt::self().count; }

void simt_set_submit(simt_submit submit, void *user) {
    simt::self().submit = submit;
    simt::self().submit_user = user;
}

int simt_run(const simt_launch *launch) { return simt::run(launch); }

void simt_free(simt_launch *launch) {
    launch->body.destroy(launch->body.self);
    delete launch;
}

const char *simt_kernel_name(const simt_launch *launch) { return launch->shape.kernel; }
}

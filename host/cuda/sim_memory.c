/* sim_memory.c - the simulated devices' memories (see sim.h): what is allocated where, and what a pointer may be used
 * for. An address of a device lies in a range that is reserved and closed to the host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "sim_parts.h"

static const size_t RESERVED = (size_t)1 << 41;
enum { ALIGN = 256, GUARD = 4096 };

/* Live blocks win: the host's allocator gives addresses out again. */
sim_block *sim_find(const sim_runtime *s, const void *address) {
    const uintptr_t at = (uintptr_t)address;
    sim_block *found = NULL;
    for (size_t i = s->block_count; i-- > 0;) {
        sim_block *b = s->blocks[i];
        if (at < b->address || at >= b->address + (b->bytes ? b->bytes : 1)) continue;
        if (b->data) return b;
        if (!found) found = b;
    }
    return found;
}

void *sim_real(const sim_access *a) { return a->block->data + a->begin; }

int sim_add_access(sim_runtime *s, sim_work *w, const void *at, size_t bytes, bool write, const char *what) {
    if (!bytes) return 0;
    if (w->access_count == SIM_MAX_ACCESSES) return sim_misuse(s, UC_CUDA_InvalidValue, "%s: too many operands", what);
    sim_block *b = sim_find(s, at);
    if (!b)
        return sim_misuse(s, UC_CUDA_IllegalAddress, "%s: %p is neither a device's memory nor from host_alloc", what,
                          at);
    const size_t begin = (uintptr_t)at - b->address;
    w->access[w->access_count++] =
        (sim_access){ .block = b, .begin = begin, .end = begin + bytes, .write = write, .what = what };
    return 0;
}

/* device: whose work it is, -1 where the bytes must be the host's. */
int sim_check_access(sim_runtime *s, const sim_access *a, int device) {
    const sim_block *b = a->block;
    if (!b->data)
        return sim_misuse(s, UC_CUDA_IllegalAddress, "%s: block %llu of %zu bytes is used after its release", a->what,
                          (unsigned long long)b->serial, b->bytes);
    if (device < 0 && b->device >= 0)
        return sim_misuse(s, UC_CUDA_InvalidMemcpyDirection, "%s: memory of device %d where the host's is expected",
                          a->what, b->device);
    if (device >= 0 && b->device < 0)
        return sim_misuse(s, UC_CUDA_IllegalAddress, "%s: the host's memory where device %d's is expected", a->what,
                          device);
    if (device >= 0 && b->device != device && !s->device[device].peer[b->device])
        return sim_misuse(s, UC_CUDA_IllegalAddress, "%s: memory of device %d used by device %d", a->what, b->device,
                          device);
    if (a->end > b->bytes)
        return sim_misuse(s, UC_CUDA_IllegalAddress, "%s: bytes %zu to %zu of a block of %zu", a->what, a->begin,
                          a->end, b->bytes);
    return 0;
}

/* ---- allocating -------------------------------------------------------------------------------------------------- */

static sim_block *new_block(sim_runtime *s, int device, size_t bytes) {
    if (s->block_count == s->block_capacity) {
        const size_t capacity = s->block_capacity ? 2 * s->block_capacity : 64;
        sim_block **grown = realloc(s->blocks, capacity * sizeof *grown);
        if (!grown) return NULL;
        s->blocks = grown;
        s->block_capacity = capacity;
    }
    sim_block *b = calloc(1, sizeof *b);
    void *data = NULL;
    if (!b || posix_memalign(&data, ALIGN, bytes ? bytes : 1)) {
        free(b);
        return NULL;
    }
    memset(data, 0xFF, bytes);
    *b = (sim_block){ .bytes = bytes, .data = data, .device = device, .serial = ++s->serial,
                      .address = (uintptr_t)data };
    s->blocks[s->block_count++] = b;
    return b;
}

static bool reserve_addresses(sim_device *d) {
    if (d->base) return true;
    void *at = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    d->base = at == MAP_FAILED ? 0 : (uintptr_t)at;
    return d->base != 0;
}

static int alloc_device(uc_runtime *rt, void **at, size_t bytes) {
    sim_runtime *s = sim_of(rt);
    sim_device *d = &s->device[s->current];
    *at = NULL;
    const int failed = sim_call(s, "alloc");
    if (failed) return failed;
    const size_t room = (bytes + ALIGN - 1) / ALIGN * ALIGN + GUARD;
    const bool fits = bytes <= s->options.device_bytes - d->used && d->next_offset + room <= RESERVED;
    sim_block *b = fits && reserve_addresses(d) ? new_block(s, s->current, bytes) : NULL;
    if (!b) {
        snprintf(s->detail, sizeof s->detail, "%zu bytes where %llu of %llu are free", bytes,
                 (unsigned long long)(s->options.device_bytes - d->used), (unsigned long long)s->options.device_bytes);
        return UC_CUDA_MemoryAllocation;
    }
    b->address = d->base + d->next_offset;
    d->next_offset += room;
    d->used += bytes;
    if (d->used > s->counts.most_bytes) s->counts.most_bytes = d->used;
    *at = (void *)b->address;
    return 0;
}

static int alloc_host(uc_runtime *rt, void **at, size_t bytes) {
    sim_runtime *s = sim_of(rt);
    *at = NULL;
    const int failed = sim_call(s, "host_alloc");
    if (failed) return failed;
    const sim_block *b = new_block(s, -1, bytes);
    if (!b) return UC_CUDA_MemoryAllocation;
    *at = b->data;
    return 0;
}

/* ---- releasing --------------------------------------------------------------------------------------------------- */

/* Work on it that nobody has waited for, whether it has been run already or not: on a device it may not have been. */
static const sim_touch *unfinished(const sim_runtime *s, const sim_block *b) {
    for (size_t i = 0; i < b->touch_count && !s->lost; i++)
        if (b->touches[i].tick > s->host.tick[b->touches[i].stream]) return &b->touches[i];
    return NULL;
}

static int release_block(sim_runtime *s, void *at, bool host, int failed) {
    if (!at) return failed;
    sim_block *b = sim_find(s, at);
    const char *what = host ? "host_release" : "release";
    if (!b || b->address != (uintptr_t)at || (b->device < 0) != host)
        return sim_misuse(s, UC_CUDA_InvalidValue, "%s: %p was never allocated here", what, at);
    if (!b->data)
        return sim_misuse(s, UC_CUDA_InvalidValue, "%s: block %llu of %zu bytes was released before", what,
                          (unsigned long long)b->serial, b->bytes);
    const sim_touch *t = unfinished(s, b);
    if (t)
        failed = sim_misuse(s, UC_CUDA_IllegalAddress, "%s: block %llu of %zu bytes is used by work that nobody has "
                            "waited for: %s", what, (unsigned long long)b->serial, b->bytes, t->what);
    if (b->device >= 0) s->device[b->device].used -= b->bytes;
    free(b->data);
    free(b->touches);
    b->data = NULL;
    b->touches = NULL;
    b->touch_count = b->touch_capacity = 0;
    return failed;
}

/* Errors of earlier work are told here as elsewhere, but the memory is given back. */
static int release_device(uc_runtime *rt, void *at) {
    return release_block(sim_of(rt), at, false, sim_call(sim_of(rt), "release"));
}

static int release_host(uc_runtime *rt, void *at) {
    return release_block(sim_of(rt), at, true, sim_call(sim_of(rt), "host_release"));
}

void sim_free_blocks(sim_runtime *s) {
    for (size_t i = 0; i < s->block_count; i++) {
        free(s->blocks[i]->data);
        free(s->blocks[i]->touches);
        free(s->blocks[i]);
    }
    free(s->blocks);
    for (int d = 0; d < SIM_MAX_DEVICES; d++)
        if (s->device[d].base) munmap((void *)s->device[d].base, RESERVED);
}

static int memory_info(uc_runtime *rt, uint64_t *free_bytes, uint64_t *total_bytes) {
    sim_runtime *s = sim_of(rt);
    const int failed = sim_call(s, "memory_info");
    *free_bytes = *total_bytes = 0;
    if (failed) return failed;
    *total_bytes = s->options.device_bytes;
    *free_bytes = s->options.device_bytes - s->device[s->current].used;
    return 0;
}

void sim_memory_functions(uc_runtime *table) {
    table->alloc = alloc_device;
    table->release = release_device;
    table->host_alloc = alloc_host;
    table->host_release = release_host;
    table->memory_info = memory_info;
}

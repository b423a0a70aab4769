/* failing.c - see failing.h. */
#include "failing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *at, size_t bytes);
int __real_posix_memalign(void **at, size_t alignment, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void __real_free(void *at);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *at, size_t bytes);
int __wrap_posix_memalign(void **at, size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *at);

/* A table of what is allocated: open addressing, freed places marked. */
enum { PLACES = 1 << 18 };
static void *places[PLACES];
static char freed_mark;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool counting, fail_for_ever;
static uint64_t fail_at;
static failing_result result;

static size_t place_of(const void *at) { return ((uintptr_t)at >> 4) * 0x9E3779B97F4A7C15u >> 46; }

void failing_begin(uint64_t fail, bool for_ever) {
    pthread_mutex_lock(&lock);
    memset(places, 0, sizeof places);
    result = (failing_result){ 0 };
    fail_at = fail;
    fail_for_ever = for_ever;
    counting = true;
    pthread_mutex_unlock(&lock);
}

failing_result failing_end(void) {
    pthread_mutex_lock(&lock);
    counting = false;
    const failing_result r = result;
    pthread_mutex_unlock(&lock);
    return r;
}

/* Whether this allocation is to fail. */
static bool fails(void) {
    pthread_mutex_lock(&lock);
    bool failing = false;
    if (counting) {
        result.allocations++;
        failing = fail_at && (fail_for_ever ? result.allocations >= fail_at : result.allocations == fail_at);
        result.failed += failing;
    }
    pthread_mutex_unlock(&lock);
    return failing;
}

static void *remember(void *at) {
    if (!at) return NULL;
    pthread_mutex_lock(&lock);
    if (counting) {
        size_t i = place_of(at);
        while (places[i] && places[i] != &freed_mark) i = (i + 1) % PLACES;
        places[i] = at;
        result.left++;
    }
    pthread_mutex_unlock(&lock);
    return at;
}

static void forget(void *at) {
    if (!at) return;
    pthread_mutex_lock(&lock);
    if (counting) {
        size_t i = place_of(at);
        while (places[i] && places[i] != at) i = (i + 1) % PLACES;
        if (places[i]) result.left--;
        if (places[i]) places[i] = &freed_mark;
    }
    pthread_mutex_unlock(&lock);
}

void *__wrap_malloc(size_t bytes) { return fails() ? NULL : remember(__real_malloc(bytes)); }

void *__wrap_calloc(size_t count, size_t bytes) { return fails() ? NULL : remember(__real_calloc(count, bytes)); }

void *__wrap_realloc(void *at, size_t bytes) {
    if (fails()) return NULL;
    forget(at);
    return remember(__real_realloc(at, bytes));
}

int __wrap_posix_memalign(void **at, size_t alignment, size_t bytes) {
    if (fails()) return 12;
    const int failed = __real_posix_memalign(at, alignment, bytes);
    if (!failed) remember(*at);
    return failed;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return fails() ? NULL : remember(__real_aligned_alloc(alignment, bytes));
}

char *__wrap_strdup(const char *text) {
    const size_t bytes = strlen(text) + 1;
    char *copy = __wrap_malloc(bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void __wrap_free(void *at) {
    forget(at);
    __real_free(at);
}

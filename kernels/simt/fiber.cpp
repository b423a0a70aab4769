/* fiber.cpp - see fiber.h. The switch saves what the System V ABI says a callee keeps; elsewhere than on x86-64, or with
 * SIMT_UCONTEXT, ucontext does it with a system call.
 *
 * Lessons that cost time: the sanitizers must hear of every switch before and after it; stacks are unpoisoned before
 * they are used again, because a fiber that ended in a deadlock never left its frames; TSan's fibers are made once and
 * kept with their stack, and are switched without its implied synchronisation, which would hide every race. */
#include "fiber.h"

#include <cstdint>
#include <sys/mman.h>

#if !defined(__x86_64__) && !defined(SIMT_UCONTEXT)
#define SIMT_UCONTEXT 1
#endif
#if SIMT_UCONTEXT
#include <ucontext.h>
#endif

#if SIMT_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *address);
void __tsan_release(void *address);
}
#endif
#ifdef __SANITIZE_ADDRESS__
extern "C" {
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom_old, size_t *size_old);
void __asan_unpoison_memory_region(const volatile void *address, size_t size);
void __asan_poison_memory_region(const volatile void *address, size_t size);
}
#endif

namespace simt {

enum : size_t {
    GUARD = 4096,
#ifdef __SANITIZE_ADDRESS__
    STACK = 256 * 1024 - GUARD /* redzones make frames several times larger */
#else
    STACK = 64 * 1024 - GUARD
#endif
};
enum : size_t { OUTERMOST = 8192 }; /* more than the frames that a finished fiber leaves behind */
enum { MOST_FIBERS = 1024, TSAN_NO_SYNC = 1 };

struct fiber_state {
    char *stack;
#if SIMT_UCONTEXT
    ucontext_t context;
#else
    void *stack_pointer;
#endif
    void *tsan;
    bool abandoned; /* with frames on its stack that never returned */
};

struct fiber_context {
    fiber_state fiber[MOST_FIBERS];
    int count;
#if SIMT_UCONTEXT
    ucontext_t scheduler;
#else
    void *scheduler;
#endif
    void *scheduler_tsan;
    const void *scheduler_stack; /* as ASan knows it */
    size_t scheduler_stack_size;

    ~fiber_context() {
        for (int i = 0; i < count; i++) {
#if SIMT_TSAN
            __tsan_destroy_fiber(fiber[i].tsan);
#endif
            munmap(fiber[i].stack - GUARD, STACK + GUARD);
        }
    }
};

#if !SIMT_UCONTEXT
extern "C" void simt_switch(void **save, void *load);
__asm__(".text\n"
        ".globl simt_switch\n"
        ".type simt_switch,@function\n"
        "simt_switch:\n"
        " pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        " movq %rsp,(%rdi)\n"
        " movq %rsi,%rsp\n"
        " popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
        " ret\n"
        ".size simt_switch,.-simt_switch\n");
#endif

/* A page that cannot be touched lies below each stack, so that a kernel with too many locals stops at once. */
static bool add_fiber(fiber_context *pool) {
    void *memory = mmap(nullptr, STACK + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    (void)mprotect(memory, GUARD, PROT_NONE);
    fiber_state *f = &pool->fiber[pool->count++];
    f->stack = static_cast<char *>(memory) + GUARD;
#if SIMT_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    return true;
}

fiber_context *fiber_pool(int count) {
    static thread_local fiber_context pool;
    while (pool.count < count)
        if (!add_fiber(&pool)) return nullptr;
#if SIMT_TSAN
    pool.scheduler_tsan = __tsan_get_current_fiber();
#endif
    return &pool;
}

void fiber_prepare(fiber_context *pool, int i, void (*entry)()) {
    fiber_state *f = &pool->fiber[i];
    const size_t used = f->abandoned ? (size_t)STACK : (size_t)OUTERMOST;
    memory_allow(f->stack + STACK - used, used);
    f->abandoned = true;
#if SIMT_UCONTEXT
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
#else
    void **top = reinterpret_cast<void **>(f->stack + STACK);
    *--top = nullptr; /* the return address of entry, which keeps the stack aligned as behind a call */
    *--top = reinterpret_cast<void *>(entry);
    for (int k = 0; k < 6; k++) *--top = nullptr;
    f->stack_pointer = top;
#endif
}

void fiber_enter(fiber_context *pool, int i) {
    fiber_state *f = &pool->fiber[i];
#if SIMT_TSAN
    __tsan_switch_to_fiber(f->tsan, TSAN_NO_SYNC);
#endif
#ifdef __SANITIZE_ADDRESS__
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, f->stack, STACK);
#endif
#if SIMT_UCONTEXT
    swapcontext(&pool->scheduler, &f->context);
#else
    simt_switch(&pool->scheduler, f->stack_pointer);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void fiber_begin(fiber_context *pool, int i) {
    (void)pool, (void)i;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &pool->scheduler_stack, &pool->scheduler_stack_size);
#endif
}

void fiber_leave(fiber_context *pool, int i, fiber_exit how) {
    fiber_state *f = &pool->fiber[i];
    f->abandoned = how != FIBER_FINISHED;
#if SIMT_TSAN
    __tsan_switch_to_fiber(pool->scheduler_tsan, TSAN_NO_SYNC);
#endif
#ifdef __SANITIZE_ADDRESS__
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(how == FIBER_WAITS ? &fake : nullptr, pool->scheduler_stack, pool->scheduler_stack_size);
#endif
#if SIMT_UCONTEXT
    swapcontext(&f->context, &pool->scheduler);
#else
    simt_switch(&f->stack_pointer, pool->scheduler);
#endif
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, &pool->scheduler_stack, &pool->scheduler_stack_size);
#endif
}

#if SIMT_TSAN
void memory_acquire(void *token) { __tsan_acquire(token); }
void memory_release(void *token) { __tsan_release(token); }
#endif

void memory_forbid(void *begin, size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(begin, bytes);
#endif
    (void)begin, (void)bytes;
}

void memory_allow(void *begin, size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(begin, bytes);
#endif
    (void)begin, (void)bytes;
}

} // namespace simt

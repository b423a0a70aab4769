/* fiber.h - one CUDA thread as a stack of its own on one OS thread, and the switch between them, told to the sanitizers. */
#ifndef UC_SIMT_FIBER_H
#define UC_SIMT_FIBER_H

#include <cstddef>

namespace simt {

struct fiber_context; /* a fiber's place in the pool of its OS thread */

/* The pool of this OS thread with at least `count` stacks; NULL when memory is short. It lives as long as the thread. */
fiber_context *fiber_pool(int count);

/* Makes fiber i ready to enter `entry`, which must never return; its stack is as good as new. */
void fiber_prepare(fiber_context *pool, int i, void (*entry)());

void fiber_enter(fiber_context *pool, int i); /* from the scheduler; returns when the fiber leaves */
enum fiber_exit { FIBER_WAITS, FIBER_FINISHED, FIBER_FAILED };
void fiber_leave(fiber_context *pool, int i, fiber_exit how); /* from the fiber */
void fiber_begin(fiber_context *pool, int i); /* the first thing that an entry function does */

/* Order of memory, for TSan alone: what happened before a release is seen behind a later acquire of the same token. */
#if SIMT_TSAN
void memory_acquire(void *token);
void memory_release(void *token);
#else
inline void memory_acquire(void *) {}
inline void memory_release(void *) {}
#endif

/* For ASan alone: memory that must not, or may again, be touched. */
void memory_forbid(void *begin, size_t bytes);
void memory_allow(void *begin, size_t bytes);

} // namespace simt
#endif

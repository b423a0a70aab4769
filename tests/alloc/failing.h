/* failing.h - memory that runs out when a test wants it to. The linker sends the library's calls of malloc, calloc, realloc,
 * strdup, posix_memalign, aligned_alloc and free here (--wrap); other libraries keep theirs. */
#ifndef UC_TESTS_ALLOC_FAILING_H
#define UC_TESTS_ALLOC_FAILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on allocations are counted and remembered. Number `fail`, counted from 1, fails, and with for_ever all that
 * follow it; 0: none. */
void failing_begin(uint64_t fail, bool for_ever);

typedef struct failing_result { uint64_t allocations, failed, left; } failing_result; /* left: not freed */
failing_result failing_end(void);

#endif

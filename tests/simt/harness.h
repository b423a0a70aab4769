/* harness.h - tests without a framework: Criterion's memory does not go together with TSan, and the same cases are to run on
 * machines that have a GPU and few packages. */
#ifndef UC_TESTS_SIMT_HARNESS_H
#define UC_TESTS_SIMT_HARNESS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* SIMT_TEST(name) { ... } registers itself; the program's arguments choose tests by name, none means all. */
#define SIMT_TEST(name) \
    static void test_##name(void); \
    __attribute__((constructor)) static void register_##name(void) { simt_register(#name, test_##name); } \
    static void test_##name(void)

void simt_register(const char *name, void (*run)(void));

/* A failed expectation is told and counted; the test goes on, unless UC_STOP is in the environment. */
void simt_expect(bool holds, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define expect(condition, ...) simt_expect((condition), __FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif

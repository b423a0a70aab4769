/* harness.c - see harness.h. */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 128, MOST_TOLD = 10 };
static struct { const char *name; void (*run)(void); } tests[MOST];
static int count, failures;

void simt_register(const char *name, void (*run)(void)) {
    if (count == MOST) return;
    tests[count].name = name;
    tests[count++].run = run;
}

void simt_expect(bool holds, const char *file, int line, const char *format, ...) {
    if (holds || failures++ >= MOST_TOLD) return;
    va_list args;
    va_start(args, format);
    printf("%s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    if (getenv("UC_STOP")) exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool chosen(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name)) return true;
    return argc < 2;
}

int main(int argc, char **argv) {
    int passed = 0, failed = 0;
    for (int i = 0; i < count; i++) {
        if (!chosen(tests[i].name, argc, argv)) continue;
        const double start = now();
        failures = 0;
        tests[i].run();
        if (failures) failed++;
        else passed++;
        printf("%s %s (%.2f s)", failures ? "FAILED" : "passed", tests[i].name, now() - start);
        printf(failures ? ", %d expectations\n" : "\n", failures);
        fflush(stdout);
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || !passed;
}

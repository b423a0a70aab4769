/* golden.h - recorded tensors for tests, and comparison with them. */
#ifndef UC_TESTS_GOLDEN_H
#define UC_TESTS_GOLDEN_H

#include "weights/safetensors.h"

typedef struct golden_file { uc_safetensors file; } golden_file;

/* path is relative to tests/goldens. A file or tensor that is not there fails the running test. */
golden_file golden_open(const char *format, ...) __attribute__((format(printf, 1, 2)));
void golden_close(golden_file *g);
const uc_param *golden_find(const golden_file *g, const char *name); /* NULL when absent */
const uc_param *golden_get(const golden_file *g, const char *name);
int64_t golden_count(const uc_param *p);
float *golden_floats(const uc_param *p);    /* converted copy, released with free */
int32_t *golden_ints(const uc_param *p);    /* likewise */

/* Largest |got - want| over the largest |want|; fails the test when that exceeds `most` or something is not finite. */
void golden_expect_close(const char *what, const float *got, const uc_param *want, double most);

#endif

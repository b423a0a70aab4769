/* driver.h - fills a case of cases.h with seeded numbers, runs kernels on it, and checks what must hold of any
 * kernel of the flow: the reference's result within tolerance, every element written, the same bytes for any number
 * of threads, and the same bytes for an image alone as in its batch. */
#ifndef UC_TESTS_OPS_DRIVER_H
#define UC_TESTS_OPS_DRIVER_H

#include "cases.h"

/* A case with its operands in memory. */
typedef struct op_data {
    op_case c;
    uc_launch launch; /* inputs filled; outputs and scratch absent */
} op_data;

void op_data_fill(op_data *d, const op_case *c, uint64_t seed);
void op_data_free(op_data *d);

/* A way to execute launches. prepare may be NULL; it gets the launch without the outputs' memory and returns what run
 * wants, or sets skipped when this way cannot do the case. */
typedef struct op_way {
    const char *name;
    size_t (*scratch)(const struct op_way *way, const uc_launch *launch, void *prepared);
    void *(*prepare)(const struct op_way *way, const uc_launch *launch, bool *skipped);
    void (*run)(const struct op_way *way, const uc_launch *launch, void *prepared);
    void (*finish)(const struct op_way *way, void *prepared);
    int64_t user;
    double (*loses)(const struct op_way *way, const uc_launch *launch); /* see uc_compare; NULL: nothing */
    bool rounds_weight; /* input 1 of conv2d and matmul is rounded to the activations' type first */
} op_way;

/* Runs all the checks on one case; false with a message when one fails. */
enum { OP_MESSAGE = 1024 };
bool op_check(const op_case *c, const op_way *way, uint64_t seed, char message[OP_MESSAGE]);

#endif

/* cases.h - the list of operations with shapes, attributes and types on which kernels are tested and timed: every
 * arrow of the flow, at sizes that are awkward rather than typical.
 *
 * A case says what an operation gets; driver.h fills it with numbers and runs it. */
#ifndef UC_TESTS_OPS_CASES_H
#define UC_TESTS_OPS_CASES_H

#include "kernels/ops.h"

/* How activations are filled. */
typedef enum fill {
    FILL_NORMAL,   /* about N(0, 1), bounded */
    FILL_FAR,      /* mean 1000, deviation 1: what must not cancel */
    FILL_CONSTANT, /* variance zero */
    FILL_PEAKS,    /* mostly small with a few values of 30 */
    FILL_BROKEN    /* some are NaN, some infinite */
} fill;

typedef struct op_case {
    char name[112]; /* unique within the operation; the test takes it as UC_CASE */
    uc_op_kind kind;
    uc_attrs attrs;
    uc_layout layout; /* of the rank-4 operands that are activations */
    uc_dtype type, weight_type;
    uc_shape in[UC_MAX_INPUTS]; /* rank 0 = absent */
    uc_dtype in_type[UC_MAX_INPUTS];
    uc_shape out[UC_MAX_OUTPUTS];
    uc_dtype out_type;
    unsigned batched; /* bit i: input i has the batch as its first dimension; 0 = not a batch operation */
    unsigned weights; /* bit i: input i is a weight: small numbers */
    fill fill;
    uc_step step;
} op_case;

/* The cases of one operation; the array lives until the process ends. */
const op_case *op_cases(uc_op_kind kind, size_t *count);

#endif

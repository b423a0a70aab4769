/* compare.h - whether a kernel's result is the reference's, by the rule of ops.def; for run mode checked and the
 * tests of every operation of the flow. */
#ifndef UC_KERNELS_COMPARE_H
#define UC_KERNELS_COMPARE_H

#include "ops.h"

typedef struct uc_difference {
    bool found;                 /* an element is out of tolerance */
    int64_t index[UC_MAX_RANK]; /* the worst one, by logical position */
    double result, reference, tolerance;
    double worst; /* its error as a fraction of the tolerance; infinite for a NaN */
} uc_difference;

/* Both of one shape; layouts and types may differ. The tolerance is that of the operation at this type. loses: what a
 * way of computing may lose beyond that, as a part of the reference's root mean square; 0 for nearly all. */
uc_difference uc_compare(const uc_view *result, const uc_view *reference, uc_op_kind kind, uc_dtype type,
                         double loses);

/* The coarsest of the types in which an operation's activations are kept, which is the one that its tolerance is
 * for. */
uc_dtype uc_coarsest_type(const uc_launch *launch);

/* "element [0,3,1,2] is 1.5, reference 1.25, tolerance 0.001" */
enum { UC_DIFFERENCE_TEXT = 256 };
const char *uc_difference_text(const uc_difference *d, uc_shape shape, char buf[UC_DIFFERENCE_TEXT]);

#endif

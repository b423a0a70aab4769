/* rows.h - cases beyond the common list (tests/ops/cases.h): those that make every row of every table of specialisations
 * run, and for devices alone the ones in which a library might treat a batch otherwise than its images. */
#ifndef UC_TESTS_SIMT_ROWS_H
#define UC_TESTS_SIMT_ROWS_H

#include "tests/ops/cases.h"

/* Calls visit for each extra case of the operation. */
typedef void (*case_visitor)(void *user, const op_case *c);
void extra_cases(uc_op_kind kind, case_visitor visit, void *user);

#endif

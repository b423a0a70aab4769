/* case_list.h - how the files cases_*.c write the list of cases.h: each operation has a table of shapes, which is crossed
 * with the types that it must handle. */
#ifndef UC_TESTS_OPS_CASE_LIST_H
#define UC_TESTS_OPS_CASE_LIST_H

#include "cases.h"

typedef struct case_list {
    op_case *items;
    size_t count, capacity;
} case_list;

/* Activations and weights: what the engine meets. */
typedef struct types {
    uc_dtype type, weight;
    const char *name;
} types;
enum { ALL_TYPES = 5 };
extern const types all_types[ALL_TYPES];

/* Appends a copy, which may be completed until the next one is added. */
op_case *add_case(case_list *l, const op_case *c);
/* A case of one operation with all its values of the given types, without shapes. */
op_case blank(uc_op_kind kind, const types *t, uc_layout layout);
/* Makes input `slot` a weight. */
void set_weight(op_case *c, int slot, uc_shape shape);
/* Adds a case of an operation that moves a whole value: shape in, shape out. */
op_case *move_case(case_list *l, uc_op_kind kind, int t, uc_layout layout, uc_shape in, uc_shape out);

/* cases_conv2d(list) and so on: all the cases of one operation. */
#define UC_OP(name, inputs, atol, rtol, what) void cases_##name(case_list *l);
#include "kernels/ops.def"
#undef UC_OP

#endif

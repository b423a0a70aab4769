/* cases.c - see cases.h. The tables of shapes are in cases_*.c, by family. */
#include "case_list.h"

#include <stdio.h>
#include <stdlib.h>

const types all_types[ALL_TYPES] = { { UC_F32, UC_F32, "f32" },
                                     { UC_F32, UC_F16, "f32-wf16" },
                                     { UC_BF16, UC_BF16, "bf16" },
                                     { UC_F16, UC_F16, "f16" },
                                     { UC_BF16, UC_F16, "bf16-wf16" } };

op_case *add_case(case_list *l, const op_case *c) {
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 32;
        l->items = realloc(l->items, l->capacity * sizeof *l->items);
        if (!l->items) abort();
    }
    l->items[l->count] = *c;
    return &l->items[l->count++];
}

op_case blank(uc_op_kind kind, const types *t, uc_layout layout) {
    op_case c = { .kind = kind, .type = t->type, .weight_type = t->weight, .layout = layout, .out_type = t->type };
    for (int i = 0; i < UC_MAX_INPUTS; i++) c.in_type[i] = t->type;
    return c;
}

void set_weight(op_case *c, int slot, uc_shape shape) {
    c->in[slot] = shape;
    c->in_type[slot] = c->weight_type;
    c->weights |= 1u << slot;
}

op_case *move_case(case_list *l, uc_op_kind kind, int t, uc_layout layout, uc_shape in, uc_shape out) {
    op_case c = blank(kind, &all_types[t], layout);
    char a[UC_SHAPE_TEXT], b[UC_SHAPE_TEXT];
    c.in[0] = in;
    c.out[0] = out;
    if (all_types[t].type != all_types[t].weight) c.in_type[0] = UC_F16; /* a stored weight */
    snprintf(c.name, sizeof c.name, "%s %s -> %s%s", all_types[t].name, uc_shape_text(in, a), uc_shape_text(out, b),
             layout == UC_NHWC ? " nhwc" : "");
    return add_case(l, &c);
}
const op_case *op_cases(uc_op_kind kind, size_t *count) {
    static case_list lists[UC_OP_COUNT];
    static void (*const make[UC_OP_COUNT])(case_list *) = {
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = cases_##name,
#include "kernels/ops.def"
#undef UC_OP
    };
    if (!lists[kind].count) make[kind](&lists[kind]);
    *count = lists[kind].count;
    return lists[kind].items;
}

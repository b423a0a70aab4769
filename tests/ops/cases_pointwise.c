/* cases_pointwise.c - embeddings, and operations that work on each number by itself. */
#include "case_list.h"

#include <stdio.h>

void cases_embedding(case_list *l) {
    static const struct {
        int n, t, c, positions;
    } shapes[] = {
        { 1, 1, 1, 1 }, { 2, 77, 128, 1 }, { 3, 7, 33, 1 }, { 1, 32, 2050, 1 }, { 2, 5, 16, 0 }, { 1, 77, 768, 1 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_embedding, &all_types[t], UC_PLAIN);
            c.in[UC_EMB_IDS] = UC_SHAPE2(shapes[i].n, shapes[i].t);
            c.in_type[UC_EMB_IDS] = UC_I32;
            set_weight(&c, UC_EMB_TABLE, UC_SHAPE2(50, shapes[i].c));
            if (shapes[i].positions) set_weight(&c, UC_EMB_POSITIONS, UC_SHAPE2(shapes[i].t + 2, shapes[i].c));
            c.out[0] = UC_SHAPE3(shapes[i].n, shapes[i].t, shapes[i].c);
            c.batched = 1u << UC_EMB_IDS;
            snprintf(c.name, sizeof c.name, "%s %dx%d c%d%s", all_types[t].name, shapes[i].n, shapes[i].t, shapes[i].c,
                     shapes[i].positions ? "" : " no positions");
            add_case(l, &c);
        }
}

void cases_timestep(case_list *l) {
    static const struct {
        int n, dim;
        bool flip;
        float shift;
    } shapes[] = {
        { 1, 2, true, 0 },   { 25, 320, true, 0 }, { 3, 33, false, 1 },
        { 7, 16, false, 0 }, { 50, 64, true, 1 },  { 2, 2048, true, 0 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue; /* no weights here */
            op_case c = blank(UC_OP_timestep, &all_types[t], UC_PLAIN);
            c.attrs.timestep = (uc_timestep_attrs){ .flip_sin_to_cos = shapes[i].flip, .freq_shift = shapes[i].shift };
            c.in[0] = UC_SHAPE1(shapes[i].n);
            c.in_type[0] = UC_F32;
            c.out[0] = UC_SHAPE2(shapes[i].n, shapes[i].dim);
            c.batched = 1;
            snprintf(c.name, sizeof c.name, "%s n%d dim%d%s shift%g", all_types[t].name, shapes[i].n, shapes[i].dim,
                     shapes[i].flip ? " flip" : "", (double)shapes[i].shift);
            add_case(l, &c);
        }
}

void cases_activation(case_list *l) {
    static const uc_shape shapes[] = {
        { 2, { 1, 1 } }, { 2, { 3, 5 } }, { 3, { 2, 77, 128 } }, { 2, { 25, 1027 } }, { 4, { 2, 3, 17, 9 } },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int act = UC_ACT_NONE; act <= UC_QUICK_GELU; act++)
            for (int t = 0; t < ALL_TYPES; t++) {
                if (all_types[t].type != all_types[t].weight) continue;
                op_case c = blank(UC_OP_activation, &all_types[t], UC_NHWC);
                char text[UC_SHAPE_TEXT];
                c.attrs.activation.act = (uc_act)act;
                c.in[0] = c.out[0] = shapes[i];
                c.batched = 1;
                c.fill = i % 2 ? FILL_PEAKS : FILL_NORMAL;
                snprintf(c.name, sizeof c.name, "%s %s act%d", all_types[t].name, uc_shape_text(shapes[i], text), act);
                add_case(l, &c);
            }
}

void cases_add(case_list *l) {
    static const struct {
        uc_shape a, b;
        uc_layout layout;
    } shapes[] = {
        { { 2, { 1, 1 } }, { 2, { 1, 1 } }, UC_PLAIN },
        { { 3, { 2, 81, 128 } }, { 2, { 81, 128 } }, UC_PLAIN },
        { { 3, { 3, 7, 129 } }, { 1, { 129 } }, UC_PLAIN },
        { { 2, { 25, 1280 } }, { 2, { 1, 1280 } }, UC_PLAIN },
        { { 3, { 2, 5, 6 } }, { 3, { 2, 1, 6 } }, UC_PLAIN },
        { { 3, { 2, 5, 6 } }, { 3, { 2, 5, 6 } }, UC_PLAIN },
        { { 4, { 2, 5, 3, 7 } }, { 4, { 2, 5, 3, 7 } }, UC_NHWC },
        { { 4, { 2, 5, 3, 7 } }, { 3, { 5, 1, 1 } }, UC_NHWC },
        { { 4, { 2, 16, 9, 9 } }, { 4, { 1, 16, 1, 1 } }, UC_NHWC },
        { { 4, { 1, 16, 64, 64 } }, { 4, { 1, 16, 64, 64 } }, UC_NHWC },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_add, &all_types[t], shapes[i].layout);
            char a[UC_SHAPE_TEXT], b[UC_SHAPE_TEXT];
            c.in[0] = c.out[0] = shapes[i].a;
            c.in[1] = shapes[i].b;
            if (all_types[t].type != all_types[t].weight) c.in_type[1] = UC_F16; /* a stored weight */
            const bool same_batch = shapes[i].a.rank == shapes[i].b.rank && shapes[i].a.dim[0] == shapes[i].b.dim[0];
            c.batched = same_batch ? 3 : 1;
            snprintf(c.name, sizeof c.name, "%s %s + %s", all_types[t].name, uc_shape_text(shapes[i].a, a),
                     uc_shape_text(shapes[i].b, b));
            add_case(l, &c);
        }
}

void cases_scale_shift(case_list *l) {
    static const uc_shape shapes[] = { { 2, { 1, 1 } },     { 2, { 3, 128 } },   { 2, { 2, 1025 } },
                                       { 3, { 2, 7, 33 } }, { 2, { 100, 768 } }, { 3, { 1, 1, 7 } } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_scale_shift, &all_types[t], UC_PLAIN);
            char text[UC_SHAPE_TEXT];
            c.in[0] = c.out[0] = shapes[i];
            set_weight(&c, 1, UC_SHAPE1(shapes[i].dim[shapes[i].rank - 1]));
            set_weight(&c, 2, UC_SHAPE1(shapes[i].dim[shapes[i].rank - 1]));
            c.batched = 1;
            snprintf(c.name, sizeof c.name, "%s %s", all_types[t].name, uc_shape_text(shapes[i], text));
            add_case(l, &c);
        }
}

/* cases_moves.c - operations that move numbers rather than compute them: resampling of pictures, joining, cutting,
 * turning. */
#include "case_list.h"

#include <stdio.h>
#include <string.h>

void cases_resample(case_list *l) {
    static const struct {
        uc_resample_mode mode;
        int n, c, h, w, oh, ow;
    } shapes[] = {
        { UC_NEAREST, 1, 1, 1, 1, 2, 2 },     { UC_NEAREST, 2, 16, 9, 7, 18, 14 },
        { UC_NEAREST, 3, 3, 5, 5, 10, 10 },   { UC_NEAREST, 1, 24, 16, 16, 32, 32 },
        { UC_AVERAGE, 1, 1, 2, 2, 1, 1 },     { UC_AVERAGE, 2, 17, 6, 10, 3, 5 },
        { UC_AVERAGE, 3, 32, 16, 16, 8, 8 },  { UC_AVERAGE, 1, 8, 64, 48, 32, 24 },
        { UC_BICUBIC, 2, 3, 16, 16, 64, 64 }, { UC_BICUBIC, 1, 3, 64, 64, 16, 16 },
        { UC_BICUBIC, 3, 3, 13, 7, 29, 31 },  { UC_BICUBIC, 1, 4, 30, 20, 11, 13 },
        { UC_BICUBIC, 1, 1, 1, 1, 4, 4 },     { UC_BICUBIC, 1, 3, 17, 17, 17, 17 },
        { UC_AREA, 2, 3, 16, 16, 4, 4 },      { UC_AREA, 1, 5, 13, 7, 5, 3 },
        { UC_AREA, 1, 2, 6, 6, 9, 13 },       { UC_AREA, 1, 3, 1, 9, 1, 2 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++)
            for (int plain = 0; plain < 2; plain++) {
                if (all_types[t].type != all_types[t].weight) continue;
                op_case c = blank(UC_OP_resample, &all_types[t], plain ? UC_PLAIN : UC_NHWC);
                c.attrs.resample.mode = shapes[i].mode;
                c.in[0] = UC_SHAPE4(shapes[i].n, shapes[i].c, shapes[i].h, shapes[i].w);
                c.out[0] = UC_SHAPE4(shapes[i].n, shapes[i].c, shapes[i].oh, shapes[i].ow);
                c.batched = 1;
                snprintf(c.name, sizeof c.name, "%s mode%d n%d c%d %dx%d->%dx%d%s", all_types[t].name,
                         (int)shapes[i].mode, shapes[i].n, shapes[i].c, shapes[i].h, shapes[i].w, shapes[i].oh,
                         shapes[i].ow, plain ? " plain" : "");
                add_case(l, &c);
            }
}

void cases_concat(case_list *l) {
    static const struct {
        int rank, dim, parts;
        uc_layout layout;
        int64_t base[4], size[4];
    } shapes[] = {
        { 4, 1, 2, UC_NHWC, { 2, 0, 5, 7 }, { 8, 16 } },
        { 4, 1, 2, UC_NHWC, { 1, 0, 33, 9 }, { 3, 3 } },
        { 4, 1, 4, UC_NHWC, { 3, 0, 2, 2 }, { 1, 2, 3, 4 } },
        { 4, 1, 2, UC_NHWC, { 2, 0, 64, 64 }, { 16, 24 } },
        { 4, 0, 2, UC_NHWC, { 0, 5, 3, 3 }, { 2, 1 } },
        { 3, 1, 4, UC_PLAIN, { 2, 0, 128 }, { 77, 1, 1, 2 } },
        { 3, 1, 2, UC_PLAIN, { 3, 0, 33 }, { 4, 9 } },
        { 2, 0, 3, UC_PLAIN, { 0, 65 }, { 1, 2, 3 } },
        { 2, 1, 2, UC_PLAIN, { 4, 0 }, { 5, 6 } },
        { 4, 1, 2, UC_PLAIN, { 2, 0, 5, 7 }, { 3, 6 } },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_concat, &all_types[t], shapes[i].layout);
            char text[UC_SHAPE_TEXT];
            uc_shape s = { .rank = shapes[i].rank };
            memcpy(s.dim, shapes[i].base, sizeof s.dim);
            for (int k = 0; k < shapes[i].parts; k++) {
                c.in[k] = s;
                c.in[k].dim[shapes[i].dim] = shapes[i].size[k];
                s.dim[shapes[i].dim] += shapes[i].size[k];
            }
            if (all_types[t].type != all_types[t].weight)
                c.in_type[1] = UC_F16; /* a stored token beside computed ones */
            c.attrs.concat.dim = shapes[i].dim;
            c.out[0] = s;
            c.batched = shapes[i].dim == 1 ? 15 : 0;
            snprintf(c.name, sizeof c.name, "%s %d parts dim%d -> %s%s", all_types[t].name, shapes[i].parts,
                     shapes[i].dim, uc_shape_text(s, text), shapes[i].layout == UC_NHWC ? " nhwc" : "");
            add_case(l, &c);
        }
}

void cases_repeat(case_list *l) {
    static const struct {
        uc_shape s;
        int times;
    } shapes[] = {
        { { 2, { 1, 1 } }, 2 },  { { 4, { 2, 3, 5, 7 } }, 2 }, { { 3, { 1, 77, 128 } }, 4 },
        { { 2, { 3, 33 } }, 3 }, { { 1, { 9 } }, 5 },          { { 3, { 2, 1, 6 } }, 1 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            uc_shape out = shapes[i].s;
            out.dim[0] *= shapes[i].times;
            move_case(l, UC_OP_repeat, t, UC_NHWC, shapes[i].s, out)->attrs.repeat.times = shapes[i].times;
        }
}

void cases_select_row(case_list *l) {
    static const struct {
        int rows, c, index;
    } shapes[] = { { 1, 1, 0 }, { 25, 1280, 24 }, { 7, 33, 3 }, { 50, 64, 0 }, { 2, 2049, 1 }, { 3, 5, 1 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++)
            move_case(l, UC_OP_select_row, t, UC_PLAIN, UC_SHAPE2(shapes[i].rows, shapes[i].c),
                      UC_SHAPE2(1, shapes[i].c))
                ->step.index = shapes[i].index;
}

void cases_gather_token(case_list *l) {
    static const struct {
        int n, t, c, token;
    } shapes[] = { { 1, 1, 1, 0 },  { 2, 77, 128, -1 }, { 3, 81, 33, 80 },
                   { 3, 5, 7, -1 }, { 1, 50, 768, 0 },  { 2, 3, 2048, 2 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case *c = move_case(l, UC_OP_gather_token, t, UC_PLAIN, UC_SHAPE3(shapes[i].n, shapes[i].t, shapes[i].c),
                                   UC_SHAPE2(shapes[i].n, shapes[i].c));
            c->attrs.gather_token.token = shapes[i].token;
            c->batched = 3;
            if (shapes[i].token >= 0) continue;
            c->in[1] = UC_SHAPE1(shapes[i].n);
            c->in_type[1] = UC_I32;
        }
}

void cases_slice(case_list *l) {
    static const struct {
        uc_shape in;
        int dim;
        int64_t begin, size;
    } shapes[] = {
        { { 2, { 1, 1 } }, 0, 0, 1 },       { { 2, { 81, 128 } }, 0, 78, 3 }, { { 3, { 2, 81, 33 } }, 1, 78, 3 },
        { { 4, { 4, 3, 5, 7 } }, 0, 2, 2 }, { { 3, { 3, 7, 5 } }, 1, 0, 6 },  { { 2, { 4, 65 } }, 1, 1, 64 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            uc_shape out = shapes[i].in;
            out.dim[shapes[i].dim] = shapes[i].size;
            op_case *c = move_case(l, UC_OP_slice, t, UC_NHWC, shapes[i].in, out);
            c->attrs.slice = (uc_slice_attrs){ .dim = shapes[i].dim, .begin = shapes[i].begin };
            c->batched = shapes[i].dim == 1 ? 1 : 0;
        }
}

static void turning(case_list *l, uc_op_kind kind) {
    static const int shapes[][4] = { { 1, 1, 1, 1 },    { 2, 3, 5, 7 },   { 1, 64, 8, 8 },
                                     { 3, 130, 9, 11 }, { 2, 16, 65, 3 }, { 1, 6, 70, 130 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            const int *d = shapes[i];
            const uc_shape picture = UC_SHAPE4(d[0], d[1], d[2], d[3]), tokens = UC_SHAPE3(d[0], d[2] * d[3], d[1]);
            for (int plain = 0; plain < 2; plain++) {
                const uc_layout layout = plain ? UC_PLAIN : UC_NHWC;
                op_case *c = NULL;
                if (kind == UC_OP_image_to_tokens) c = move_case(l, kind, t, layout, picture, tokens);
                else if (kind == UC_OP_tokens_to_image) c = move_case(l, kind, t, layout, tokens, picture);
                else if (!plain) c = move_case(l, kind, t, UC_PLAIN, tokens, UC_SHAPE3(d[0], d[1], d[2] * d[3]));
                if (c) c->batched = 1;
            }
        }
}

void cases_transpose(case_list *l) { turning(l, UC_OP_transpose); }
void cases_image_to_tokens(case_list *l) { turning(l, UC_OP_image_to_tokens); }
void cases_tokens_to_image(case_list *l) { turning(l, UC_OP_tokens_to_image); }

/* The output has the other layout (see driver.c), and in half of the cases another type. */
void cases_reorder(case_list *l) {
    static const uc_shape shapes[] = { { 4, { 1, 1, 1, 1 } },    { 4, { 2, 3, 5, 7 } }, { 4, { 3, 70, 9, 9 } },
                                       { 4, { 1, 3, 64, 100 } }, { 2, { 5, 77 } },      { 3, { 2, 300, 300 } } };
    static const uc_dtype pairs[][2] = { { UC_F32, UC_F32 }, { UC_F32, UC_BF16 },  { UC_BF16, UC_F32 },
                                         { UC_F16, UC_F32 }, { UC_BF16, UC_BF16 }, { UC_F32, UC_F16 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
            for (int layout = UC_PLAIN; layout <= UC_NHWC; layout++) {
                op_case c = { .kind = UC_OP_reorder, .type = pairs[p][0], .layout = (uc_layout)layout, .batched = 1 };
                char text[UC_SHAPE_TEXT];
                c.in[0] = c.out[0] = shapes[i];
                c.in_type[0] = pairs[p][0];
                c.out_type = pairs[p][1];
                snprintf(c.name, sizeof c.name, "%s-%s %s from layout%d", uc_dtype_name(pairs[p][0]),
                         uc_dtype_name(pairs[p][1]), uc_shape_text(shapes[i], text), layout);
                add_case(l, &c);
            }
}

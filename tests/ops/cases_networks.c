/* cases_networks.c - what most of a network's time goes into: convolution, matmul, normalisation, attention. */
#include "case_list.h"

#include <stdio.h>

/* ---- convolution ------------------------------------------------------------------------------------------------- */

void cases_conv2d(case_list *l) {
    static const struct {
        int n, c, h, w, o, k, stride, pad, bias, residual;
    } shapes[] = {
        { 1, 1, 1, 1, 1, 1, 1, 0, 0, 0 },     { 1, 3, 5, 7, 4, 3, 1, 1, 1, 0 },
        { 2, 8, 9, 9, 8, 3, 1, 1, 1, 1 },     { 1, 16, 8, 8, 32, 3, 2, 1, 1, 0 },
        { 3, 6, 13, 11, 8, 3, 1, 1, 1, 0 },   { 2, 17, 6, 10, 19, 3, 1, 1, 1, 1 },
        { 1, 24, 33, 31, 48, 3, 1, 1, 1, 0 }, { 3, 32, 16, 16, 16, 1, 1, 0, 1, 1 },
        { 1, 40, 12, 12, 3, 3, 1, 1, 1, 0 },  { 2, 3, 32, 32, 64, 8, 8, 0, 0, 0 },
        { 1, 64, 16, 16, 64, 3, 1, 1, 1, 1 }, { 3, 128, 8, 8, 128, 3, 1, 1, 1, 1 },
        { 1, 192, 1, 1, 96, 1, 1, 0, 1, 0 },  { 2, 16, 1, 29, 33, 3, 1, 1, 1, 0 },
        { 1, 8, 70, 130, 8, 3, 1, 1, 1, 1 },  { 1, 24, 20, 20, 8, 5, 1, 2, 1, 0 },
        { 2, 320, 8, 8, 64, 3, 1, 1, 1, 0 },  { 1, 16, 15, 17, 24, 3, 2, 1, 0, 0 },
        { 2, 6, 64, 64, 16, 3, 1, 1, 1, 0 },  { 1, 48, 64, 64, 16, 3, 1, 1, 1, 1 },
        { 3, 160, 13, 9, 96, 3, 1, 1, 1, 1 }, { 2, 352, 3, 18, 192, 3, 1, 1, 1, 1 },
        { 2, 32, 25, 40, 64, 3, 1, 1, 0, 0 }, { 3, 448, 13, 9, 96, 3, 1, 1, 1, 1 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            const int n = shapes[i].n, k = shapes[i].k, stride = shapes[i].stride, pad = shapes[i].pad;
            op_case c = blank(UC_OP_conv2d, &all_types[t], UC_NHWC);
            c.attrs.conv2d = (uc_conv2d_attrs){ .stride = stride, .pad = pad };
            c.in[UC_CONV_X] = UC_SHAPE4(n, shapes[i].c, shapes[i].h, shapes[i].w);
            c.out[0] = UC_SHAPE4(n, shapes[i].o, (shapes[i].h + 2 * pad - k) / stride + 1,
                                 (shapes[i].w + 2 * pad - k) / stride + 1);
            set_weight(&c, UC_CONV_WEIGHT, UC_SHAPE4(shapes[i].o, shapes[i].c, k, k));
            if (shapes[i].bias) set_weight(&c, UC_CONV_BIAS, UC_SHAPE1(shapes[i].o));
            if (shapes[i].residual) c.in[UC_CONV_RESIDUAL] = c.out[0];
            c.batched = 1u << UC_CONV_X | 1u << UC_CONV_RESIDUAL;
            snprintf(c.name, sizeof c.name, "%s n%d %d->%d %dx%d k%d s%d%s", all_types[t].name, n, shapes[i].c,
                     shapes[i].o, shapes[i].h, shapes[i].w, k, stride, shapes[i].residual ? " residual" : "");
            add_case(l, &c);
        }
}

/* ---- matmul ------------------------------------------------------------------------------------------------------ */

void cases_matmul(case_list *l) {
    static const struct {
        int n, rows, in, out, bias, residual;
        uc_act act;
    } shapes[] = {
        { 1, 1, 1, 1, 0, 0, UC_ACT_NONE },      { 1, 1, 64, 128, 1, 0, UC_SILU },
        { 2, 3, 128, 128, 1, 1, UC_ACT_NONE },  { 2, 81, 128, 512, 1, 0, UC_GELU },
        { 3, 77, 96, 33, 1, 0, UC_QUICK_GELU }, { 1, 257, 40, 56, 1, 1, UC_GELU },
        { 2, 64, 128, 128, 0, 1, UC_ACT_NONE }, { 25, 1, 320, 64, 1, 0, UC_ACT_NONE },
        { 1, 5, 7, 3, 1, 0, UC_ACT_NONE },      { 4, 1, 512, 17, 1, 1, UC_SILU },
        { 2, 13, 1280, 80, 1, 0, UC_ACT_NONE }, { 3, 49, 256, 768, 1, 0, UC_QUICK_GELU },
        { 2, 2, 2048, 40, 1, 1, UC_GELU },      { 4, 256, 64, 64, 1, 1, UC_ACT_NONE },
        { 2, 49, 704, 96, 1, 1, UC_GELU },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_matmul, &all_types[t], UC_PLAIN);
            c.attrs.matmul.act = shapes[i].act;
            c.in[UC_MATMUL_X] = shapes[i].rows > 1 ? UC_SHAPE3(shapes[i].n, shapes[i].rows, shapes[i].in)
                                                   : UC_SHAPE2(shapes[i].n, shapes[i].in);
            c.out[0] = shapes[i].rows > 1 ? UC_SHAPE3(shapes[i].n, shapes[i].rows, shapes[i].out)
                                          : UC_SHAPE2(shapes[i].n, shapes[i].out);
            set_weight(&c, UC_MATMUL_WEIGHT, UC_SHAPE2(shapes[i].out, shapes[i].in));
            if (shapes[i].bias) set_weight(&c, UC_MATMUL_BIAS, UC_SHAPE1(shapes[i].out));
            if (shapes[i].residual) c.in[UC_MATMUL_RESIDUAL] = c.out[0];
            c.batched = 1u << UC_MATMUL_X | 1u << UC_MATMUL_RESIDUAL;
            snprintf(c.name, sizeof c.name, "%s %dx%d %d->%d act%d%s", all_types[t].name, shapes[i].n, shapes[i].rows,
                     shapes[i].in, shapes[i].out, (int)shapes[i].act, shapes[i].residual ? " residual" : "");
            add_case(l, &c);
        }
}

/* ---- normalisation ----------------------------------------------------------------------------------------------- */

void cases_group_norm(case_list *l) {
    static const struct {
        int n, c, h, w, groups;
        uc_act act;
        int scale_shift, add;
        fill fill;
    } shapes[] = {
        { 1, 8, 1, 1, 2, UC_SILU, 0, 0, FILL_NORMAL },       { 2, 8, 9, 7, 2, UC_SILU, 1, 0, FILL_NORMAL },
        { 3, 16, 16, 16, 8, UC_SILU, 0, 1, FILL_NORMAL },    { 1, 32, 5, 5, 32, UC_ACT_NONE, 0, 0, FILL_NORMAL },
        { 2, 24, 33, 17, 4, UC_SILU, 1, 1, FILL_FAR },       { 1, 8, 64, 64, 2, UC_SILU, 0, 0, FILL_FAR },
        { 1, 320, 8, 8, 32, UC_SILU, 1, 0, FILL_NORMAL },    { 2, 15, 11, 3, 5, UC_ACT_NONE, 1, 0, FILL_NORMAL },
        { 1, 17, 29, 31, 1, UC_SILU, 0, 1, FILL_PEAKS },     { 1, 48, 70, 50, 4, UC_SILU, 0, 0, FILL_PEAKS },
        { 1, 16, 13, 13, 4, UC_SILU, 0, 0, FILL_CONSTANT },  { 2, 1920, 3, 3, 32, UC_SILU, 1, 0, FILL_NORMAL },
        { 1, 6, 120, 90, 3, UC_SILU, 0, 1, FILL_FAR },       { 2, 2, 40, 300, 1, UC_ACT_NONE, 0, 0, FILL_NORMAL },
        { 2, 64, 1, 81, 8, UC_ACT_NONE, 0, 0, FILL_NORMAL }, /* h 1: also as tokens */
        { 3, 128, 1, 64, 8, UC_ACT_NONE, 0, 0, FILL_FAR },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            const int n = shapes[i].n, ch = shapes[i].c;
            const bool tokens = shapes[i].h == 1 && shapes[i].w > 1;
            op_case c = blank(UC_OP_group_norm, &all_types[t], UC_NHWC);
            c.attrs.group_norm =
                (uc_group_norm_attrs){ .groups = shapes[i].groups, .eps = 1e-5f, .act = shapes[i].act };
            c.in[UC_GN_X] = c.out[0] =
                tokens ? UC_SHAPE3(n, shapes[i].w, ch) : UC_SHAPE4(n, ch, shapes[i].h, shapes[i].w);
            set_weight(&c, UC_GN_WEIGHT, UC_SHAPE1(ch));
            set_weight(&c, UC_GN_BIAS, UC_SHAPE1(ch));
            if (shapes[i].scale_shift) c.in[UC_GN_SCALE_SHIFT] = UC_SHAPE2(n, 2 * ch);
            if (shapes[i].add) c.in[UC_GN_ADD] = UC_SHAPE2(n, ch);
            c.batched = 1u << UC_GN_X | 1u << UC_GN_SCALE_SHIFT | 1u << UC_GN_ADD;
            c.fill = shapes[i].fill;
            snprintf(c.name, sizeof c.name, "%s n%d c%d %dx%d g%d fill%d%s%s", all_types[t].name, n, ch, shapes[i].h,
                     shapes[i].w, shapes[i].groups, (int)shapes[i].fill, shapes[i].scale_shift ? " scale_shift" : "",
                     shapes[i].add ? " add" : "");
            add_case(l, &c);
        }
}

void cases_layer_norm(case_list *l) {
    static const struct {
        int n, rows, c, weight, bias;
        fill fill;
    } shapes[] = {
        { 1, 1, 1, 1, 1, FILL_NORMAL }, { 1, 3, 5, 1, 1, FILL_NORMAL },    { 2, 77, 128, 1, 1, FILL_NORMAL },
        { 3, 81, 128, 1, 1, FILL_FAR }, { 2, 7, 130, 0, 0, FILL_NORMAL },  { 1, 50, 768, 1, 0, FILL_PEAKS },
        { 2, 3, 2048, 1, 1, FILL_FAR }, { 1, 2, 33, 1, 1, FILL_CONSTANT },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            op_case c = blank(UC_OP_layer_norm, &all_types[t], UC_PLAIN);
            c.attrs.layer_norm.eps = 1e-5f;
            c.in[UC_LN_X] = c.out[0] = UC_SHAPE3(shapes[i].n, shapes[i].rows, shapes[i].c);
            if (shapes[i].weight) set_weight(&c, UC_LN_WEIGHT, UC_SHAPE1(shapes[i].c));
            if (shapes[i].bias) set_weight(&c, UC_LN_BIAS, UC_SHAPE1(shapes[i].c));
            c.batched = 1u << UC_LN_X;
            c.fill = shapes[i].fill;
            snprintf(c.name, sizeof c.name, "%s %dx%d c%d fill%d", all_types[t].name, shapes[i].n, shapes[i].rows,
                     shapes[i].c, (int)shapes[i].fill);
            add_case(l, &c);
        }
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

void cases_attention(case_list *l) {
    static const struct {
        int n, t, s, s0, heads, d, bias, ctx_bias, causal;
        fill fill;
    } shapes[] = {
        { 1, 1, 1, 0, 1, 1, 0, 0, 0, FILL_NORMAL },     { 2, 1, 81, 0, 4, 32, 1, 0, 0, FILL_NORMAL },
        { 2, 3, 3, 78, 4, 32, 1, 1, 1, FILL_NORMAL },   { 2, 77, 77, 0, 4, 32, 0, 0, 1, FILL_NORMAL },
        { 2, 64, 64, 36, 4, 32, 0, 1, 0, FILL_NORMAL }, { 1, 256, 256, 81, 2, 64, 0, 1, 0, FILL_NORMAL },
        { 3, 13, 29, 7, 3, 20, 1, 0, 0, FILL_NORMAL },  { 1, 50, 50, 0, 2, 8, 0, 0, 0, FILL_PEAKS },
        { 2, 5, 9, 0, 1, 80, 0, 0, 1, FILL_NORMAL },    { 1, 31, 33, 1, 5, 7, 1, 1, 0, FILL_PEAKS },
        { 3, 12, 12, 12, 2, 16, 1, 1, 1, FILL_NORMAL }, { 1, 3, 200, 0, 1, 160, 1, 0, 0, FILL_NORMAL },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue; /* no weights here */
            const int n = shapes[i].n, width = shapes[i].heads * shapes[i].d;
            op_case c = blank(UC_OP_attention, &all_types[t], UC_PLAIN);
            c.attrs.attention = (uc_attention_attrs){ .heads = shapes[i].heads,
                                                      .causal = shapes[i].causal != 0,
                                                      .scale = (float)(1 / __builtin_sqrt((double)shapes[i].d)) };
            c.in[UC_ATT_Q] = c.out[0] = UC_SHAPE3(n, shapes[i].t, width);
            c.in[UC_ATT_K] = c.in[UC_ATT_V] = UC_SHAPE3(n, shapes[i].s, width);
            if (shapes[i].bias) c.in[UC_ATT_BIAS] = UC_SHAPE2(n, shapes[i].s);
            if (shapes[i].s0) c.in[UC_ATT_CTX_K] = c.in[UC_ATT_CTX_V] = UC_SHAPE3(n, shapes[i].s0, width);
            if (shapes[i].s0 && shapes[i].ctx_bias) c.in[UC_ATT_CTX_BIAS] = UC_SHAPE2(n, shapes[i].s0);
            c.in_type[UC_ATT_BIAS] = c.in_type[UC_ATT_CTX_BIAS] = UC_F32;
            c.batched = 0x7F;
            c.fill = shapes[i].fill;
            snprintf(c.name, sizeof c.name, "%s n%d %d queries %d+%d keys %dx%d%s%s fill%d", all_types[t].name, n,
                     shapes[i].t, shapes[i].s0, shapes[i].s, shapes[i].heads, shapes[i].d,
                     shapes[i].bias ? " bias" : "", shapes[i].causal ? " causal" : "", (int)shapes[i].fill);
            add_case(l, &c);
        }
}

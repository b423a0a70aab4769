/* cases.c - see cases.h. Each operation has a table of shapes, which is crossed with the types it must handle. */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct list {
    op_case *items;
    size_t count, capacity;
} list;

static op_case *add_case(list *l, const op_case *c) {
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 32;
        l->items = realloc(l->items, l->capacity * sizeof *l->items);
        if (!l->items) abort();
    }
    l->items[l->count] = *c;
    return &l->items[l->count++];
}

/* Activations and weights: what the engine meets. */
typedef struct types {
    uc_dtype type, weight;
    const char *name;
} types;
static const types all_types[] = { { UC_F32, UC_F32, "f32" },
                                   { UC_F32, UC_F16, "f32-wf16" },
                                   { UC_BF16, UC_BF16, "bf16" },
                                   { UC_F16, UC_F16, "f16" },
                                   { UC_BF16, UC_F16, "bf16-wf16" } };
enum { ALL_TYPES = sizeof all_types / sizeof *all_types };

static op_case blank(uc_op_kind kind, const types *t, uc_layout layout) {
    op_case c = { .kind = kind, .type = t->type, .weight_type = t->weight, .layout = layout, .out_type = t->type };
    for (int i = 0; i < UC_MAX_INPUTS; i++) c.in_type[i] = t->type;
    return c;
}

static void set_weight(op_case *c, int slot, uc_shape shape) {
    c->in[slot] = shape;
    c->in_type[slot] = c->weight_type;
    c->weights |= 1u << slot;
}

/* ---- convolution ------------------------------------------------------------------------------------------------- */

static void conv2d(list *l) {
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

static void matmul(list *l) {
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

static void group_norm(list *l) {
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

static void layer_norm(list *l) {
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

static void attention(list *l) {
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

/* ---- embeddings and pointwise ------------------------------------------------------------------------------------ */

static void embedding(list *l) {
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

static void timestep(list *l) {
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

static void activation(list *l) {
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

static void add(list *l) {
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

static void scale_shift(list *l) {
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

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static void resample(list *l) {
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

static void concat(list *l) {
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

/* Those that move a whole value: shape in, shape out. */
static op_case *move_case(list *l, uc_op_kind kind, int t, uc_layout layout, uc_shape in, uc_shape out) {
    op_case c = blank(kind, &all_types[t], layout);
    char a[UC_SHAPE_TEXT], b[UC_SHAPE_TEXT];
    c.in[0] = in;
    c.out[0] = out;
    if (all_types[t].type != all_types[t].weight) c.in_type[0] = UC_F16; /* a stored weight */
    snprintf(c.name, sizeof c.name, "%s %s -> %s%s", all_types[t].name, uc_shape_text(in, a), uc_shape_text(out, b),
             layout == UC_NHWC ? " nhwc" : "");
    return add_case(l, &c);
}

static void repeat(list *l) {
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

static void select_row(list *l) {
    static const struct {
        int rows, c, index;
    } shapes[] = { { 1, 1, 0 }, { 25, 1280, 24 }, { 7, 33, 3 }, { 50, 64, 0 }, { 2, 2049, 1 }, { 3, 5, 1 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++)
            move_case(l, UC_OP_select_row, t, UC_PLAIN, UC_SHAPE2(shapes[i].rows, shapes[i].c),
                      UC_SHAPE2(1, shapes[i].c))
                ->step.index = shapes[i].index;
}

static void gather_token(list *l) {
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

static void slice(list *l) {
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

static void turning(list *l, uc_op_kind kind) {
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

static void transpose(list *l) { turning(l, UC_OP_transpose); }
static void image_to_tokens(list *l) { turning(l, UC_OP_image_to_tokens); }
static void tokens_to_image(list *l) { turning(l, UC_OP_tokens_to_image); }

/* The output has the other layout (see driver.c), and in half of the cases another type. */
static void reorder(list *l) {
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

/* ---- the sampler ------------------------------------------------------------------------------------------------- */

static void noise_step(list *l) {
    static const struct {
        uc_shape x;
        uc_prediction kind;
        bool guided, learned, given, add_noise;
        float clip, c_old;
    } shapes[] = {
        { { 2, { 1, 1 } }, UC_PREDICT_SAMPLE, false, false, false, true, 5, 0 },
        { { 2, { 3, 129 } }, UC_PREDICT_SAMPLE, true, false, false, true, 5, 0 },
        { { 4, { 2, 3, 16, 16 } }, UC_PREDICT_EPSILON, true, true, false, true, 1, 0 },
        { { 4, { 3, 3, 9, 7 } }, UC_PREDICT_EPSILON, true, true, true, true, 1, 0 },
        { { 4, { 1, 3, 33, 31 } }, UC_PREDICT_EPSILON, false, false, false, false, 1, 0 },
        { { 4, { 2, 3, 8, 8 } }, UC_PREDICT_V, false, true, false, true, 0, 0.25f },
        { { 4, { 1, 3, 64, 64 } }, UC_PREDICT_SAMPLE, false, false, false, true, 1, -0.5f },
        { { 2, { 2, 768 } }, UC_PREDICT_EPSILON, true, false, true, false, 0, 0 },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue;
            const uc_shape x = shapes[i].x;
            op_case c = blank(UC_OP_noise_step, &all_types[t], UC_PLAIN);
            char text[UC_SHAPE_TEXT];
            c.attrs.noise_step = (uc_noise_attrs){ .prediction = shapes[i].kind,
                                                   .guided = shapes[i].guided,
                                                   .learned_variance = shapes[i].learned };
            c.in[UC_NOISE_X] = c.in[UC_NOISE_X0] = c.out[0] = c.out[1] = x;
            c.in[UC_NOISE_PREDICTION] = x;
            c.in[UC_NOISE_PREDICTION].dim[0] *= shapes[i].guided ? 2 : 1;
            c.in[UC_NOISE_PREDICTION].dim[1] *= shapes[i].learned ? 2 : 1;
            c.in[UC_NOISE_SEEDS] = UC_SHAPE1(x.dim[0]);
            if (shapes[i].given) c.in[UC_NOISE_NOISE] = x;
            c.in_type[UC_NOISE_X] = c.in_type[UC_NOISE_X0] = c.in_type[UC_NOISE_NOISE] = c.out_type = UC_F32;
            c.in_type[UC_NOISE_SEEDS] = UC_I64;
            c.batched = 0x1F;
            c.step = (uc_step){ .index = 3,
                                .stage = 2,
                                .noise_index = 4,
                                .add_noise = shapes[i].add_noise,
                                .guidance = 4,
                                .sqrt_alpha_bar = 0.6f,
                                .sqrt_beta_bar = 0.8f,
                                .clip = shapes[i].clip,
                                .c_x0 = 0.7f,
                                .c_x = 0.3f,
                                .c_pred = shapes[i].clip > 0 ? 0 : 0.1f,
                                .c_old = shapes[i].c_old,
                                .sigma = 0.2f,
                                .log_min = -4,
                                .log_max = -2 };
            snprintf(c.name, sizeof c.name, "%s %s kind%d%s%s%s%s", all_types[t].name, uc_shape_text(x, text),
                     (int)shapes[i].kind, shapes[i].guided ? " guided" : "", shapes[i].learned ? " learned" : "",
                     shapes[i].given ? " given noise" : "", shapes[i].add_noise ? "" : " last");
            add_case(l, &c);
        }
}

static void sample_token(list *l) {
    static const struct {
        int batch, count;
        bool guided;
        float temperature;
    } shapes[] = { { 1, 1, false, 1 },  { 2, 5, false, 1 },     { 3, 128, true, 1 },
                   { 2, 131, true, 0 }, { 5, 1024, false, 0.7f }, { 3, 515, true, 2 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue;
            op_case c = blank(UC_OP_sample_token, &all_types[t], UC_PLAIN);
            c.attrs.sample_token.guided = shapes[i].guided;
            c.in[UC_SAMPLE_SEEDS] = UC_SHAPE1(shapes[i].batch);
            c.in_type[UC_SAMPLE_SEEDS] = UC_I64;
            c.in[UC_SAMPLE_LOGITS] = UC_SHAPE2(shapes[i].batch * (shapes[i].guided ? 2 : 1), shapes[i].count);
            c.out[0] = UC_SHAPE2(shapes[i].batch, 1);
            c.out_type = UC_I32;
            c.batched = 3;
            c.step = (uc_step){ .stage = 1, .noise_index = 5, .guidance = 3, .temperature = shapes[i].temperature };
            snprintf(c.name, sizeof c.name, "%s %dx%d%s temperature %g", all_types[t].name, shapes[i].batch,
                     shapes[i].count, shapes[i].guided ? " guided" : "", (double)shapes[i].temperature);
            add_case(l, &c);
        }
}

const op_case *op_cases(uc_op_kind kind, size_t *count) {
    static list lists[UC_OP_COUNT];
    static void (*const make[UC_OP_COUNT])(list *) = {
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = name,
#include "kernels/ops.def"
#undef UC_OP
    };
    if (!lists[kind].count) make[kind](&lists[kind]);
    *count = lists[kind].count;
    return lists[kind].items;
}

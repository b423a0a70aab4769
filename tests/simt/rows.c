/* rows.c - see rows.h. Each case says which row it is for. */
#include "rows.h"

#include <stdio.h>

static const uc_dtype types[] = { UC_F32, UC_F16, UC_BF16 };
enum { TYPES = sizeof types / sizeof *types };

static op_case case_of(uc_op_kind kind, uc_dtype type, uc_layout layout) {
    op_case c = { .kind = kind, .type = type, .weight_type = type, .layout = layout, .out_type = type };
    for (int i = 0; i < UC_MAX_INPUTS; i++) c.in_type[i] = type;
    return c;
}

/* Widths of a group that 8, 4, 2 and 1 divide, below and above what a block's shared memory holds; and a group wider
 * than a block has threads. */
static void group_norm(case_visitor visit, void *user) {
    static const struct { int n, c, h, w, groups; fill fill; bool add, scale_shift; } shapes[] = {
        { 2, 80, 5, 3, 2, FILL_NORMAL, true, true },   { 2, 40, 6, 4, 2, FILL_NORMAL, false, true },
        { 2, 60, 3, 7, 6, FILL_FAR, true, false },     { 1, 35, 9, 2, 5, FILL_NORMAL, true, true },
        { 1, 32, 61, 53, 2, FILL_FAR, true, true },    { 1, 24, 67, 65, 2, FILL_PEAKS, false, true },
        { 2, 20, 64, 57, 2, FILL_NORMAL, true, true }, { 1, 9, 91, 101, 1, FILL_FAR, true, false },
        { 1, 2064, 3, 5, 1, FILL_NORMAL, true, true }, { 2, 509, 2, 3, 1, FILL_FAR, true, true },
        { 1, 4104, 2, 3, 1, FILL_NORMAL, true, true }, { 2, 24, 60, 70, 2, FILL_NORMAL, true, true },
        { 1, 320, 64, 64, 32, FILL_NORMAL, true, true }, /* the decoder's first level */
        { 1, 2560, 8, 8, 32, FILL_NORMAL, true, true },  /* its last one, after a skip connection */
        { 1, 1, 1024, 1024, 1, FILL_FAR, false, true },  /* as many pixels as there are; and where one is fast, */
        { 1, 12, 1024, 1024, 2, FILL_NORMAL, true, true }, /* with the second upsampler's groups */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < TYPES; t++) {
            const int n = shapes[i].n, ch = shapes[i].c;
            op_case c = case_of(UC_OP_group_norm, types[t], UC_NHWC);
            c.attrs.group_norm = (uc_group_norm_attrs){ .groups = shapes[i].groups, .eps = 1e-5f, .act = UC_SILU };
            c.in[UC_GN_X] = c.out[0] = UC_SHAPE4(n, ch, shapes[i].h, shapes[i].w);
            c.in[UC_GN_WEIGHT] = c.in[UC_GN_BIAS] = UC_SHAPE1(ch);
            c.weights = 1u << UC_GN_WEIGHT | 1u << UC_GN_BIAS;
            if (shapes[i].scale_shift) c.in[UC_GN_SCALE_SHIFT] = UC_SHAPE2(i % 2 ? n : 1, 2 * ch);
            if (shapes[i].add) c.in[UC_GN_ADD] = UC_SHAPE2(n, ch);
            c.batched = 1u << UC_GN_X | 1u << UC_GN_ADD | (i % 2 ? 1u << UC_GN_SCALE_SHIFT : 0);
            c.fill = shapes[i].fill;
            snprintf(c.name, sizeof c.name, "%s row n%d c%d %dx%d g%d", uc_dtype_name(types[t]), n, ch, shapes[i].h,
                     shapes[i].w, shapes[i].groups);
            visit(user, &c);
        }
}

/* Batches as large as those of drawing, at shapes at which cuDNN takes engines for tensor cores and splits sums: that a
 * batch has the bytes of its images alone. */
static void conv2d(case_visitor visit, void *user) {
    static const struct { int c, o, side, k; bool residual; } shapes[] = {
        { 192, 192, 16, 3, true }, { 640, 320, 8, 3, false }, { 320, 320, 16, 1, true },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < TYPES; t++) {
            const int n = 4, side = shapes[i].side, k = shapes[i].k;
            op_case c = case_of(UC_OP_conv2d, types[t], UC_NHWC);
            c.attrs.conv2d = (uc_conv2d_attrs){ .stride = 1, .pad = k / 2 };
            c.in[UC_CONV_X] = UC_SHAPE4(n, shapes[i].c, side, side);
            c.in[UC_CONV_WEIGHT] = UC_SHAPE4(shapes[i].o, shapes[i].c, k, k);
            c.in[UC_CONV_BIAS] = UC_SHAPE1(shapes[i].o);
            c.out[0] = UC_SHAPE4(n, shapes[i].o, side, side);
            if (shapes[i].residual) c.in[UC_CONV_RESIDUAL] = c.out[0];
            c.weights = 1u << UC_CONV_WEIGHT | 1u << UC_CONV_BIAS;
            c.batched = 1u << UC_CONV_X | 1u << UC_CONV_RESIDUAL;
            snprintf(c.name, sizeof c.name, "%s row n%d %d->%d %dx%d k%d%s", uc_dtype_name(types[t]), n, shapes[i].c,
                     shapes[i].o, side, side, k, shapes[i].residual ? " residual" : "");
            visit(user, &c);
        }
}

static void noise_step(case_visitor visit, void *user) {
    for (int t = 0; t < TYPES; t++)
        for (int k = 0; k < 4; k++) {
            op_case c = case_of(UC_OP_noise_step, types[t], UC_PLAIN);
            const bool guided = k & 1, learned = k & 2;
            c.attrs.noise_step = (uc_noise_attrs){ (uc_prediction)(k % 3), guided, learned, false };
            c.in[UC_NOISE_X] = c.in[UC_NOISE_X0] = c.out[0] = c.out[1] = UC_SHAPE4(2, 3, 5, 7 + (k == 3));
            c.in[UC_NOISE_PREDICTION] = UC_SHAPE4(guided ? 4 : 2, learned ? 6 : 3, 5, 7 + (k == 3));
            c.in[UC_NOISE_SEEDS] = UC_SHAPE1(2);
            c.in_type[UC_NOISE_X] = c.in_type[UC_NOISE_X0] = c.in_type[UC_NOISE_NOISE] = c.out_type = UC_F32;
            c.in_type[UC_NOISE_SEEDS] = UC_I64;
            c.batched = 0x1F;
            c.step = (uc_step){ .stage = 1, .noise_index = 7, .add_noise = 1, .guidance = 3, .sqrt_alpha_bar = 0.8f,
                                .sqrt_beta_bar = 0.6f, .clip = 1, .c_x0 = 0.5f, .c_x = 0.5f, .c_old = 0.25f,
                                .sigma = 0.3f, .log_min = -5, .log_max = -1 };
            snprintf(c.name, sizeof c.name, "%s row kind%d%s%s", uc_dtype_name(types[t]), k % 3, guided ? " guided" : "",
                     learned ? " learned" : "");
            visit(user, &c);
        }
}

/* Every head size of the tensor-core rows, narrower heads in each, one and two tiles a warp, lengths that end inside a
 * tile, a causal mask that crosses tiles; more keys than eight rows of scores have room for. */
static void attention(case_visitor visit, void *user) {
    static const struct { int n, t, s, s0, heads, d; bool bias, ctx_bias, causal; fill fill; } shapes[] = {
        { 2, 9, 20, 0, 2, 32, 0, 0, 0, FILL_NORMAL },   { 1, 70, 70, 13, 2, 24, 1, 1, 0, FILL_PEAKS },
        { 1, 130, 130, 0, 1, 32, 0, 0, 1, FILL_NORMAL }, { 1, 129, 77, 81, 1, 64, 0, 1, 0, FILL_PEAKS },
        { 1, 150, 150, 0, 1, 64, 1, 0, 1, FILL_NORMAL }, { 2, 66, 66, 5, 1, 64, 1, 0, 1, FILL_NORMAL },
        { 1, 40, 65, 64, 1, 80, 0, 0, 0, FILL_NORMAL }, { 1, 65, 100, 0, 1, 72, 1, 0, 0, FILL_PEAKS },
        { 1, 33, 129, 0, 2, 96, 0, 0, 0, FILL_NORMAL }, { 1, 17, 64, 1, 1, 88, 1, 1, 0, FILL_NORMAL },
        { 1, 50, 63, 2, 1, 128, 0, 1, 0, FILL_NORMAL }, { 1, 64, 64, 64, 1, 104, 1, 0, 1, FILL_PEAKS },
        { 2, 3, 3, 78, 3, 64, 1, 1, 1, FILL_NORMAL },   { 1, 20, 20, 3, 1, 300, 1, 1, 1, FILL_NORMAL },
        { 1, 1, 7300, 0, 1, 4, 1, 0, 0, FILL_NORMAL },  { 1, 9, 9, 5, 2, 6, 0, 1, 1, FILL_NORMAL },
        { 1, 1024, 1024, 81, 1, 64, 0, 1, 0, FILL_NORMAL }, /* a head of the decoder's largest attention */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < TYPES; t++) {
            const int n = shapes[i].n, width = shapes[i].heads * shapes[i].d;
            op_case c = case_of(UC_OP_attention, types[t], UC_PLAIN);
            c.attrs.attention = (uc_attention_attrs){ .heads = shapes[i].heads, .causal = shapes[i].causal,
                                                      .scale = (float)(1 / __builtin_sqrt((double)shapes[i].d)) };
            c.in[UC_ATT_Q] = c.out[0] = UC_SHAPE3(n, shapes[i].t, width);
            c.in[UC_ATT_K] = c.in[UC_ATT_V] = UC_SHAPE3(n, shapes[i].s, width);
            if (shapes[i].bias) c.in[UC_ATT_BIAS] = UC_SHAPE2(n, shapes[i].s);
            if (shapes[i].s0) c.in[UC_ATT_CTX_K] = c.in[UC_ATT_CTX_V] = UC_SHAPE3(n, shapes[i].s0, width);
            if (shapes[i].ctx_bias) c.in[UC_ATT_CTX_BIAS] = UC_SHAPE2(n, shapes[i].s0);
            c.in_type[UC_ATT_BIAS] = c.in_type[UC_ATT_CTX_BIAS] = UC_F32;
            c.batched = 0x7F;
            c.fill = shapes[i].fill;
            snprintf(c.name, sizeof c.name, "%s row n%d %d queries %d+%d keys %dx%d%s", uc_dtype_name(types[t]), n,
                     shapes[i].t, shapes[i].s0, shapes[i].s, shapes[i].heads, shapes[i].d,
                     shapes[i].causal ? " causal" : "");
            visit(user, &c);
        }
}

void extra_cases(uc_op_kind kind, case_visitor visit, void *user) {
    switch (kind) {
    case UC_OP_conv2d: conv2d(visit, user); break;
    case UC_OP_group_norm: group_norm(visit, user); break;
    case UC_OP_attention: attention(visit, user); break;
    case UC_OP_noise_step: noise_step(visit, user); break;
    default: break;
    }
}

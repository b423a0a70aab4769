/* ref_networks.c - the reference kernels of convolution, linear layers, norms, attention and activations, against
 * numbers worked out by hand and laws that they obey. */
#include "ref_case.h"

static uc_launch conv(uc_view x, uc_view weight, int stride, int pad) {
    uc_launch l = { .kind = UC_OP_conv2d, .attrs.conv2d = { .stride = stride, .pad = pad } };
    l.in[UC_CONV_X] = x;
    l.in[UC_CONV_WEIGHT] = weight;
    return l;
}

Test(ref_conv2d, by_hand) {
    const uc_view x = VALUES(UC_SHAPE4(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9);
    const uc_view weight = VALUES(UC_SHAPE4(1, 1, 2, 2), 1, 2, 3, 4);
    uc_view out = case_run(conv(x, weight, 1, 0), UC_SHAPE4(1, 1, 2, 2));
    EXPECT(out, 0, "no padding", 37, 47, 67, 77);
    uc_launch l = conv(x, weight, 2, 1);
    out = case_run(l, UC_SHAPE4(1, 1, 2, 2));
    EXPECT(out, 0, "stride 2, padding 1", 4, 18, 36, 77);
    l.in[UC_CONV_BIAS] = VALUES(UC_SHAPE1(1), 0.5);
    l.in[UC_CONV_RESIDUAL] = VALUES(UC_SHAPE4(1, 1, 2, 2), 100, 200, 300, 400);
    out = case_run(l, UC_SHAPE4(1, 1, 2, 2));
    EXPECT(out, 0, "bias and residual", 104.5, 218.5, 336.5, 477.5);
}

/* A kernel of one 1 at (i,j) from channel c to channel o moves channel c by (1 - i, 1 - j) and puts zeros at the
 * border. */
Test(ref_conv2d, single_taps_shift) {
    enum { C = 3, O = 2, H = 4, W = 5 };
    const uc_view x = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, C, H, W), 1);
    for (int tap = 0; tap < O * C * 9; tap++) {
        const int o = tap / (C * 9), c = tap / 9 % C, i = tap / 3 % 3, j = tap % 3;
        uc_view weight = case_view(UC_F16, UC_PLAIN, UC_SHAPE4(O, C, 3, 3));
        for (int k = 0; k < O * C * 9; k++) case_set(&weight, k, k == tap);
        const uc_view out = case_run(conv(x, weight, 1, 1), UC_SHAPE4(2, O, H, W));
        for (int64_t k = 0; k < uc_shape_count(out.shape); k++) {
            const int64_t n = k / (O * H * W), oo = k / (H * W) % O, y = k / W % H + i - 1, xx = k % W + j - 1;
            const bool inside = oo == o && y >= 0 && y < H && xx >= 0 && xx < W;
            cr_assert_eq(case_get(&out, k), inside ? case_get(&x, ((n * C + c) * H + y) * W + xx) : 0, "tap %d at %lld",
                         tap, (long long)k);
        }
    }
}

Test(ref_conv2d, layouts) {
    uc_launch l = conv(case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 3, 7, 6), 1),
                       case_random(UC_BF16, UC_PLAIN, UC_SHAPE4(4, 3, 3, 3), 2), 2, 1);
    l.in[UC_CONV_BIAS] = case_random(UC_F16, UC_PLAIN, UC_SHAPE1(4), 3);
    l.in[UC_CONV_RESIDUAL] = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 4, 4, 3), 4);
    expect_layouts_agree(l, UC_SHAPE4(2, 4, 4, 3), 1u << UC_CONV_WEIGHT, "conv2d");
}

Test(ref_matmul, by_hand) {
    uc_launch l = { .kind = UC_OP_matmul };
    l.in[UC_MATMUL_X] = VALUES(UC_SHAPE3(1, 2, 2), 1, 2, -1, 0.5);
    l.in[UC_MATMUL_WEIGHT] = VALUES(UC_SHAPE2(3, 2), 3, 4, 5, -6, 0, 1);
    uc_view out = case_run(l, UC_SHAPE3(1, 2, 3));
    EXPECT(out, 0, "product", 11, -7, 2, -1, -8, 0.5);
    l.in[UC_MATMUL_BIAS] = VALUES(UC_SHAPE1(3), 1, 0, -0.5);
    l.in[UC_MATMUL_RESIDUAL] = VALUES(UC_SHAPE3(1, 2, 3), 100, 200, 300, 400, 500, 600);
    l.attrs.matmul.act = UC_SILU;
    out = case_run(l, UC_SHAPE3(1, 2, 3));
    /* silu(12), silu(-7), silu(1.5), silu(0), silu(-8), silu(0): before the residual */
    EXPECT(out, 4e-5, "activation, then residual", 111.9999263, 199.9936226, 301.2263617, 400, 499.9973163, 600);
}

Test(ref_activation, known_values) {
    static const struct {
        uc_act act;
        double x, y;
    } cases[] = {
        { UC_SILU, 1, 0.7310585786300049 },
        { UC_SILU, -2, -0.2384058440442351 },
        { UC_SILU, -1000, 0 },
        { UC_SILU, 1000, 1000 },
        { UC_GELU, 1, 0.8413447460685429 },
        { UC_GELU, -2, -0.04550026389635842 },
        { UC_GELU, 30, 30 },
        { UC_GELU, -30, 0 },
        { UC_QUICK_GELU, 1, 0.8457957659328212 },
        { UC_QUICK_GELU, -1, -0.1542042340671788 },
        { UC_QUICK_GELU, -1000, 0 },
        { UC_ACT_NONE, -3.5, -3.5 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_launch l = { .kind = UC_OP_activation, .attrs.activation.act = cases[i].act };
        l.in[0] = VALUES(UC_SHAPE2(1, 1), cases[i].x);
        const uc_view out = case_run(l, UC_SHAPE2(1, 1));
        cr_assert(fabs(case_get(&out, 0) - cases[i].y) <= 6e-8 * fabs(cases[i].y), "activation %d of %g is %.9g",
                  cases[i].act, cases[i].x, case_get(&out, 0));
    }
    uc_launch l = { .kind = UC_OP_activation, .attrs.activation.act = UC_GELU };
    l.in[0] = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 3, 4, 5), 1);
    expect_layouts_agree(l, UC_SHAPE4(2, 3, 4, 5), 0, "activation");
}

/* ---- norms ------------------------------------------------------------------------------------------------------- */

static uc_launch group_norm(uc_view x, int groups, double eps) {
    const int64_t channels = x.shape.dim[x.shape.rank == 3 ? 2 : 1];
    uc_launch l = { .kind = UC_OP_group_norm, .attrs.group_norm = { .groups = groups, .eps = (float)eps } };
    l.in[UC_GN_X] = x;
    l.in[UC_GN_WEIGHT] = case_view(UC_F32, UC_PLAIN, UC_SHAPE1(channels));
    l.in[UC_GN_BIAS] = case_view(UC_F32, UC_PLAIN, UC_SHAPE1(channels));
    for (int64_t c = 0; c < channels; c++) {
        case_set(&l.in[UC_GN_WEIGHT], c, 1);
        case_set(&l.in[UC_GN_BIAS], c, 0);
    }
    return l;
}

/* Group one is 1 3 | 5 7 (mean 4, variance 5), group two 0 0 | 0 4 (mean 1, variance 3). */
Test(ref_group_norm, by_hand) {
    const uc_view x = VALUES(UC_SHAPE4(1, 4, 1, 2), 1, 3, 5, 7, 0, 0, 0, 4);
    uc_launch l = group_norm(x, 2, 4);
    const double a = 1 / 3.0, b = 1 / sqrt(7.0);
    uc_view out = case_run(l, x.shape);
    EXPECT(out, 1e-7, "eps inside the root", -3 * a, -a, a, 3 * a, -b, -b, -b, 3 * b);
    case_set(&l.in[UC_GN_WEIGHT], 1, 3);
    case_set(&l.in[UC_GN_BIAS], 1, 10);
    l.in[UC_GN_SCALE_SHIFT] = VALUES(UC_SHAPE2(1, 8), 0, 1, 0, -1, 0, 0.5, 7, 0);
    out = case_run(l, x.shape);
    EXPECT(out, 1e-5, "weight, bias, scale, shift", -3 * a, -a, 22.5, 26.5, 7 - b, 7 - b, 0, 0);
    l = group_norm(x, 2, 4);
    l.in[UC_GN_ADD] = VALUES(UC_SHAPE2(1, 4), 6, 2, -1, -1); /* 7 9 | 7 9: mean 8, variance 1 */
    l.attrs.group_norm.act = UC_SILU;
    out = case_run(l, x.shape);
    const double c = 1 / sqrt(5.0), silu_c = c / (1 + exp(-c)), silu_minus = -c / (1 + exp(c));
    EXPECT(out, 1e-7, "addition before, activation behind", silu_minus, silu_c, silu_minus, silu_c, -b / (1 + exp(b)),
           -b / (1 + exp(b)), -b / (1 + exp(b)), 3 * b / (1 + exp(-3 * b)));
}

Test(ref_group_norm, result_has_mean_0_and_variance_1) {
    enum { N = 2, C = 6, HW = 20, GROUPS = 3 };
    const uc_view x = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(N, C, 4, 5), 1);
    for (int64_t i = 0; i < uc_shape_count(x.shape); i++) case_set(&x, i, 5 * case_get(&x, i) + 100);
    const uc_view out = case_run(group_norm(x, GROUPS, 1e-5), x.shape);
    for (int g = 0; g < N * GROUPS; g++) {
        double sum = 0, squares = 0;
        for (int i = 0; i < C / GROUPS * HW; i++) {
            const double y = case_get(&out, g * (C / GROUPS) * HW + i);
            sum += y;
            squares += y * y;
        }
        cr_assert(fabs(sum) < 1e-4 && fabs(squares / (C / GROUPS * HW) - 1) < 1e-4, "group %d: sum %g, squares %g", g,
                  sum, squares);
    }
}

/* Tokens [n,t,c] are the picture [n,c,1,t], and one row of add or scale_shift serves all images. */
Test(ref_group_norm, shapes_and_layouts) {
    const uc_view image = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 8, 1, 5), 1);
    uc_view tokens = case_view(UC_F32, UC_PLAIN, UC_SHAPE3(2, 5, 8));
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 8; c++)
            for (int t = 0; t < 5; t++) case_set(&tokens, (n * 5 + t) * 8 + c, case_get(&image, (n * 8 + c) * 5 + t));
    uc_launch l = group_norm(image, 4, 1e-5);
    l.in[UC_GN_WEIGHT] = case_random(UC_F32, UC_PLAIN, UC_SHAPE1(8), 2);
    l.in[UC_GN_BIAS] = case_random(UC_F32, UC_PLAIN, UC_SHAPE1(8), 3);
    l.in[UC_GN_SCALE_SHIFT] = case_random(UC_F32, UC_PLAIN, UC_SHAPE2(1, 16), 4);
    l.in[UC_GN_ADD] = case_random(UC_F32, UC_PLAIN, UC_SHAPE2(1, 8), 5);
    const uc_view out = case_run(l, image.shape);
    expect_layouts_agree(l, image.shape, 0, "group_norm");
    l.in[UC_GN_X] = tokens;
    const uc_view token_out = case_run(l, tokens.shape);
    for (int n = 0; n < 2; n++)
        for (int c = 0; c < 8; c++)
            for (int t = 0; t < 5; t++)
                cr_assert_eq(case_get(&token_out, (n * 5 + t) * 8 + c), case_get(&out, (n * 8 + c) * 5 + t));
    l.in[UC_GN_X] = image;
    uc_view both = case_view(UC_F32, UC_PLAIN, UC_SHAPE2(2, 16)), add = case_view(UC_F32, UC_PLAIN, UC_SHAPE2(2, 8));
    for (int i = 0; i < 32; i++) case_set(&both, i, case_get(&l.in[UC_GN_SCALE_SHIFT], i % 16));
    for (int i = 0; i < 16; i++) case_set(&add, i, case_get(&l.in[UC_GN_ADD], i % 8));
    l.in[UC_GN_SCALE_SHIFT] = both;
    l.in[UC_GN_ADD] = add;
    const uc_view rows = case_run(l, image.shape);
    expect_same(&rows, &out, 0, "a row for each image");
}

Test(ref_layer_norm, by_hand) {
    uc_launch l = { .kind = UC_OP_layer_norm, .attrs.layer_norm.eps = 3 };
    l.in[UC_LN_X] = VALUES(UC_SHAPE2(2, 2), 0, 2, 7, 7);
    uc_view out = case_run(l, UC_SHAPE2(2, 2));
    EXPECT(out, 0, "no weight", -0.5, 0.5, 0, 0);
    l.in[UC_LN_WEIGHT] = VALUES(UC_SHAPE1(2), 2, 4);
    out = case_run(l, UC_SHAPE2(2, 2));
    EXPECT(out, 0, "weight", -1, 2, 0, 0);
    l.in[UC_LN_BIAS] = VALUES(UC_SHAPE1(2), 10, 20);
    out = case_run(l, UC_SHAPE2(2, 2));
    EXPECT(out, 0, "weight and bias", 9, 22, 10, 20);
    l.attrs.layer_norm.eps = 0;
    l = (uc_launch){ .kind = UC_OP_layer_norm };
    l.in[UC_LN_X] = VALUES(UC_SHAPE3(1, 1, 4), 1, 2, 3, 4);
    out = case_run(l, UC_SHAPE3(1, 1, 4));
    EXPECT(out, 1e-7, "four", -1.3416407865, -0.4472135955, 0.4472135955, 1.3416407865);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static uc_launch attention(uc_view q, uc_view k, uc_view v, int heads, double scale) {
    uc_launch l = { .kind = UC_OP_attention, .attrs.attention = { .heads = heads, .scale = (float)scale } };
    l.in[UC_ATT_Q] = q;
    l.in[UC_ATT_K] = k;
    l.in[UC_ATT_V] = v;
    return l;
}

/* Weights 1/4 and 3/4 from scores 0 and log 3; the bias takes the second key away, or triples the first. */
Test(ref_attention, by_hand) {
    const double log3 = log(3.0);
    uc_launch l = attention(VALUES(UC_SHAPE3(1, 1, 1), 2), VALUES(UC_SHAPE3(1, 2, 1), 0, log3),
                            VALUES(UC_SHAPE3(1, 2, 1), 8, 4), 1, 0.5);
    uc_view out = case_run(l, UC_SHAPE3(1, 1, 1));
    EXPECT(out, 1e-6, "two keys", 5);
    l.in[UC_ATT_BIAS] = VALUES(UC_SHAPE2(1, 2), 0, -10000);
    out = case_run(l, UC_SHAPE3(1, 1, 1));
    EXPECT(out, 0, "masked", 8);
    l.in[UC_ATT_BIAS] = VALUES(UC_SHAPE2(1, 2), log3, 0);
    out = case_run(l, UC_SHAPE3(1, 1, 1));
    EXPECT(out, 1e-6, "biased", 6);
    l.in[UC_ATT_BIAS] = VALUES(UC_SHAPE2(1, 2), 0, 0);
    l.in[UC_ATT_CTX_K] = VALUES(UC_SHAPE3(1, 1, 1), log3);
    l.in[UC_ATT_CTX_V] = VALUES(UC_SHAPE3(1, 1, 1), 20);
    out = case_run(l, UC_SHAPE3(1, 1, 1));
    EXPECT(out, 2e-6, "with context", (20 * 3 + 8 + 4 * 3) / 7.0);
    l.in[UC_ATT_CTX_BIAS] = VALUES(UC_SHAPE2(1, 1), -10000);
    out = case_run(l, UC_SHAPE3(1, 1, 1));
    EXPECT(out, 1e-6, "context masked", 5);
}

/* The causal diagonal is aligned to the last key: with more keys than queries the first query already sees some. */
Test(ref_attention, causal) {
    for (int keys = 3; keys <= 5; keys++) {
        const uc_view q = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(2, 3, 4), 1);
        const uc_view k = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(2, keys, 4), 2);
        uc_view v = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(2, keys, 4), 3);
        uc_launch l = attention(q, k, v, 2, 0.7);
        l.attrs.attention.causal = true;
        const uc_view before = case_run(l, q.shape);
        for (int hidden = 0; hidden < keys; hidden++) {
            const uc_view changed = case_random(UC_F32, UC_PLAIN, v.shape, 3);
            for (int b = 0; b < 2; b++)
                for (int c = 0; c < 4; c++) case_set(&changed, (b * keys + hidden) * 4 + c, 1000);
            l.in[UC_ATT_V] = changed;
            const uc_view after = case_run(l, q.shape);
            for (int i = 0; i < 24; i++) {
                const bool sees = hidden <= i / 4 % 3 + keys - 3;
                cr_assert_eq(case_get(&before, i) != case_get(&after, i), sees, "%d keys: query %d and key %d", keys,
                             i / 4 % 3, hidden);
            }
        }
    }
}

/* Weights sum to one, and a single key has all of it; context keys are further keys in front. */
Test(ref_attention, laws) {
    enum { B = 2, T = 3, S = 4, S0 = 2, HEADS = 2, D = 70, C = HEADS * D };
    const uc_view q = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(B, T, C), 1);
    const uc_view k = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(B, S0 + S, C), 2);
    const uc_view v = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(B, S0 + S, C), 3);
    const uc_view bias = case_random(UC_F32, UC_PLAIN, UC_SHAPE2(B, S0 + S), 4);
    uc_launch l = attention(q, k, v, HEADS, 3);
    l.in[UC_ATT_BIAS] = bias;
    const uc_view whole = case_run(l, q.shape);

    const int slots[3][2] = { { UC_ATT_CTX_K, UC_ATT_K },
                              { UC_ATT_CTX_V, UC_ATT_V },
                              { UC_ATT_CTX_BIAS, UC_ATT_BIAS } };
    uc_launch split = l;
    for (int s = 0; s < 3; s++) {
        const uc_view from = l.in[slots[s][1]];
        const int64_t width = s < 2 ? C : 1;
        uc_view ctx = case_view(UC_F32, UC_PLAIN, s < 2 ? UC_SHAPE3(B, S0, C) : UC_SHAPE2(B, S0));
        uc_view self = case_view(UC_F32, UC_PLAIN, s < 2 ? UC_SHAPE3(B, S, C) : UC_SHAPE2(B, S));
        for (int64_t i = 0; i < B * S0 * width; i++)
            case_set(&ctx, i, case_get(&from, i / (S0 * width) * (S0 + S) * width + i % (S0 * width)));
        for (int64_t i = 0; i < B * S * width; i++)
            case_set(&self, i, case_get(&from, (i / (S * width) * (S0 + S) + S0) * width + i % (S * width)));
        split.in[slots[s][0]] = ctx;
        split.in[slots[s][1]] = self;
    }
    const uc_view parts = case_run(split, q.shape);
    expect_same(&parts, &whole, 0, "context and self keys");

    const uc_view k1 = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(B, 1, C), 5);
    const uc_view v1 = case_random(UC_F32, UC_PLAIN, UC_SHAPE3(B, 1, C), 6);
    const uc_view single = case_run(attention(q, k1, v1, HEADS, 3), q.shape);
    for (int64_t i = 0; i < uc_shape_count(q.shape); i++)
        cr_assert_eq(case_get(&single, i), case_get(&v1, i / (T * C) * C + i % C), "one key, element %lld",
                     (long long)i);

    uc_view ones = case_view(UC_F32, UC_PLAIN, v.shape);
    for (int64_t i = 0; i < uc_shape_count(v.shape); i++) case_set(&ones, i, i % C < D ? 1 : -2);
    l.in[UC_ATT_V] = ones;
    const uc_view sums = case_run(l, q.shape);
    for (int64_t i = 0; i < uc_shape_count(q.shape); i++)
        cr_assert(fabs(case_get(&sums, i) - (i % C < D ? 1 : -2)) < 1e-6, "element %lld", (long long)i);
}

/* ---- what is known of the operations ----------------------------------------------------------------------------- */

Test(ops_table, every_operation_is_there) {
    for (int kind = UC_OP_NONE + 1; kind < UC_OP_COUNT; kind++) {
        cr_assert_not_null(uc_ref_kernel((uc_op_kind)kind));
        const uc_op_info *info = uc_op_info_of((uc_op_kind)kind);
        cr_assert_gt(strlen(info->name), 0u);
        double exact[2], half[2], bf16[2];
        uc_tolerance((uc_op_kind)kind, UC_F32, &exact[0], &exact[1]);
        uc_tolerance((uc_op_kind)kind, UC_F16, &half[0], &half[1]);
        uc_tolerance((uc_op_kind)kind, UC_BF16, &bf16[0], &bf16[1]);
        cr_assert_eq(exact[0], info->atol);
        cr_assert_eq(exact[1], info->rtol);
        for (int i = 0; i < 2; i++) {
            const double own = exact[i];
            cr_assert(own > 0 ? own < half[i] && half[i] < bf16[i] : half[i] == 0 && bf16[i] == 0, "%s", info->name);
        }
    }
    cr_assert_null(uc_ref_kernel(UC_OP_NONE));
    cr_assert_null(uc_ref_kernel(UC_OP_COUNT));
    cr_assert_str_eq(uc_op_info_of(UC_OP_conv2d)->name, "conv2d");
    cr_assert_str_eq(uc_op_info_of(UC_OP_COUNT)->name, "none");
}

Test(ops_table, flops) {
    uc_launch l = { .kind = UC_OP_conv2d };
    l.in[UC_CONV_WEIGHT].shape = UC_SHAPE4(320, 640, 3, 3);
    l.out[0].shape = UC_SHAPE4(2, 320, 64, 64);
    cr_assert_eq(uc_op_flops(&l), 2.0 * 2 * 320 * 64 * 64 * 640 * 9);
    l = (uc_launch){ .kind = UC_OP_matmul };
    l.in[UC_MATMUL_WEIGHT].shape = UC_SHAPE2(8192, 2048);
    l.out[0].shape = UC_SHAPE3(2, 81, 8192);
    cr_assert_eq(uc_op_flops(&l), 2.0 * 2 * 81 * 8192 * 2048);
    l = (uc_launch){ .kind = UC_OP_attention };
    l.in[UC_ATT_Q].shape = UC_SHAPE3(2, 5, 64);
    l.in[UC_ATT_K].shape = UC_SHAPE3(2, 7, 64);
    cr_assert_eq(uc_op_flops(&l), 4.0 * 2 * 64 * 5 * 7);
    l.in[UC_ATT_CTX_K].shape = UC_SHAPE3(2, 10, 64);
    cr_assert_eq(uc_op_flops(&l), 4.0 * 2 * 64 * 5 * 17);
    l.attrs.attention.causal = true; /* 3 + 4 + 5 + 6 + 7 */
    cr_assert_eq(uc_op_flops(&l), 4.0 * 2 * 64 * (25 + 50));
    l = (uc_launch){ .kind = UC_OP_reorder };
    l.out[0].shape = UC_SHAPE2(10, 10);
    cr_assert_eq(uc_op_flops(&l), 0);
}

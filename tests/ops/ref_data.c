/* ref_data.c - the reference kernels that move, resize, embed and combine data, against numbers worked out by hand. */
#include "ref_case.h"

static uc_launch launch_of(uc_op_kind kind, uc_view a, uc_view b, uc_view c) {
    uc_launch l = { .kind = kind };
    l.in[0] = a;
    l.in[1] = b;
    l.in[2] = c;
    return l;
}

static const uc_view absent;

Test(ref_embedding, by_hand) {
    const uc_view table = VALUES(UC_SHAPE2(3, 2), 1, 2, 3, 4, 5, 6);
    const uc_view ids = case_ints(UC_SHAPE2(2, 2), (const int32_t[]){ 2, 0, 1, 1 });
    uc_view out = case_run(launch_of(UC_OP_embedding, ids, table, absent), UC_SHAPE3(2, 2, 2));
    EXPECT(out, 0, "no positions", 5, 6, 1, 2, 3, 4, 3, 4);
    const uc_view positions = VALUES(UC_SHAPE2(3, 2), 10, 20, 30, 40, NAN, NAN);
    out = case_run(launch_of(UC_OP_embedding, ids, table, positions), UC_SHAPE3(2, 2, 2));
    EXPECT(out, 0, "positions", 15, 26, 31, 42, 13, 24, 33, 44);
}

Test(ref_timestep, by_hand) {
    uc_launch l = launch_of(UC_OP_timestep, VALUES(UC_SHAPE1(2), 0, 3), absent, absent);
    /* four frequencies 1, 1/10, 1/100, 1/1000 */
    l.attrs.timestep.flip_sin_to_cos = true;
    uc_view out = case_run(l, UC_SHAPE2(2, 8));
    EXPECT(out, 3e-7, "cosines first", 1, 1, 1, 1, 0, 0, 0, 0, cos(3.0), cos(0.3), cos(0.03), cos(0.003), sin(3.0),
           sin(0.3), sin(0.03), sin(0.003));
    l.attrs.timestep.flip_sin_to_cos = false;
    out = case_run(l, UC_SHAPE2(2, 5));
    EXPECT(out, 3e-7, "sines first, odd", 0, 0, 1, 1, 0, sin(3.0), sin(0.03), cos(3.0), cos(0.03), 0);
    l.attrs.timestep.freq_shift = 1;
    out = case_run(l, UC_SHAPE2(2, 4));
    EXPECT(out, 3e-7, "last frequency 1/10000", 0, 0, 1, 1, sin(3.0), sin(0.0003), cos(3.0), cos(0.0003));
}

Test(ref_add, broadcasts) {
    const uc_view a = VALUES(UC_SHAPE3(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    uc_view out = case_run(launch_of(UC_OP_add, a, a, absent), a.shape);
    EXPECT(out, 0, "same shape", 2, 4, 6, 8, 10, 12, 14, 16);
    out = case_run(launch_of(UC_OP_add, a, VALUES(UC_SHAPE1(2), 10, 20), absent), a.shape);
    EXPECT(out, 0, "last dimension", 11, 22, 13, 24, 15, 26, 17, 28);
    out = case_run(launch_of(UC_OP_add, a, VALUES(UC_SHAPE2(2, 2), 10, 20, 30, 40), absent), a.shape);
    EXPECT(out, 0, "tail", 11, 22, 33, 44, 15, 26, 37, 48);
    out = case_run(launch_of(UC_OP_add, a, VALUES(UC_SHAPE2(2, 1), 10, 20), absent), a.shape);
    EXPECT(out, 0, "a size of 1 in the tail", 11, 12, 23, 24, 15, 16, 27, 28);
    out = case_run(launch_of(UC_OP_add, a, VALUES(UC_SHAPE3(2, 1, 2), 10, 20, 30, 40), absent), a.shape);
    EXPECT(out, 0, "a size of 1 in the middle", 11, 22, 13, 24, 35, 46, 37, 48);
    const uc_shape s = UC_SHAPE4(2, 3, 4, 5);
    expect_layouts_agree(
        launch_of(UC_OP_add, case_random(UC_F32, UC_PLAIN, s, 1), case_random(UC_F32, UC_PLAIN, s, 2), absent), s, 0,
        "add");
}

Test(ref_scale_shift, by_hand) {
    const uc_view out = case_run(launch_of(UC_OP_scale_shift, VALUES(UC_SHAPE2(2, 2), 1, 2, 3, 4),
                                           VALUES(UC_SHAPE1(2), 2, -3), VALUES(UC_SHAPE1(2), 10, 20)),
                                 UC_SHAPE2(2, 2));
    EXPECT(out, 0, "scale_shift", 12, 14, 16, 8);
}

/* ---- resample ---------------------------------------------------------------------------------------------------- */

static uc_view resample(uc_view x, uc_resample_mode mode, int64_t height, int64_t width) {
    uc_launch l = launch_of(UC_OP_resample, x, absent, absent);
    l.attrs.resample.mode = mode;
    return case_run(l, UC_SHAPE4(x.shape.dim[0], x.shape.dim[1], height, width));
}

Test(ref_resample, nearest_average_area) {
    uc_view out = resample(VALUES(UC_SHAPE4(1, 2, 1, 2), 1, 2, 3, 4), UC_NEAREST, 2, 4);
    EXPECT(out, 0, "nearest", 1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4);
    out = resample(VALUES(UC_SHAPE4(1, 1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8), UC_AVERAGE, 1, 2);
    EXPECT(out, 0, "average", 3.5, 5.5);
    out = resample(VALUES(UC_SHAPE4(1, 1, 1, 5), 1, 2, 4, 8, 16), UC_AREA, 1, 2);
    EXPECT(out, 1e-6, "area, overlapping windows", 7 / 3.0, 28 / 3.0);
    out = resample(VALUES(UC_SHAPE4(1, 1, 3, 1), 1, 2, 4), UC_AREA, 4, 1);
    EXPECT(out, 1e-6, "area, growing", 1, 1.5, 3, 4);
}

/* The weights of PyTorch's antialiased bicubic at four times the size, one source pixel at a time. */
Test(ref_resample, bicubic_weights) {
    static const struct {
        int at, first;
        double weights[4];
    } rows[] = {
        { 0, 0, { 1.11194, -0.11194 } },
        { 2, 0, { 0.919851, 0.086673, -0.006524 } },
        { 6, 0, { -0.047852, 0.963867, 0.09082, -0.006836 } },
        { 7, 0, { -0.073242, 0.727539, 0.389648, -0.043945 } },
        { 8, 0, { -0.043945, 0.389648, 0.727539, -0.073242 } },
        { 9, 0, { -0.006836, 0.09082, 0.963867, -0.047852 } },
        { 31, 6, { -0.11194, 1.11194 } },
    };
    for (int across = 0; across < 2; across++)
        for (int source = 0; source < 8; source++) {
            uc_view x = case_view(UC_F32, UC_PLAIN, across ? UC_SHAPE4(1, 1, 1, 8) : UC_SHAPE4(1, 1, 8, 1));
            for (int i = 0; i < 8; i++) case_set(&x, i, i == source);
            const uc_view out = resample(x, UC_BICUBIC, across ? 1 : 32, across ? 32 : 1);
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                const int k = source - rows[r].first;
                const double wanted = k >= 0 && k < 4 ? rows[r].weights[k] : 0;
                cr_assert(fabs(case_get(&out, rows[r].at) - wanted) < 1e-6, "weight of %d in %d is %.7f, not %.7f",
                          source, rows[r].at, case_get(&out, rows[r].at), wanted);
            }
        }
}

/* No mode changes a constant picture, and every mode is linear in the picture and the same for any layout. */
Test(ref_resample, laws) {
    static const struct {
        uc_resample_mode mode;
        int64_t height, width;
    } cases[] = {
        { UC_NEAREST, 12, 16 }, { UC_AVERAGE, 3, 4 },  { UC_BICUBIC, 24, 32 }, { UC_BICUBIC, 5, 3 },
        { UC_BICUBIC, 6, 8 },   { UC_BICUBIC, 1, 40 }, { UC_AREA, 4, 3 },      { UC_AREA, 7, 9 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_view constant = case_view(UC_F32, UC_PLAIN, UC_SHAPE4(2, 3, 6, 8));
        for (int64_t k = 0; k < uc_shape_count(constant.shape); k++) case_set(&constant, k, 0.625);
        const uc_view out = resample(constant, cases[i].mode, cases[i].height, cases[i].width);
        for (int64_t k = 0; k < uc_shape_count(out.shape); k++)
            cr_assert(fabs(case_get(&out, k) - 0.625) < 1e-7, "case %zu at %lld: %.9g", i, (long long)k,
                      case_get(&out, k));
        uc_launch l = launch_of(UC_OP_resample, case_random(UC_F32, UC_PLAIN, constant.shape, 1), absent, absent);
        l.attrs.resample.mode = cases[i].mode;
        expect_layouts_agree(l, out.shape, 0, "resample");
    }
    const uc_view x = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(1, 1, 6, 8), 1);
    const uc_view same = resample(x, UC_BICUBIC, 6, 8);
    expect_same(&x, &same, 1e-7, "bicubic to the same size");
}

/* ---- moves ------------------------------------------------------------------------------------------------------- */

Test(ref_concat, both_dimensions) {
    uc_launch l =
        launch_of(UC_OP_concat, VALUES(UC_SHAPE3(2, 1, 2), 1, 2, 3, 4),
                  VALUES(UC_SHAPE3(2, 2, 2), 5, 6, 7, 8, 9, 10, 11, 12), VALUES(UC_SHAPE3(2, 1, 2), 13, 14, 15, 16));
    l.attrs.concat.dim = 1;
    uc_view out = case_run(l, UC_SHAPE3(2, 4, 2));
    EXPECT(out, 0, "tokens", 1, 2, 5, 6, 7, 8, 13, 14, 3, 4, 9, 10, 11, 12, 15, 16);
    l = launch_of(UC_OP_concat, VALUES(UC_SHAPE2(1, 2), 1, 2), VALUES(UC_SHAPE2(2, 2), 3, 4, 5, 6), absent);
    out = case_run(l, UC_SHAPE2(3, 2));
    EXPECT(out, 0, "rows", 1, 2, 3, 4, 5, 6);
    l = launch_of(UC_OP_concat, case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 3, 2, 2), 1),
                  case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 1, 2, 2), 2),
                  case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 2, 2, 2), 3));
    l.in[3] = case_random(UC_F32, UC_PLAIN, UC_SHAPE4(2, 4, 2, 2), 4);
    l.attrs.concat.dim = 1;
    expect_layouts_agree(l, UC_SHAPE4(2, 10, 2, 2), 0, "channels");
    out = case_run(l, UC_SHAPE4(2, 10, 2, 2));
    for (int n = 0; n < 2; n++)
        for (int c = 0, part = 0, first = 0; c < 10; c++) {
            if (c == first + l.in[part].shape.dim[1]) first += (int)l.in[part++].shape.dim[1];
            for (int p = 0; p < 4; p++)
                cr_assert_eq(case_get(&out, (n * 10 + c) * 4 + p),
                             case_get(&l.in[part], (n * l.in[part].shape.dim[1] + c - first) * 4 + p));
        }
}

Test(ref_moves, by_hand) {
    const uc_view x = VALUES(UC_SHAPE2(2, 3), 1, 2, 3, 4, 5, 6);
    uc_launch l = launch_of(UC_OP_repeat, x, absent, absent);
    l.attrs.repeat.times = 2;
    uc_view out = case_run(l, UC_SHAPE2(4, 3));
    EXPECT(out, 0, "repeat", 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
    const uc_step step = { .index = 1 };
    l = launch_of(UC_OP_select_row, x, absent, absent);
    l.step = &step;
    out = case_run(l, UC_SHAPE2(1, 3));
    EXPECT(out, 0, "select_row", 4, 5, 6);
    out = case_run(launch_of(UC_OP_transpose, x, absent, absent), UC_SHAPE2(3, 2));
    EXPECT(out, 0, "transpose", 1, 4, 2, 5, 3, 6);
    l = launch_of(UC_OP_slice, x, absent, absent);
    l.attrs.slice = (uc_slice_attrs){ .dim = 1, .begin = 1 };
    out = case_run(l, UC_SHAPE2(2, 2));
    EXPECT(out, 0, "slice of columns", 2, 3, 5, 6);
    l.attrs.slice = (uc_slice_attrs){ .dim = 0, .begin = 1 };
    out = case_run(l, UC_SHAPE2(1, 3));
    EXPECT(out, 0, "slice of rows", 4, 5, 6);
    l.in[0] = VALUES(UC_SHAPE3(2, 3, 2), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    l.attrs.slice = (uc_slice_attrs){ .dim = 1, .begin = 1 };
    out = case_run(l, UC_SHAPE3(2, 1, 2));
    EXPECT(out, 0, "slice of tokens", 3, 4, 9, 10);
    const uc_view deep = VALUES(UC_SHAPE3(2, 1, 2), 1, 2, 3, 4);
    out = case_run(launch_of(UC_OP_transpose, deep, absent, absent), UC_SHAPE3(2, 2, 1));
    EXPECT(out, 0, "transpose of each", 1, 2, 3, 4);
    const uc_view tokens = VALUES(UC_SHAPE3(2, 3, 1), 1, 2, 3, 4, 5, 6);
    l = launch_of(UC_OP_gather_token, tokens, case_ints(UC_SHAPE1(2), (const int32_t[]){ 2, 0 }), absent);
    out = case_run(l, UC_SHAPE2(2, 1));
    EXPECT(out, 0, "gather by index", 3, 4);
    l = launch_of(UC_OP_gather_token, tokens, absent, absent);
    l.attrs.gather_token.token = 1;
    out = case_run(l, UC_SHAPE2(2, 1));
    EXPECT(out, 0, "gather by attribute", 2, 5);
}

Test(ref_moves, pictures_and_tokens) {
    const uc_view image = VALUES(UC_SHAPE4(1, 2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8);
    uc_view out = case_run(launch_of(UC_OP_image_to_tokens, image, absent, absent), UC_SHAPE3(1, 4, 2));
    EXPECT(out, 0, "image_to_tokens", 1, 5, 2, 6, 3, 7, 4, 8);
    for (int layout = UC_PLAIN; layout <= UC_NHWC; layout++) {
        const uc_view x = case_random(UC_F32, (uc_layout)layout, UC_SHAPE4(2, 3, 4, 5), 1);
        const uc_view tokens = case_run(launch_of(UC_OP_image_to_tokens, x, absent, absent), UC_SHAPE3(2, 20, 3));
        for (int other = UC_PLAIN; other <= UC_NHWC; other++) {
            const uc_view back = case_run_as(launch_of(UC_OP_tokens_to_image, tokens, absent, absent), UC_F32,
                                             (uc_layout)other, x.shape);
            expect_same(&x, &back, 0, "there and back");
        }
        uc_launch repeat = launch_of(UC_OP_repeat, x, absent, absent);
        repeat.attrs.repeat.times = 2;
        expect_layouts_agree(repeat, UC_SHAPE4(4, 3, 4, 5), 0, "repeat");
    }
}

/* 127.5 and 128.5 are halves, which go to even; what lies outside is cut, what is no number is said to be none. */
Test(ref_to_bytes, by_hand) {
    const uc_view x = VALUES(UC_SHAPE4(1, 3, 1, 4), -1, 0, 1, 2, -3, 1.0 / 255, 0.5, NAN, INFINITY, -INFINITY, 0, 0);
    const uc_view out = case_run_as(launch_of(UC_OP_to_bytes, x, absent, absent), UC_U8, UC_PLAIN, UC_SHAPE3(1, 4, 4));
    EXPECT(out, 0, "bytes", 0, 0, 255, 0, 128, 128, 0, 0, 255, 191, 128, 255, 255, 0, 128, 0);
}

/* Rounded once, halves to even; and an NHWC buffer holds the channels innermost. */
Test(ref_reorder, layouts_and_rounding) {
    const uc_view x = VALUES(UC_SHAPE4(1, 2, 1, 3), 1, 2, 3, 4, 5, 6);
    const uc_view nhwc = case_run_as(launch_of(UC_OP_reorder, x, absent, absent), UC_F32, UC_NHWC, x.shape);
    const float wanted[] = { 1, 4, 2, 5, 3, 6 };
    cr_assert_eq(memcmp(nhwc.data, wanted, sizeof wanted), 0);
    const uc_view back = case_run(launch_of(UC_OP_reorder, nhwc, absent, absent), x.shape);
    expect_same(&x, &back, 0, "there and back");
    const uc_view fine = VALUES(UC_SHAPE2(1, 4), 1 + 0x1p-8, 1 + 0x3p-8, 1 + 0x1.8p-8, 65536);
    uc_view out = case_run_as(launch_of(UC_OP_reorder, fine, absent, absent), UC_BF16, UC_PLAIN, fine.shape);
    EXPECT(out, 0, "bf16", 1, 1 + 0x1p-6, 1 + 0x1p-7, 65536);
    const uc_view half = VALUES(UC_SHAPE2(1, 3), 1 + 0x1p-11, 1 + 0x3p-11, 0x1p-24);
    out = case_run_as(launch_of(UC_OP_reorder, half, absent, absent), UC_F16, UC_PLAIN, half.shape);
    EXPECT(out, 0, "f16", 1, 1 + 0x1p-9, 0x1p-24);
}

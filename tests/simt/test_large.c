/* test_large.c - batches as large as the memory of a large GPU allows: 24 pictures of the second upsampler, 1024 x 1024 with
 * 192 channels and as many from a skip connection, are 9.7e9 numbers, more than 32 bits count. Each kernel must have a
 * row for them; none is run. What no row can count is refused, not counted wrong. */
#include <string.h>

#include "harness.h"
#include "kernels/cuda/cuda_ops.h"

enum { BATCH = 24, CHANNELS = 192, SIDE = 1024 };

static uc_view picture(int64_t batch, int64_t channels, int64_t side, uc_dtype type, uc_layout layout) {
    return (uc_view){ .dtype = type, .layout = layout, .shape = UC_SHAPE4(batch, channels, side, side) };
}

static void expect_row(const uc_launch *l, const char *row) {
    const uc_cuda_rows rows = uc_cuda_kernel(l->kind).rows(l);
    const char *got = rows.chosen < 0 ? "none" : rows.name[rows.chosen];
    expect(!strcmp(got, row), "%s: row %s, expected %s", uc_op_info_of(l->kind)->name, got, row);
}

SIMT_TEST(large_skip_connection) {
    const uc_view half = picture(BATCH, CHANNELS, SIDE, UC_F16, UC_NHWC);
    uc_launch l = { .kind = UC_OP_concat, .attrs.concat.dim = 1, .in = { half, half },
                    .out = { picture(BATCH, 2 * CHANNELS, SIDE, UC_F16, UC_NHWC) } };
    expect_row(&l, "copy 16 bytes");
    l.in[0].dtype = l.in[1].dtype = l.out[0].dtype = UC_F32;
    expect_row(&l, "copy 16 bytes");
    /* channels that no wide unit divides: 2^32 units of 2 bytes are one too many */
    l.in[0] = l.in[1] = picture(4096, 1, SIDE, UC_F16, UC_NHWC);
    l.out[0] = picture(4096, 2, SIDE, UC_F16, UC_NHWC);
    expect_row(&l, "none");
    l.in[0] = l.in[1] = picture(4095, 1, SIDE, UC_F16, UC_NHWC);
    l.out[0] = picture(4095, 2, SIDE, UC_F16, UC_NHWC);
    expect_row(&l, "copy 2 bytes");
}

SIMT_TEST(large_network) {
    const uc_view x = picture(BATCH, 2 * CHANNELS, SIDE, UC_F16, UC_NHWC);
    const uc_view vector = { .dtype = UC_F32, .shape = UC_SHAPE1(2 * CHANNELS) };
    uc_launch norm = { .kind = UC_OP_group_norm, .in = { x, vector, vector }, .out = { x } };
    norm.attrs.group_norm = (uc_group_norm_attrs){ .groups = 32, .eps = 1e-5f, .act = UC_SILU };
    expect_row(&norm, "split f16 x4");
    const uc_launch act = { .kind = UC_OP_activation, .attrs.activation.act = UC_SILU, .in = { x }, .out = { x } };
    expect_row(&act, "f16 vector");
    const uc_launch sum = { .kind = UC_OP_add, .in = { x, x }, .out = { x } };
    expect_row(&sum, "equal f16");
    const uc_launch grown = { .kind = UC_OP_resample, .attrs.resample.mode = UC_NEAREST,
                              .in = { picture(BATCH, CHANNELS, SIDE / 2, UC_F16, UC_NHWC) },
                              .out = { picture(BATCH, CHANNELS, SIDE, UC_F16, UC_NHWC) } };
    expect_row(&grown, "f16 vector");
}

SIMT_TEST(large_ends) {
    const uc_view x = picture(1024, 3, SIDE, UC_F32, UC_PLAIN); /* 3.2e9 numbers */
    const uc_launch in = { .kind = UC_OP_reorder, .in = { x }, .out = { picture(1024, 3, SIDE, UC_F16, UC_NHWC) } };
    expect_row(&in, "turn convert");
    uc_launch step = { .kind = UC_OP_noise_step, .in = { x, x, x }, .out = { x, x } };
    expect_row(&step, "f32 vector");
    const uc_launch bytes = { .kind = UC_OP_to_bytes, .in = { x },
                              .out = { { .dtype = UC_U8, .shape = UC_SHAPE3(1024, SIDE * SIDE, 4) } } };
    expect_row(&bytes, "pixels");
}

/* graph.c - recording: shapes, scopes and the first error that sticks. */
#include <criterion/criterion.h>
#include <string.h>

#include "engine/core/record.h"

static float zeros[64];
static uc_param items[] = {
    { .name = "block.0.conv.bias", .dtype = UC_F32, .rank = 1, .dim = { 4 }, .data = zeros },
    { .name = "block.0.conv.weight", .dtype = UC_F32, .rank = 4, .dim = { 4, 2, 1, 1 }, .data = zeros },
    { .name = "ids.weight", .dtype = UC_I64, .rank = 2, .dim = { 2, 4 }, .data = zeros },
    { .name = "spare", .dtype = UC_F32, .rank = 1, .dim = { 1 }, .data = zeros },
};
static const uc_params params = { .component = "decoder", .file = "decoder/weights", .count = 4, .items = items };

static uc_graph *new_graph(void) {
    uc_graph *g = uc_graph_new("test", UC_F32);
    uc_use_params(g, &params);
    return g;
}

static void expect_failure(uc_graph *g, unclip_status status, const char *message) {
    unclip_error err = { 0 };
    cr_expect_eq(uc_graph_finish(g, &err), status);
    cr_expect_str_eq(err.message, message);
    uc_graph_free(g);
}

Test(core_graph, misshapen_weight_is_named_with_its_scope) {
    uc_graph *g = new_graph();
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE4(1, 3, 8, 8));
    const uc_scope s = uc_scope_push(g, "block.%d", 0);
    const uc_val y = uc_conv2d(g, x, "conv", .channels = 4, .kernel = 3, .pad = 1);
    uc_scope_pop(g, s);
    cr_expect_not(uc_present(y));
    cr_expect_not(uc_present(uc_activation(g, y, UC_SILU)), "a poisoned graph records nothing");
    expect_failure(g, UNCLIP_ERR_MODEL_DATA, "decoder.block.0.conv: weight is [4,2,1,1], expected [4,3,3,3]");
}

Test(core_graph, missing_weight_is_named) {
    uc_graph *g = new_graph();
    uc_weight(g, "norm.weight", UC_SHAPE1(4));
    expect_failure(g, UNCLIP_ERR_MODEL_DATA,
                   "decoder: norm.weight is missing from decoder/weights, expected [4]");
}

Test(core_graph, integer_weight_is_refused) {
    uc_graph *g = new_graph();
    const uc_scope s = uc_scope_push(g, "ids");
    uc_weight(g, "weight", UC_SHAPE2(2, 4));
    uc_scope_pop(g, s);
    expect_failure(g, UNCLIP_ERR_MODEL_DATA, "decoder.ids: weight has type I64, expected F32, F16 or BF16");
}

Test(core_graph, surplus_tensor_is_named) {
    for (size_t i = 0; i < params.count; i++) items[i].used = i != 3;
    unclip_error err = { 0 };
    cr_expect_eq(uc_params_check_all_used(&params, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect_str_eq(err.message, "decoder: tensor spare of decoder/weights belongs to no part of the network that the "
                                  "configuration describes");
}

Test(core_graph, only_the_first_error_counts) {
    uc_graph *g = new_graph();
    uc_graph_fail(g, UNCLIP_ERR_UNSUPPORTED, "first");
    uc_graph_fail(g, UNCLIP_ERR_INTERNAL, "second");
    expect_failure(g, UNCLIP_ERR_UNSUPPORTED, "decoder: first");
}

Test(core_graph, shapes_follow_from_operands) {
    uc_graph *g = new_graph();
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE4(2, 2, 9, 7));
    const uc_scope s = uc_scope_push(g, "block.0");
    const uc_val y = uc_conv2d(g, x, "conv", .channels = 4, .kernel = 1, .stride = 2);
    uc_scope_pop(g, s);
    cr_expect(uc_shape_equal(uc_shape_of(g, y), UC_SHAPE4(2, 4, 5, 4)));
    const uc_val t = uc_image_to_tokens(g, y);
    cr_expect(uc_shape_equal(uc_shape_of(g, t), UC_SHAPE3(2, 20, 4)));
    const uc_val parts[] = { t, uc_slice(g, t, 1, 3, 5) };
    cr_expect(uc_shape_equal(uc_shape_of(g, uc_concat(g, 1, parts, 2)), UC_SHAPE3(2, 25, 4)));
    cr_expect(uc_shape_equal(uc_shape_of(g, uc_repeat(g, t, 3)), UC_SHAPE3(6, 20, 4)));
    cr_expect_eq(uc_graph_finish(g, NULL), UNCLIP_OK);
    uc_graph_free(g);
}

Test(core_graph, operands_that_do_not_fit_are_refused) {
    struct { uc_shape a, b; const char *message; } cases[] = {
        { UC_SHAPE2(2, 4), UC_SHAPE2(3, 4), "decoder: second addend is [3,4], expected [2,4]" },
        { UC_SHAPE3(2, 5, 4), UC_SHAPE1(5), "decoder: second addend is [5], expected [2,5,4]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_graph *g = new_graph();
        uc_add(g, uc_state(g, "a", UC_F32, cases[i].a), uc_state(g, "b", UC_F32, cases[i].b));
        expect_failure(g, UNCLIP_ERR_INTERNAL, cases[i].message);
    }
}

/* network.c - see network.h. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core/philox.h"

static float normal(uint64_t seed, uint32_t what, int64_t i) {
    float four[4];
    uc_philox_normal4(seed, what, 0, (uint64_t)i / 4, four);
    return four[i % 4];
}

/* Sorted by name, as a weight file's are. */
static const struct {
    const char *name;
    int rank;
    int64_t dim[4];
} tensors[] = {
    { "context.bias", 1, { 32 } },     { "context.weight", 2, { 32, 24 } },
    { "conv_in.bias", 1, { 16 } },     { "conv_in.weight", 4, { 16, 3, 3, 3 } },
    { "conv_out.bias", 1, { 3 } },     { "conv_out.weight", 4, { 3, 16, 3, 3 } },
    { "down.bias", 1, { 32 } },        { "down.weight", 4, { 32, 16, 3, 3 } },
    { "key.weight", 2, { 32, 32 } },   { "norm.bias", 1, { 16 } },
    { "norm.weight", 1, { 16 } },      { "norm_out.bias", 1, { 16 } },
    { "norm_out.weight", 1, { 16 } },  { "out.bias", 1, { 32 } },
    { "out.weight", 2, { 32, 32 } },   { "query.weight", 2, { 32, 32 } },
    { "time.bias", 1, { 32 } },        { "time.weight", 2, { 32, 32 } },
    { "up.bias", 1, { 16 } },          { "up.weight", 4, { 16, 48, 3, 3 } },
    { "value.weight", 2, { 32, 32 } },
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

uc_params *network_params(uc_dtype type, uint64_t seed) {
    uc_params *p = calloc(1, sizeof *p);
    *p = (uc_params){
        .component = "net", .file = "memory", .count = TENSORS, .items = calloc(TENSORS, sizeof *p->items)
    };
    for (uint32_t t = 0; t < TENSORS; t++) {
        uc_param *item = &p->items[t];
        *item = (uc_param){ .name = tensors[t].name, .dtype = type, .rank = tensors[t].rank };
        int64_t count = 1, fan = 1;
        for (int d = 0; d < item->rank; d++) {
            item->dim[d] = tensors[t].dim[d];
            count *= item->dim[d];
            if (d) fan *= item->dim[d];
        }
        const bool scale = strstr(item->name, "norm") && strstr(item->name, "weight");
        void *data = calloc((size_t)count, uc_dtype_size(type));
        for (int64_t i = 0; i < count; i++)
            uc_set(data, type, i,
                   (scale ? 1 : 0) + (double)normal(seed, t, i) * (fan > 1 ? 1 / sqrt((double)fan) : 0.1));
        item->data = data;
    }
    return p;
}

void network_params_free(uc_params *params) {
    for (size_t i = 0; i < params->count; i++) free((void *)(uintptr_t)params->items[i].data);
    free(params->items);
    free(params);
}

/* A UNet of two levels on x [2b,3,16,16] with the time's row and the context's keys and values. */
static uc_val network(uc_graph *g, uc_val x, uc_val row, uc_val k, uc_val v) {
    const uc_scope scope = uc_scope_push(g, "%s", "");
    const int64_t batch = uc_shape_of(g, x).dim[0];
    const uc_val skip = uc_conv2d(g, x, "conv_in", .channels = NET_CHANNELS, .kernel = 3, .pad = 1);
    const uc_val norm = uc_group_norm(g, skip, "norm", .groups = 4, .eps = 1e-5f, .act = UC_SILU,
                                      .scale_shift = uc_repeat(g, row, (int)batch));
    const uc_val half = uc_resample(g, norm, UC_AVERAGE, NET_SIZE / 2, NET_SIZE / 2);
    const uc_val down = uc_conv2d(g, half, "down", .channels = 32, .kernel = 3, .pad = 1);
    const uc_val tokens = uc_image_to_tokens(g, down);
    const uc_val attended = uc_attention(g, .q = uc_linear(g, tokens, "query", .features = 32, .no_bias = true),
                                         .k = uc_linear(g, tokens, "key", .features = 32, .no_bias = true),
                                         .v = uc_linear(g, tokens, "value", .features = 32, .no_bias = true),
                                         .ctx_k = k, .ctx_v = v, .heads = 4);
    const uc_val out = uc_linear(g, attended, "out", .features = 32, .act = UC_GELU, .residual = tokens);
    const uc_val up =
        uc_resample(g, uc_tokens_to_image(g, out, NET_SIZE / 2, NET_SIZE / 2), UC_NEAREST, NET_SIZE, NET_SIZE);
    const uc_val joined = uc_concat(g, 1, (uc_val[]){ up, skip }, 2);
    const uc_val y = uc_conv2d(g, joined, "up", .channels = NET_CHANNELS, .kernel = 3, .pad = 1, .residual = skip);
    const uc_val last = uc_group_norm(g, y, "norm_out", .groups = 16, .eps = 1e-5f, .act = UC_SILU);
    const uc_val prediction = uc_conv2d(g, last, "conv_out", .channels = 3, .kernel = 3, .pad = 1);
    uc_scope_pop(g, scope);
    return prediction;
}

uc_graph *network_graph(const uc_params *params, uc_dtype type, int64_t batch) {
    uc_graph *g = uc_graph_new("net", type);
    uc_use_params(g, params);
    const uc_val x = uc_state(g, "x", UC_F32, UC_SHAPE4(batch, 3, NET_SIZE, NET_SIZE));
    const uc_val x0 = uc_state(g, "x0", UC_F32, UC_SHAPE4(batch, 3, NET_SIZE, NET_SIZE));
    const uc_val seeds = uc_state(g, "seeds", UC_I64, UC_SHAPE1(batch));
    const uc_val context = uc_state(g, "context", UC_F32, UC_SHAPE3(2 * batch, NET_TOKENS, 24));
    const uc_val times = uc_state(g, "times", UC_F32, UC_SHAPE1(NET_STEPS));
    const uc_val table = uc_linear(g, uc_timestep(g, times, 32, true, 0), "time", .features = 32);
    const uc_val k = uc_linear(g, uc_copy(g, context, type), "context", .features = 32);
    uc_set_phase(g, 1);
    const uc_val both = uc_copy(g, uc_repeat(g, x, 2), type);
    const uc_val prediction = network(g, both, uc_select_row(g, table), k, k);
    uc_noise_step(g, .x = x, .x0 = x0, .prediction = prediction, .seeds = seeds, .kind = UC_PREDICT_EPSILON,
                  .guided = true);
    return g;
}

static void fill_inputs(int64_t first, int64_t batch, float *x, float *context, int64_t *seeds) {
    const int64_t width = NET_TOKENS * 24;
    for (int64_t n = 0; n < batch; n++) {
        const uint64_t image = 100 + (uint64_t)(first + n);
        seeds[n] = (int64_t)image;
        for (int64_t i = 0; i < NET_IMAGE; i++) x[n * NET_IMAGE + i] = normal(image, 1, i);
        for (int64_t i = 0; i < width; i++) {
            context[n * width + i] = normal(7, 2, i); /* unconditional rows are all alike */
            context[(batch + n) * width + i] = normal(image, 3, i);
        }
    }
}

unclip_status network_run(uc_backend *backend, uc_program *program, int64_t first, int64_t batch, float *x,
                          unclip_error *err) {
    const uc_graph *g = backend->plan(program)->graph;
    const float times[NET_STEPS] = { 900, 500, 100 };
    float *context = calloc((size_t)(2 * batch * NET_TOKENS * 24), sizeof *context);
    int64_t *seeds = calloc((size_t)batch, sizeof *seeds);
    fill_inputs(first, batch, x, context, seeds);
    const struct {
        const char *name;
        const void *data;
    } inputs[] = { { "x", x }, { "seeds", seeds }, { "context", context }, { "times", times } };
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs && !status; i++)
        status = backend->upload(program, uc_graph_state(g, inputs[i].name), inputs[i].data, err);
    if (!status) status = backend->run(program, 0, NULL, err);
    for (int32_t i = 0; i < NET_STEPS && !status; i++) {
        const uc_step step = { .index = i,
                               .stage = 1,
                               .noise_index = (uint32_t)i + 1,
                               .add_noise = i + 1 < NET_STEPS,
                               .guidance = 3,
                               .sqrt_alpha_bar = 0.8f,
                               .sqrt_beta_bar = 0.6f,
                               .clip = 1,
                               .c_x0 = 0.4f,
                               .c_x = 0.5f,
                               .sigma = 0.3f };
        status = backend->run(program, 1, &step, err);
    }
    if (!status) status = backend->download(program, uc_graph_state(g, "x"), x, err);
    free(context);
    free(seeds);
    return status;
}

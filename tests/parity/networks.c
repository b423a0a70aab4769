/* networks.c - each network alone, on the inputs that diffusers gave it: the same outputs within 1e-5 (2e-6 is
 * what one sees; a wrong epsilon or scale shows at 1e-4), on the fast CPU
 * kernels and on the reference. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/models/clip_image.h"
#include "engine/models/clip_text.h"
#include "engine/models/prior_diffusion.h"
#include "engine/models/text_proj.h"
#include "engine/models/unet.h"
#include "engine/tasks/stage_graphs.h"
#include "host/backends.h"
#include "host/loaded_model.h"
#include "support/device.h"
#include "support/golden.h"

/* The largest error over the largest number. In half precision: twelve units in the last place, 2^-11 in f16 and
 * 2^-8 in bf16. The networks round some twenty times one after the other; up to five such units are seen. */
static double bound_of(uc_dtype type) { return type == UC_F32 ? 1e-5 : ldexp(12, type == UC_F16 ? -11 : -8); }

/* One model on one backend. */
typedef struct bed {
    uc_loaded_model *loaded;
    uc_backend *backend;
    uc_session session;
    uc_graph *g;
    char what[128];
} bed;

static void on_bed(const char *model, bool reference, uc_dtype type, void (*test)(bed *, const golden_file *)) {
    char path[512];
    unclip_error err = { 0 };
    bed b = { 0 };
    snprintf(path, sizeof path, "%s/goldens/models/%s", UC_TEST_DATA, model);
    const uc_backend_options options = { .threads = 2 };
    if (reference) cr_assert_eq(uc_backend_ref_new(&b.backend, &options, &err), UNCLIP_OK, "%s", err.message);
    else b.backend = test_backend(2);
    cr_assert_eq(uc_loaded_model_open(&b.loaded, path, &err), UNCLIP_OK, "%s", err.message);
    b.session = (uc_session){ .model = &b.loaded->model, .backend = b.backend, .type = type };
    snprintf(b.what, sizeof b.what, "%s on %s", model, b.backend->name);
    golden_file main = golden_open("%s/main.safetensors", model);
    test(&b, &main);
    golden_close(&main);
    b.backend->close(b.backend);
    uc_loaded_model_close(b.loaded);
}

static uc_shape shape_of(const uc_param *p) {
    uc_shape s = { .rank = p->rank };
    for (int i = 0; i < p->rank; i++) s.dim[i] = p->dim[i];
    return s;
}

/* Recorded inputs wait here until the graph has become a program. */
typedef struct pending { const char *name; float *data; } pending;
enum { MOST_INPUTS = 8 };
typedef struct inputs { pending item[MOST_INPUTS]; int count; } inputs;

static uc_val feed(bed *b, inputs *in, const char *name, uc_shape shape, float *data) {
    in->item[in->count++] = (pending){ name, data };
    return uc_state(b->g, name, UC_F32, shape);
}

static uc_val feed_golden(bed *b, inputs *in, const golden_file *g, const char *name) {
    const uc_param *p = golden_get(g, name);
    const uc_val state = feed(b, in, name, shape_of(p), golden_floats(p));
    return b->session.type == UC_F32 ? state : uc_copy(b->g, state, b->session.type);
}

/* Runs the phases and compares the state "out". */
static void run_and_compare(bed *b, inputs *in, int phases, const char *what, const uc_param *want) {
    unclip_error err = { 0 };
    uc_program *program = NULL;
    const uc_step step = { 0 };
    char title[256];
    snprintf(title, sizeof title, "%s: %s", b->what, what);
    cr_assert_eq(uc_program_new(b->backend, b->g, &program, &err), UNCLIP_OK, "%s: %s", title, err.message);
    const uc_graph *g = b->backend->plan(program)->graph;
    for (int i = 0; i < in->count; i++) {
        cr_assert_eq(b->backend->upload(program, uc_graph_state(g, in->item[i].name), in->item[i].data, &err),
                     UNCLIP_OK, "%s: %s", title, err.message);
        free(in->item[i].data);
    }
    for (int p = 0; p < phases; p++)
        cr_assert_eq(b->backend->run(program, p, &step, &err), UNCLIP_OK, "%s: %s", title, err.message);
    float *got = malloc((size_t)golden_count(want) * sizeof *got);
    cr_assert_eq(b->backend->download(program, uc_graph_state(g, "out"), got, &err), UNCLIP_OK, "%s: %s", title,
                 err.message);
    golden_expect_close(title, got, want, bound_of(b->session.type));
    free(got);
    b->backend->release(b->backend, program);
}

static void begin(bed *b, const uc_params *params) {
    b->g = uc_graph_new("test", b->session.type);
    if (params) uc_use_params(b->g, params);
}

static void end(bed *b, uc_val result, const uc_param *want) {
    uc_store(b->g, uc_state(b->g, "out", UC_F32, shape_of(want)), result);
}

/* Timestep `index` of a golden list as the only step of a run. */
static uc_val feed_timestep(bed *b, inputs *in, const golden_file *g, const char *name, int64_t index) {
    const uc_param *p = golden_get(g, name);
    float *t = malloc(sizeof *t);
    *t = (float)uc_get(p->data, p->dtype, index < 0 ? golden_count(p) + index : index);
    return feed(b, in, "timesteps", UC_SHAPE1(1), t);
}

/* 0 where the mask is set, else -10000; `extra` columns of 0 follow. */
static uc_val feed_bias(bed *b, inputs *in, const golden_file *g, const char *name, int64_t extra) {
    const uc_param *p = golden_get(g, name);
    const int64_t rows = p->dim[0], columns = p->dim[1] + extra;
    float *bias = calloc((size_t)(rows * columns), sizeof *bias);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < p->dim[1]; c++)
            bias[r * columns + c] = uc_get(p->data, p->dtype, r * p->dim[1] + c) != 0 ? 0.0f : -10000.0f;
    return feed(b, in, "bias", UC_SHAPE2(rows, columns), bias);
}

/* ---- the networks ------------------------------------------------------------------------------------------------ */

static void text_encoder(bed *b, const golden_file *main) {
    (void)main;
    char model[64];
    sscanf(b->what, "%63s", model);
    golden_file text = golden_open("%s/text.safetensors", model);
    const uc_param *ids = golden_get(&text, "input_ids");
    const uc_clip_text_config *c = &b->session.model->text;
    const int64_t rows = ids->dim[0];
    unclip_error err = { 0 };
    uc_program *program = NULL;
    cr_assert_eq(uc_program_new(b->backend, uc_text_graph(&b->session, rows), &program, &err), UNCLIP_OK, "%s",
                 err.message);
    const uc_graph *g = b->backend->plan(program)->graph;
    int32_t *data = golden_ints(ids), *ends = malloc((size_t)rows * sizeof *ends);
    for (int64_t i = 0; i < rows; i++) ends[i] = uc_clip_text_end(c, data + i * c->context, c->context);
    cr_assert_eq(b->backend->upload(program, uc_graph_state(g, "ids"), data, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(b->backend->upload(program, uc_graph_state(g, "end"), ends, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(b->backend->run(program, 0, NULL, &err), UNCLIP_OK, "%s", err.message);
    const struct { const char *state, *golden; } results[] = { { "embeds", "text_embeds" },
                                                               { "hidden", "last_hidden_state" } };
    for (int i = 0; i < 2; i++) {
        const uc_param *want = golden_get(&text, results[i].golden);
        float *got = malloc((size_t)golden_count(want) * sizeof *got);
        cr_assert_eq(b->backend->download(program, uc_graph_state(g, results[i].state), got, &err), UNCLIP_OK, "%s",
                     err.message);
        golden_expect_close(results[i].golden, got, want, bound_of(b->session.type));
        free(got);
    }
    free(data);
    free(ends);
    b->backend->release(b->backend, program);
    golden_close(&text);
}

static void image_encoder(bed *b, const golden_file *main) {
    (void)main;
    char model[64];
    sscanf(b->what, "%63s", model);
    golden_file images = golden_open("%s/images.safetensors", model);
    int tried = 0;
    for (size_t i = 0; i < images.file.count; i++) {
        const char *name = images.file.items[i].name, *dot = strstr(name, ".pixel_values");
        char result[128];
        if (!dot) continue;
        snprintf(result, sizeof result, "%.*s.image_embeds", (int)(dot - name), name);
        inputs in = { .count = 0 };
        begin(b, b->session.model->image_params);
        const uc_param *want = golden_get(&images, result);
        end(b, uc_clip_image_record(b->g, &b->session.model->image, feed_golden(b, &in, &images, name)), want);
        run_and_compare(b, &in, 1, result, want);
        tried++;
    }
    cr_expect_gt(tried, 3);
    golden_close(&images);
}

static void prior(bed *b, const golden_file *g) {
    inputs in = { .count = 0 };
    begin(b, b->session.model->prior_params);
    const uc_param *want = golden_get(g, "prior_first_output"), *x = golden_get(g, "prior_latents");
    uc_prior_inputs p = { .timesteps = feed_timestep(b, &in, g, "prior_timesteps", 0),
                          .text_embeds = feed_golden(b, &in, g, "text_embeds"),
                          .text_hidden = feed_golden(b, &in, g, "last_hidden_state"),
                          .mask_bias = feed_bias(b, &in, g, "text_mask", 1) };
    const uc_val latents = feed_golden(b, &in, g, "prior_latents");
    uc_set_phase(b->g, 1);
    p.x = uc_repeat(b->g, latents, (int)(want->dim[0] / x->dim[0]));
    end(b, uc_prior_record(b->g, &b->session.model->prior, &p), want);
    run_and_compare(b, &in, 2, "prior, first step", want);
}

static uc_text_proj project(bed *b, inputs *in, const golden_file *g) {
    const bool guided = golden_get(g, "text_embeds")->dim[0] != golden_get(g, "image_embeddings")->dim[0];
    return uc_text_proj_record(b->g, &b->session.model->text_proj, feed_golden(b, in, g, "image_embeddings"),
                               feed_golden(b, in, g, "text_embeds"), feed_golden(b, in, g, "last_hidden_state"),
                               guided);
}

static void text_proj(bed *b, const golden_file *g) {
    for (int i = 0; i < 2; i++) {
        const uc_param *want = golden_get(g, i ? "decoder_context" : "decoder_additive");
        inputs in = { .count = 0 };
        begin(b, b->session.model->text_proj_params);
        const uc_text_proj out = project(b, &in, g);
        end(b, i ? out.context : out.time, want);
        run_and_compare(b, &in, 1, want->name, want);
    }
}

static void decoder(bed *b, const golden_file *g) {
    inputs in = { .count = 0 };
    begin(b, b->session.model->decoder_params);
    const uc_param *want = golden_get(g, "decoder_first_output"), *x = golden_get(g, "decoder_latents");
    uc_unet_inputs u = { .timesteps = feed_timestep(b, &in, g, "decoder_timesteps", 0),
                         .time_addend = feed_golden(b, &in, g, "decoder_additive"),
                         .context = feed_golden(b, &in, g, "decoder_context"),
                         .context_bias = feed_bias(b, &in, g, "decoder_mask", 0) };
    const uc_val latents = feed_golden(b, &in, g, "decoder_latents");
    uc_set_phase(b->g, 1);
    u.x = uc_repeat(b->g, latents, (int)(want->dim[0] / x->dim[0]));
    end(b, uc_unet_record(b->g, &b->session.model->decoder, &u), want);
    run_and_compare(b, &in, 2, "decoder, first step", want);
}

static void upsampler(bed *b, const golden_file *g, bool last) {
    inputs in = { .count = 0 };
    begin(b, last ? b->session.model->sr256_last_params : b->session.model->sr256_params);
    const uc_param *want = golden_get(g, last ? "super_res_last_output" : "super_res_first_output");
    const uc_val noisy = feed_golden(b, &in, g, last ? "super_res_last_input" : "super_res_latents");
    const uc_val parts[] = { noisy, feed_golden(b, &in, g, "upscaled") };
    uc_unet_inputs u = { .timesteps = feed_timestep(b, &in, g, "super_res_timesteps", last ? -1 : 0) };
    uc_set_phase(b->g, 1);
    u.x = uc_concat(b->g, 1, parts, 2);
    end(b, uc_unet_record(b->g, &b->session.model->sr256, &u), want);
    run_and_compare(b, &in, 2, want->name, want);
}

static void upsamplers(bed *b, const golden_file *g) {
    upsampler(b, g, false);
    upsampler(b, g, true);
}

static void bicubic(bed *b, const golden_file *g) {
    inputs in = { .count = 0 };
    begin(b, NULL);
    const uc_param *want = golden_get(g, "upscaled");
    end(b, uc_resample(b->g, feed_golden(b, &in, g, "decoder_final"), UC_BICUBIC, want->dim[2], want->dim[3]), want);
    run_and_compare(b, &in, 1, "bicubic enlargement", want);
}

static void on_every_model(bool reference, uc_dtype type, void (*test)(bed *, const golden_file *)) {
    on_bed("tiny-a", reference, type, test);
    on_bed("tiny-b", reference, type, test);
}

/* In half precision on devices that have it; the CPU's is slow, and its kernels are tested one by one. */
static void in_half(uc_dtype type, void (*test)(bed *, const golden_file *)) {
    const char *device = test_device();
    if (!strcmp(device, "auto") || !strcmp(device, "cpu")) cr_skip_test("UNCLIP_TEST_DEVICE names no device");
    on_every_model(false, type, test);
}

#define ON_EVERY_MODEL(name, function) \
    Test(parity_networks, name##_cpu) { on_every_model(false, UC_F32, function); } \
    Test(parity_networks, name##_ref) { on_every_model(true, UC_F32, function); } \
    Test(parity_half, name##_f16) { in_half(UC_F16, function); } \
    Test(parity_half, name##_bf16) { in_half(UC_BF16, function); }

ON_EVERY_MODEL(text_encoder, text_encoder)
ON_EVERY_MODEL(image_encoder, image_encoder)
ON_EVERY_MODEL(prior, prior)
ON_EVERY_MODEL(text_proj, text_proj)
ON_EVERY_MODEL(decoder, decoder)
ON_EVERY_MODEL(upsamplers, upsamplers)
ON_EVERY_MODEL(bicubic, bicubic)

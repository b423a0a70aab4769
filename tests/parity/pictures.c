/* pictures.c - whole runs with PyTorch's random numbers against diffusers' UnCLIPPipeline: tokens equal, each stage within
 * 1e-4 when fed what the pipeline's stage was fed, and the picture as good as equal. The cases are those of
 * tests/goldens/<model>/cases.json: guidance on and off, odd prompts, other step counts, batches. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tasks/stage_run.h"
#include "host/backends.h"
#include "host/loaded_model.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/pictures.h"

static const double PARITY = 1e-4;

/* A case of a model, as the goldens list it. */
typedef struct parity_case {
    char model[64], name[64], path[512];
    const json_t *settings;
    const char *prompts[8];
    unclip_generate_options options;
} parity_case;

static double number(const parity_case *c, const char *key) {
    const json_t *value = json_object_get(c->settings, key);
    cr_assert(json_is_number(value), "%s/%s: no %s", c->model, c->name, key);
    return json_number_value(value);
}

static void fill_options(parity_case *c) {
    unclip_generate_options *o = &c->options;
    const json_t *prompts = json_object_get(c->settings, "prompts");
    unclip_generate_options_init(o);
    o->prompt_count = json_array_size(prompts);
    for (size_t i = 0; i < o->prompt_count; i++) c->prompts[i] = json_string_value(json_array_get(prompts, i));
    o->prompts = c->prompts;
    o->images_per_prompt = (size_t)number(c, "images_per_prompt");
    o->batch_size = o->prompt_count * o->images_per_prompt;
    o->seed = (uint64_t)number(c, "seed");
    o->rng = UNCLIP_RNG_TORCH_CPU;
    o->stage[UNCLIP_STAGE_PRIOR].steps = (int)number(c, "prior_steps");
    o->stage[UNCLIP_STAGE_DECODER].steps = (int)number(c, "decoder_steps");
    o->stage[UNCLIP_STAGE_SR256].steps = (int)number(c, "super_res_steps");
    o->stage[UNCLIP_STAGE_PRIOR].guidance = (float)number(c, "prior_guidance_scale");
    o->stage[UNCLIP_STAGE_DECODER].guidance = (float)number(c, "decoder_guidance_scale");
}

static void each_case(const char *model, void (*test)(parity_case *)) {
    char path[512];
    snprintf(path, sizeof path, "%s/goldens/%s/cases.json", UC_TEST_DATA, model);
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    cr_assert_not_null(root, "%s: %s", path, where.text);
    const char *name;
    json_t *settings;
    json_object_foreach(json_object_get(root, "cases"), name, settings) {
        if (!json_object_get(settings, "prompts")) continue; /* image variations */
        parity_case c = { .settings = settings };
        snprintf(c.model, sizeof c.model, "%s", model);
        snprintf(c.name, sizeof c.name, "%s", name);
        snprintf(c.path, sizeof c.path, "%s/goldens/models/%s", UC_TEST_DATA, model);
        fill_options(&c);
        test(&c);
    }
    json_decref(root);
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

static void picture(parity_case *c) {
    char what[160];
    snprintf(what, sizeof what, "%s/%s", c->model, c->name);
    golden_file g = golden_open("%s/%s.safetensors", c->model, c->name);
    const uc_param *want = golden_get(&g, "image_u8");
    unclip_engine *engine = open_engine(c->path);
    c->options.size = (int)want->dim[1];
    album a = draw_album(engine, &c->options);
    cr_assert_eq((int64_t)a.size, golden_count(want), "%s", what);
    cr_assert_eq(want->dtype, UC_U8);
    expect_same_bytes(what, a.rgb, want->data, golden_count(want));
    free(a.rgb);
    unclip_engine_close(engine);
    golden_close(&g);
}

Test(parity_pictures, tiny_a) { each_case("tiny-a", picture); }
Test(parity_pictures, tiny_b) { each_case("tiny-b", picture); }
Test(parity_pictures, tiny_c_stored_in_half_precision) { each_case("tiny-c", picture); }

/* ---- stage by stage ---------------------------------------------------------------------------------------------- */

/* The generator as the pipeline's earlier draws left it. */
static void skip_draws(uc_noise_source *noise, int64_t sample, int steps) {
    float *unused = malloc((size_t)sample * sizeof *unused);
    for (int i = 0; i < steps; i++) uc_noise_source_fill(noise, unused, 1, sample, NULL, 0, 0);
    free(unused);
}

static void expect_same_tokens(const parity_case *c, const uc_request *request, const golden_file *g) {
    const uc_param *ids = golden_get(g, "input_ids"), *mask = golden_get(g, "attention_mask");
    for (int64_t row = 0; row < ids->dim[0]; row++) {
        int used = 0;
        for (int64_t t = 0; t < ids->dim[1]; t++) {
            const int64_t i = row * ids->dim[1] + t;
            cr_expect_eq(request->ids[i], (int32_t)uc_get(ids->data, ids->dtype, i), "%s/%s: token %lld of prompt %lld",
                         c->model, c->name, (long long)t, (long long)row);
            used += uc_get(mask->data, mask->dtype, i) != 0;
        }
        cr_expect_eq(request->used[row], used);
    }
}

/* Runs one stage on recorded inputs. `drawn` counts the samples that came out of the generator before. */
static void run_stage(const parity_case *c, uc_cascade *cascade, unclip_stage stage, const uc_stage_io *in,
                      const uc_param *want) {
    char what[256];
    unclip_error err = { 0 };
    const uc_model *m = cascade->session->model;
    snprintf(what, sizeof what, "%s/%s: %s", c->model, c->name, unclip_stage_name(stage));
    uc_noise_source_init(&cascade->noise, UNCLIP_RNG_TORCH_CPU, c->options.seed);
    for (int s = 0; s < (int)stage; s++)
        skip_draws(&cascade->noise, (int64_t)cascade->count * uc_sample_count(m, (unclip_stage)s),
                   cascade->request->sampler[s]->count);
    uc_stage_io io = *in;
    io.out = malloc((size_t)golden_count(want) * sizeof *io.out);
    cr_assert_eq(uc_stage_run(cascade, stage, &io, &err), UNCLIP_OK, "%s: %s", what, err.message);
    golden_expect_close(what, io.out, want, PARITY);
    free(io.out);
}

static void stages(parity_case *c) {
    unclip_error err = { 0 };
    golden_file g = golden_open("%s/%s.safetensors", c->model, c->name);
    uc_backend *backend = test_backend(2);
    uc_loaded_model *loaded = NULL;
    cr_assert_eq(uc_loaded_model_open(&loaded, c->path, &err), UNCLIP_OK, "%s", err.message);
    const uc_session session = { .model = &loaded->model, .backend = backend, .type = UC_F32 };
    uc_request request;
    cr_assert_eq(uc_request_new(&request, &session, &c->options, &err), UNCLIP_OK, "%s", err.message);
    expect_same_tokens(c, &request, &g);
    uc_text_features text;
    cr_assert_eq(uc_text_features_new(&text, &session, request.ids, request.used, (int64_t)c->options.prompt_count + 1,
                                      &err), UNCLIP_OK, "%s", err.message);
    uc_cascade cascade = { .session = &session, .request = &request, .count = request.images, .text = &text };
    uc_stage_io none = { 0 };
    run_stage(c, &cascade, UNCLIP_STAGE_PRIOR, &none, golden_get(&g, "image_embeddings"));
    float *embedding = golden_floats(golden_get(&g, "image_embeddings"));
    run_stage(c, &cascade, UNCLIP_STAGE_DECODER, &(uc_stage_io){ .embedding = embedding },
              golden_get(&g, "decoder_final"));
    free(embedding);
    if (golden_find(&g, "super_res_final")) {
        float *low = golden_floats(golden_get(&g, "decoder_final"));
        run_stage(c, &cascade, UNCLIP_STAGE_SR256, &(uc_stage_io){ .low = low }, golden_get(&g, "super_res_final"));
        free(low);
    }
    uc_text_features_free(&text);
    uc_request_free(&request);
    backend->close(backend);
    uc_loaded_model_close(loaded);
    golden_close(&g);
}

Test(parity_stages, tiny_a) { each_case("tiny-a", stages); }
Test(parity_stages, tiny_b) { each_case("tiny-b", stages); }
Test(parity_stages, tiny_c) { each_case("tiny-c", stages); }

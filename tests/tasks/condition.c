/* condition.c - the decoder without a prior (paper section 5.1): given embeddings are diffusers' image variations, the
 * other conditions are given embeddings in disguise; and of several candidates of the prior the nearest to the text is
 * kept. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tasks/stage_run.h"
#include "host/backends.h"
#include "host/loaded_model.h"
#include "support/golden.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"

static const char *const PROMPT[] = { "two dogs in the park" };

static unclip_generate_options quick(void) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = PROMPT;
    o.prompt_count = 1;
    o.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = 3;
    return o;
}

static void expect_equal_pictures(const char *what, unclip_generate_options a, unclip_generate_options b, bool equal) {
    unclip_engine *engine = open_engine(TINY_A);
    album one = draw_album(engine, &a), two = draw_album(engine, &b);
    cr_assert_eq(one.size, two.size);
    cr_expect_eq(memcmp(one.rgb, two.rgb, one.size) == 0, equal, "%s", what);
    free(one.rgb);
    free(two.rgb);
    unclip_engine_close(engine);
}

/* diffusers' UnCLIPImageVariationPipeline: the empty caption, two pictures in one call. */
Test(tasks_condition, a_given_embedding_is_diffusers_image_variation) {
    golden_file g = golden_open("tiny-a/variation.safetensors");
    const uc_param *embeddings = golden_get(&g, "image_embeddings"), *want = golden_get(&g, "image_u8");
    float *z = golden_floats(embeddings);
    cr_assert_arr_eq(z, z + embeddings->dim[1], (size_t)embeddings->dim[1] * sizeof *z, "one picture, drawn twice");
    static const char *const none[] = { "" };
    unclip_generate_options o = quick();
    o.prompts = none;
    o.prior_input = z;
    o.prior_input_dim = (size_t)embeddings->dim[1];
    o.images_per_prompt = (size_t)want->dim[0];
    o.rng = UNCLIP_RNG_TORCH_CPU;
    o.stage[UNCLIP_STAGE_DECODER] = (unclip_stage_options){ .steps = 4, .guidance = 3, .eta = -1 };
    o.stage[UNCLIP_STAGE_SR256].steps = 2;
    unclip_engine *engine = open_engine(TINY_A);
    album a = draw_album(engine, &o);
    cr_assert_eq((int64_t)a.size, golden_count(want));
    expect_same_bytes("variation", a.rgb, want->data, golden_count(want));
    free(a.rgb);
    free(z);
    golden_close(&g);
    unclip_engine_close(engine);
}

Test(tasks_condition, the_text_embedding_is_what_embed_says) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_embedding embedding;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_embed_text(engine, PROMPT[0], &embedding, &err), UNCLIP_OK, "%s", err.message);
    unclip_engine_close(engine);
    unclip_generate_options a = quick(), b = quick();
    a.condition = UNCLIP_CONDITION_TEXT_EMBEDDING;
    b.prior_input = embedding.values;
    b.prior_input_dim = embedding.dim;
    expect_equal_pictures("text embedding", a, b, true);
    expect_equal_pictures("text embedding and prior", a, quick(), false);
    b.condition = UNCLIP_CONDITION_CAPTION;
    b.prior_input = NULL;
    expect_equal_pictures("text embedding and caption alone", a, b, false);
    unclip_embedding_free(&embedding);
}

/* Guidance moves from the empty caption without an embedding to the caption without one: nowhere when that is empty
 * too. */
Test(tasks_condition, an_empty_caption_alone_is_not_guided) {
    static const char *const none[] = { "" };
    unclip_generate_options a = quick(), b;
    a.condition = UNCLIP_CONDITION_CAPTION;
    a.prompts = none;
    b = a;
    a.stage[UNCLIP_STAGE_DECODER].guidance = 1;
    b.stage[UNCLIP_STAGE_DECODER].guidance = 5;
    expect_equal_pictures("empty caption", a, b, true);
    a.prompts = b.prompts = PROMPT;
    expect_equal_pictures("a caption", a, b, false);
}

static void expect_refused(unclip_engine *engine, const unclip_generate_options *o, const char *text) {
    unclip_error err = { 0 };
    cr_expect_eq(unclip_generate(engine, o, &err), UNCLIP_ERR_ARGUMENT, "%s", text);
    cr_expect(strstr(err.message, text), "\"%s\": %s", text, err.message);
}

Test(tasks_condition, wrong_conditions_are_refused_by_name) {
    unclip_engine *engine = open_engine(TINY_A);
    float z[32] = { 0 };
    unclip_generate_options o = quick();
    o.condition = (unclip_condition)9;
    expect_refused(engine, &o, "condition 9 is unknown");
    o.condition = UNCLIP_CONDITION_CAPTION;
    o.prior_input = z;
    o.prior_input_dim = 32;
    expect_refused(engine, &o, "does without one");
    o.condition = UNCLIP_CONDITION_PRIOR;
    o.prior_input_dim = 31;
    expect_refused(engine, &o, "has 31 numbers, this model's have 32");
    o.prior_input_dim = 32;
    z[17] = NAN;
    expect_refused(engine, &o, "number 17 is not finite");
    unclip_engine_close(engine);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

typedef struct prior_run {
    uc_session session;
    uc_text_features text;
    uc_request request;
    int64_t dim;
} prior_run;

static void draw_embedding(prior_run *p, uint64_t seed, int candidates, float *z) {
    unclip_error err = { 0 };
    unclip_generate_options o = quick();
    o.seed = seed;
    o.prior_candidates = candidates;
    cr_assert_eq(uc_request_new(&p->request, &p->session, &o, &err), UNCLIP_OK, "%s", err.message);
    if (!p->text.embeds)
        cr_assert_eq(uc_text_features_new(&p->text, &p->session, p->request.ids, p->request.used, 2, &err), UNCLIP_OK);
    uc_cascade c = { .session = &p->session, .request = &p->request, .count = 1, .text = &p->text };
    const uc_stage_io io = { .out = z };
    uc_noise_source_init(&c.noise, UNCLIP_RNG_PHILOX, seed);
    cr_assert_eq(uc_stage_run(&c, UNCLIP_STAGE_PRIOR, &io, &err), UNCLIP_OK, "%s", err.message);
    uc_request_free(&p->request);
}

static double dot(const float *a, const float *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

Test(tasks_condition, the_candidate_nearest_to_the_text_is_kept) {
    enum { CANDIDATES = 5, SEEDS = 4 };
    unclip_error err = { 0 };
    uc_loaded_model *loaded = NULL;
    uc_backend *backend = NULL;
    const uc_backend_options options = { .threads = 1 };
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(uc_loaded_model_open(&loaded, TINY_A, &err), UNCLIP_OK, "%s", err.message);
    prior_run p = { .session = { .model = &loaded->model, .backend = backend, .type = UC_F32 },
                    .dim = loaded->model.prior.clip_embed_dim };
    float *kept = malloc((size_t)p.dim * sizeof *kept), *alone = malloc((size_t)p.dim * sizeof *alone);
    int first = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        draw_embedding(&p, seed, CANDIDATES, kept);
        double best = -INFINITY;
        int which = -1, equal = -1;
        for (int k = 0; k < CANDIDATES; k++) {
            draw_embedding(&p, (uint64_t)uc_candidate_seed(seed, k), 1, alone);
            const double near = dot(alone, p.text.embeds, p.dim);
            if (near > best) best = near, which = k;
            if (!memcmp(alone, kept, (size_t)p.dim * sizeof *kept)) equal = k;
        }
        cr_expect_eq(equal, which, "seed %d: candidate %d was kept, %d is nearest", (int)seed, equal, which);
        first += which == 0;
    }
    cr_expect_lt(first, SEEDS, "the first candidate was the nearest every time: nothing was chosen");
    free(kept);
    free(alone);
    uc_text_features_free(&p.text);
    backend->close(backend);
    uc_loaded_model_close(loaded);
}

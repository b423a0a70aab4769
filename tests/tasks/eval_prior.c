/* eval_prior.c - how a prior is measured: its loss with diffusers' network, its cross-entropy with a float64
 * implementation, and the statistics of draws whose answers are known. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tasks/eval_prior.h"
#include "engine/tasks/prior_ar_run.h"
#include "host/loaded_model.h"
#include "support/device.h"
#include "support/golden.h"
#include "support/pictures.h"

#define TINY_A UC_TEST_DATA "/goldens/models/tiny-a"

static const char *const PROMPTS[] = { "a red cube", "two dogs in the park" };

static unclip_generate_options quick(unclip_prior prior) {
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    o.prompts = PROMPTS;
    o.prompt_count = 2;
    o.seed = 11;
    o.prior = prior;
    o.stage[UNCLIP_STAGE_PRIOR].steps = 3;
    return o;
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* tiny-a with the golden's text in the place of the prompts'; runs a part of the evaluation. */
typedef struct bed {
    uc_loaded_model *loaded;
    uc_session session;
    golden_file golden;
    float *hidden, *embeds, *embeddings;
    int32_t *used;
} bed;

static bed bed_open(void) {
    unclip_error err = { 0 };
    bed b = { .golden = golden_open("tiny-a/prior_ar.safetensors") };
    cr_assert_eq(uc_loaded_model_open(&b.loaded, TINY_A, &err), UNCLIP_OK, "%s", err.message);
    b.session = (uc_session){ .model = &b.loaded->model, .backend = test_backend(1), .type = UC_F32 };
    b.hidden = golden_floats(golden_get(&b.golden, "text_hidden"));
    b.embeds = golden_floats(golden_get(&b.golden, "text_embeds"));
    b.used = golden_ints(golden_get(&b.golden, "used"));
    b.embeddings = golden_floats(golden_get(&b.golden, "embeddings"));
    return b;
}

static void bed_close(bed *b) {
    b->session.backend->close(b->session.backend);
    uc_loaded_model_close(b->loaded);
    golden_close(&b->golden);
    free(b->hidden);
    free(b->embeds);
    free(b->used);
    free(b->embeddings);
}

/* Rows 2 and 3 of the golden are those with text. */
static uc_cascade cascade_of(const bed *b, const uc_request *request, uc_text_features *text) {
    *text = (uc_text_features){ .rows = 2, .context = 77, .width = 32, .projection = 32,
                                .hidden = b->hidden + 2 * 77 * 32, .embeds = b->embeds + 2 * 32, .used = b->used + 2 };
    return (uc_cascade){ .session = &b->session, .request = request, .count = 2, .text = text };
}

Test(tasks_eval_prior, cross_entropy_is_a_float64_implementations) {
    bed b = bed_open();
    const unclip_generate_options o = quick(UNCLIP_PRIOR_AUTOREGRESSIVE);
    const uc_request request = { .options = &o, .candidates = 1, .prior_ar = true };
    uc_text_features text;
    uc_cascade cascade = cascade_of(&b, &request, &text);
    unclip_error err = { 0 };
    double sum = 0;
    cr_assert_eq(uc_prior_ar_cross_entropy(&cascade, b.embeddings, &sum, &err), UNCLIP_OK, "%s", err.message);
    const float mean = (float)(sum / 2);
    golden_expect_close("nats per component", &mean, golden_get(&b.golden, "cross_entropy"), 1e-5);
    bed_close(&b);
}

Test(tasks_eval_prior, loss_is_that_of_diffusers_network) {
    bed b = bed_open();
    const unclip_generate_options o = quick(UNCLIP_PRIOR_DIFFUSION);
    uc_request request = { .options = &o, .candidates = 1 };
    const uc_sampler_request steps = { .sampler = UNCLIP_SAMPLER_UNCLIP, .steps = 3, .guidance = 4 };
    unclip_error err = { 0 };
    cr_assert_eq(uc_sampler_plan_new(&request.sampler[UNCLIP_STAGE_PRIOR],
                                     &b.session.model->scheduler[UNCLIP_STAGE_PRIOR], &steps, &err), UNCLIP_OK);
    uc_text_features text;
    uc_cascade cascade = cascade_of(&b, &request, &text);
    double sum = 0;
    cr_assert_eq(uc_prior_diffusion_loss(&cascade, b.embeddings, &sum, &err), UNCLIP_OK, "%s", err.message);
    const float mean = (float)(sum / 2);
    golden_expect_close("mean squared error", &mean, golden_get(&b.golden, "diffusion_loss"), 1e-5);
    uc_sampler_plan_free(request.sampler[UNCLIP_STAGE_PRIOR]);
    bed_close(&b);
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

static unclip_prior_statistics statistics_of(unclip_engine *engine, const unclip_generate_options *o, const float *z) {
    unclip_prior_statistics s;
    unclip_error err = { 0 };
    cr_assert_eq(unclip_eval_prior(engine, o, z, 32, &s, &err), UNCLIP_OK, "%s", err.message);
    return s;
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-5 * (1 + fabs(b)); }

/* For an embedding z, 32 mse(z) = |d|^2 - 2 d.z + |z|^2, so that a draw d that is the same each time (temperature
 * 0, one prompt) can be asked for number by number. Then it is its own truth. */
Test(tasks_eval_prior, a_draw_is_at_distance_zero_from_itself) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_generate_options o = quick(UNCLIP_PRIOR_AUTOREGRESSIVE);
    o.prompt_count = 1;
    o.prior_temperature = 0;
    o.prior_dot_low = 80;
    o.prior_dot_high = 80;
    float z[32] = { 0 }, draw[32];
    const double at_zero = statistics_of(engine, &o, z).mse;
    for (int i = 0; i < 32; i++) {
        z[i] = 1;
        draw[i] = (float)((at_zero - statistics_of(engine, &o, z).mse) * 16 + 0.5);
        z[i] = 0;
    }
    const unclip_prior_statistics s = statistics_of(engine, &o, draw);
    cr_expect(s.mse < 1e-8, "squared distance %g", s.mse);
    cr_expect(near(s.cosine, 1) && s.cosine_deviation < 1e-3, "cosine %g +- %g", s.cosine, s.cosine_deviation);
    cr_expect(near(s.dot, s.true_dot) && near(s.text_cosine, s.true_text_cosine) && near(s.length, s.true_length));
    cr_expect_eq(s.draws, 1);
    unclip_embedding text = { .struct_size = sizeof text };
    cr_assert_eq(unclip_embed_text(engine, PROMPTS[0], &text, NULL), UNCLIP_OK);
    double dot = 0, own = 0, texts = 0;
    for (int i = 0; i < 32; i++) {
        dot += (double)draw[i] * (double)text.values[i];
        own += (double)draw[i] * (double)draw[i];
        texts += (double)text.values[i] * (double)text.values[i];
    }
    cr_expect(fabs(s.true_dot - dot) < 1e-4 && fabs(s.true_length - sqrt(own)) < 1e-4, "%g, %g", s.true_dot, dot);
    cr_expect(fabs(s.true_text_cosine - dot / sqrt(own * texts)) < 1e-4);
    unclip_embedding_free(&text);
    unclip_engine_close(engine);
}

/* Neither the batch nor the company of other pairs changes what is counted. */
Test(tasks_eval_prior, statistics_do_not_depend_on_the_batch) {
    unclip_engine *engine = open_engine(TINY_A);
    float z[64];
    for (int i = 0; i < 64; i++) z[i] = sinf((float)(i * i));
    for (int prior = 0; prior < 2; prior++) {
        unclip_generate_options o = quick((unclip_prior)prior);
        o.images_per_prompt = 3;
        o.prior_candidates = 2;
        o.batch_size = 6;
        const unclip_prior_statistics all = statistics_of(engine, &o, z);
        o.batch_size = 1;
        const unclip_prior_statistics one = statistics_of(engine, &o, z);
        cr_expect(all.draws == 6 && one.draws == 6);
        cr_expect(near(all.loss, one.loss) && near(all.mse, one.mse) && near(all.cosine, one.cosine) &&
                      near(all.cosine_deviation, one.cosine_deviation) && near(all.dot, one.dot) &&
                      near(all.dot_deviation, one.dot_deviation) && near(all.text_cosine, one.text_cosine) &&
                      near(all.length, one.length),
                  "prior %d: loss %g and %g, mse %g and %g", prior, all.loss, one.loss, all.mse, one.mse);
        cr_expect(all.seconds > 0 && all.dot_deviation > 0);
    }
    unclip_engine_close(engine);
}

/* Two candidates, of which the one nearer to the text is kept, have the larger dot product in the mean. */
Test(tasks_eval_prior, candidates_raise_the_dot_product) {
    unclip_engine *engine = open_engine(TINY_A);
    const float z[64] = { 1 };
    unclip_generate_options o = quick(UNCLIP_PRIOR_AUTOREGRESSIVE);
    o.images_per_prompt = 10;
    const double one = statistics_of(engine, &o, z).dot;
    o.prior_candidates = 8;
    cr_expect_gt(statistics_of(engine, &o, z).dot, one);
    unclip_engine_close(engine);
}

Test(tasks_eval_prior, what_cannot_be_measured_is_refused) {
    unclip_engine *engine = open_engine(TINY_A);
    unclip_generate_options o = quick(UNCLIP_PRIOR_DIFFUSION);
    unclip_prior_statistics s;
    unclip_error err = { 0 };
    float z[64] = { 0 };
    cr_expect_eq(unclip_eval_prior(engine, &o, z, 31, &s, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "embeddings have 31 numbers, the prior draws 32");
    z[40] = INFINITY;
    cr_expect_eq(unclip_eval_prior(engine, &o, z, 32, &s, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "embedding 1 has a number that is not finite");
    z[40] = 0;
    o.condition = UNCLIP_CONDITION_CAPTION;
    cr_expect_eq(unclip_eval_prior(engine, &o, z, 32, &s, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the options leave out the prior that is to be evaluated");
    cr_expect_eq(unclip_eval_prior(engine, &o, NULL, 32, &s, &err), UNCLIP_ERR_ARGUMENT);
    unclip_engine_close(engine);
}

/* prior_ar.c - the autoregressive prior with a float64 implementation that keeps no keys and values: the same logits at
 * every token within 1e-5, the same tokens with and without noise, on the fast kernels and on the reference; and image
 * embeddings to tokens and back. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/models/prior_ar.h"
#include "engine/models/prior_ar_tables.h"
#include "engine/tasks/prior_ar_run.h"
#include "host/backends.h"
#include "host/loaded_model.h"
#include "support/device.h"
#include "support/golden.h"

typedef struct bed {
    uc_loaded_model *loaded;
    uc_backend *backend;
    uc_session session;
    golden_file golden;
    uc_program *program;
} bed;

static bed bed_open(uc_backend *backend) {
    unclip_error err = { 0 };
    bed b = { .backend = backend, .golden = golden_open("tiny-a/prior_ar.safetensors") };
    cr_assert_eq(uc_loaded_model_open(&b.loaded, UC_TEST_DATA "/goldens/models/tiny-a", &err), UNCLIP_OK, "%s",
                 err.message);
    b.session = (uc_session){ .model = &b.loaded->model, .backend = backend, .type = UC_F32 };
    return b;
}

static void bed_close(bed *b) {
    if (b->program) b->backend->release(b->backend, b->program);
    golden_close(&b->golden);
    b->backend->close(b->backend);
    uc_loaded_model_close(b->loaded);
}

static void upload(bed *b, const char *state, const void *data) {
    unclip_error err = { 0 };
    const uc_val v = uc_graph_state(b->backend->plan(b->program)->graph, state);
    cr_assert(uc_present(v), "no state %s", state);
    cr_assert_eq(b->backend->upload(b->program, v, data, &err), UNCLIP_OK, "%s", err.message);
}

static void download(bed *b, const char *state, void *data) {
    unclip_error err = { 0 };
    const uc_val v = uc_graph_state(b->backend->plan(b->program)->graph, state);
    cr_assert_eq(b->backend->download(b->program, v, data, &err), UNCLIP_OK, "%s", err.message);
}

static void upload_golden(bed *b, const char *name) {
    const uc_param *p = golden_get(&b->golden, name);
    upload(b, name, p->data);
}

/* Rows 0 and 1 of the network are without text; the launch draws two embeddings. */
static void start(bed *b) {
    const uc_prior_ar_config *c = &b->session.model->prior_ar;
    const uc_prior_ar_shape shape = { .rows = 2, .guided = true, .logits = true };
    unclip_error err = { 0 };
    cr_assert_eq(uc_program_new(b->backend, uc_prior_ar_graph(&b->session, &shape), &b->program, &err), UNCLIP_OK,
                 "%s", err.message);
    const int64_t window = c->components - 1, columns = c->text_tokens + 2;
    float *bias = calloc((size_t)(4 * columns + window * window), sizeof *bias);
    int32_t *used = golden_ints(golden_get(&b->golden, "used"));
    for (int64_t r = 0; r < 4; r++)
        for (int64_t t = used[r]; t < c->text_tokens; t++) bias[r * columns + t] = -10000.0f;
    upload(b, "mask_bias", bias);
    uc_prior_ar_window_bias(c, bias);
    upload(b, "window_bias", bias);
    free(bias);
    free(used);
    const char *const names[] = { "text_hidden", "text_embeds", "dot", "seeds" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) upload_golden(b, names[i]);
}

static void draw_and_compare(bed *b, const char *kind, float temperature) {
    const uc_prior_ar_config *c = &b->session.model->prior_ar;
    char name[64], what[128];
    snprintf(name, sizeof name, "%s_logits", kind);
    const uc_param *logits = golden_get(&b->golden, name);
    snprintf(name, sizeof name, "%s_tokens", kind);
    int32_t *tokens = golden_ints(golden_get(&b->golden, name));
    float *settings = golden_floats(golden_get(&b->golden, "settings"));
    float *got = malloc((size_t)(4 * c->buckets) * sizeof *got);
    for (int64_t k = 0; k < c->components; k++) {
        unclip_error err = { 0 };
        int32_t token[2];
        const uc_step step = uc_prior_ar_step(k, UNCLIP_STAGE_PRIOR, settings[0], temperature);
        cr_assert_eq(b->backend->run(b->program, k > 0, &step, &err), UNCLIP_OK, "%s", err.message);
        uc_param row = *logits;
        row.rank = 1;
        row.dim[0] = 4 * c->buckets;
        row.data = (const float *)logits->data + k * 4 * c->buckets;
        snprintf(what, sizeof what, "%s: logits of component %lld on %s", kind, (long long)k, b->backend->name);
        download(b, "logits", got);
        golden_expect_close(what, got, &row, 1e-5);
        download(b, "token", token);
        for (int i = 0; i < 2; i++)
            cr_expect_eq(token[i], tokens[i * c->components + k], "%s: component %lld of row %d is %d, not %d on %s",
                         kind, (long long)k, i, token[i], tokens[i * c->components + k], b->backend->name);
    }
    free(got);
    free(settings);
    free(tokens);
}

/* Twice with one program: what the first run leaves in the windows must not matter. */
static void all_draws(uc_backend *backend) {
    bed b = bed_open(backend);
    float *settings = golden_floats(golden_get(&b.golden, "settings"));
    start(&b);
    draw_and_compare(&b, "best", 0);
    draw_and_compare(&b, "drawn", settings[1]);
    draw_and_compare(&b, "best", 0);
    free(settings);
    bed_close(&b);
}

Test(parity_networks, prior_ar_cpu) { all_draws(test_backend(2)); }

Test(parity_networks, prior_ar_reference) {
    const uc_backend_options options = { .threads = 1 };
    uc_backend *backend = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_backend_ref_new(&backend, &options, &err), UNCLIP_OK, "%s", err.message);
    all_draws(backend);
}

/* ---- embeddings and tokens --------------------------------------------------------------------------------------- */

Test(parity_prior_ar, buckets) {
    bed b = bed_open(test_backend(1));
    const uc_prior_ar_config *c = &b.session.model->prior_ar;
    uc_prior_ar_tables tables;
    unclip_error err = { 0 };
    const unclip_status status = uc_prior_ar_tables_of(&tables, c, b.session.model->prior_ar_params, &err);
    cr_assert_eq(status, UNCLIP_OK, "%s", err.message);
    const float *z = golden_get(&b.golden, "embeddings")->data;
    const int32_t *expected = golden_get(&b.golden, "bucket_tokens")->data;
    const uc_param *back = golden_get(&b.golden, "bucket_embeddings");
    const int64_t rows = back->dim[0];
    float *out = malloc((size_t)(rows * c->embedding_dim) * sizeof *out);
    int32_t *tokens = malloc((size_t)c->components * sizeof *tokens);
    int32_t *again = malloc((size_t)c->components * sizeof *again);
    for (int64_t r = 0; r < rows; r++) {
        uc_prior_ar_tokens(&tables, c, z + r * c->embedding_dim, tokens);
        for (int64_t k = 0; k < c->components; k++) cr_expect_eq(tokens[k], expected[r * c->components + k]);
        uc_prior_ar_embedding(&tables, c, tokens, out + r * c->embedding_dim);
        uc_prior_ar_tokens(&tables, c, out + r * c->embedding_dim, again); /* a centre lies in its own bucket */
        cr_expect_eq(memcmp(tokens, again, (size_t)c->components * sizeof *tokens), 0, "row %lld", (long long)r);
    }
    golden_expect_close("embeddings of buckets", out, back, 1e-6);
    free(out);
    free(tokens);
    free(again);
    bed_close(&b);
}

Test(parity_prior_ar, percentiles_name_buckets) {
    const uc_prior_ar_config c = { .buckets = 100, .dot_buckets = 20 };
    const struct { double percentile; int32_t bucket; } cases[] = {
        { 0, 0 }, { 4.9, 0 }, { 5, 1 }, { 50, 10 }, { 70, 14 }, { 95, 19 }, { 99.9, 19 }, { 100, 19 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(uc_prior_ar_dot_id(&c, cases[i].percentile), 100 + cases[i].bucket, "percentile %g",
                     cases[i].percentile);
    cr_expect_eq(uc_prior_ar_no_text_id(&c), 120);
    double least = 100, most = 0, sum = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        const double p = uc_prior_ar_percentile(seed, 50, 100);
        least = fmin(least, p);
        most = fmax(most, p);
        sum += p;
    }
    cr_expect(least >= 50 && least < 51 && most <= 100 && most > 99 && fabs(sum / 1000 - 75) < 2,
              "drawn between %g and %g, %g in the mean", least, most, sum / 1000);
    const double one = uc_prior_ar_percentile(3, 85, 85);
    cr_expect(one >= 85 && one <= 85);
}

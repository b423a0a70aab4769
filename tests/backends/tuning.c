/* tuning.c - choices of implementations that were measured beforehand: they are obeyed, precise, and read strictly from
 * their file. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/backends.h"
#include "network.h"

/* ---- obeyed ------------------------------------------------------------------------------------------------------ */

/* The key of the network's 3 x 3 convolution from 48 to 16 channels at 16 x 16, which every implementation can do. */
static const uc_tuning_key up = { .kind = UC_OP_conv2d, .weight_type = UC_F16, .x = { 48, NET_SIZE, NET_SIZE },
                                  .weight = { 16, 48, 3, 3 }, .stride = 1, .pad = 1 };
/* Its linear layer from 24 to 32 numbers, which Winograd's cannot. */
static const uc_tuning_key linear = { .kind = UC_OP_matmul, .weight_type = UC_F16, .x = { NET_TOKENS },
                                      .weight = { 32, 24 } };

static uc_tuning table_of(const uc_tuning_key *key, uc_way way) {
    uc_tuning t = { .count = 0 };
    const uc_tuning_entry entry = { .key = *key, .way = way };
    cr_assert_eq(uc_tuning_set(&t, &entry, NULL), UNCLIP_OK);
    return t;
}

/* How the backend does the operation of this key. */
static uc_way way_in(const uc_backend *backend, const uc_plan *plan, const uc_tuning_key *key) {
    for (int32_t i = 0; i < plan->graph->op_count; i++) {
        const uc_launch launch = uc_plan_launch(plan, i, NULL);
        uc_tuning_key one;
        if (uc_tuning_key_of(&one, &launch) && !memcmp(&one, key, sizeof one))
            return uc_backend_cpu_way(backend, &launch);
    }
    cr_assert(false, "no operation of the network has this key");
    return UC_WAY_DEFAULT;
}

/* The network's picture, every operation being compared with the reference; *way: how the key's one was done. */
static float *draw(const uc_tuning *tuning, const uc_tuning_key *key, int threads, int64_t batch, uc_way *way) {
    const uc_backend_options options = { .mode = UNCLIP_RUN_CHECKED, .threads = threads, .tuning = tuning };
    unclip_error err = { .status = UNCLIP_OK };
    uc_backend *backend;
    uc_program *program;
    uc_params *params = network_params(UC_F16, 42);
    float *x = calloc((size_t)(batch * NET_IMAGE), sizeof *x);
    cr_assert_eq(uc_backend_cpu_new(&backend, &options, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(uc_program_new(backend, network_graph(params, UC_F32, batch), &program, &err), UNCLIP_OK, "%s",
                 err.message);
    *way = way_in(backend, backend->plan(program), key);
    cr_assert_eq(network_run(backend, program, 0, batch, x, &err), UNCLIP_OK, "%s", err.message);
    backend->release(backend, program);
    backend->close(backend);
    network_params_free(params);
    return x;
}

static bool has_library(void) {
    uc_tuning_machine machine;
    uc_tuning_this_machine(&machine);
    return strcmp(machine.onednn, "none") != 0;
}

static bool same(const float *a, const float *b) { return !memcmp(a, b, NET_IMAGE * sizeof *a); }

/* Implementations round differently, so that the picture's bytes say which of them ran; the rule takes Winograd's. */
Test(tuning, a_choice_is_what_runs) {
    float *by[UC_WAY_COUNT] = { NULL };
    uc_way way = UC_WAY_DEFAULT;
    by[UC_WAY_DEFAULT] = draw(NULL, &up, 1, 1, &way);
    cr_expect_eq(way, UC_WAY_WINOGRAD, "the rule has changed: %s", uc_way_name(way));
    for (int chosen = UC_WAY_DIRECT; chosen < UC_WAY_COUNT; chosen++) {
        if (chosen == UC_WAY_ONEDNN && !has_library()) continue;
        uc_tuning t = table_of(&up, (uc_way)chosen);
        by[chosen] = draw(&t, &up, 1, 1, &way);
        cr_expect_eq((int)way, chosen, "%s was chosen, %s taken", uc_way_name((uc_way)chosen), uc_way_name(way));
        for (int i = 0; i < NET_IMAGE; i++)
            cr_assert_lt(fabs((double)by[chosen][i] - (double)by[0][i]), 1e-4, "%s, element %d",
                         uc_way_name((uc_way)chosen), i);
        free(t.entries);
    }
    cr_expect(same(by[UC_WAY_WINOGRAD], by[UC_WAY_DEFAULT]), "Winograd's by choice and by rule differ");
    cr_expect(!same(by[UC_WAY_DIRECT], by[UC_WAY_WINOGRAD]), "the direct one did not run");
    if (by[UC_WAY_ONEDNN])
        cr_expect(!same(by[UC_WAY_ONEDNN], by[UC_WAY_WINOGRAD]) && !same(by[UC_WAY_ONEDNN], by[UC_WAY_DIRECT]),
                  "oneDNN's did not run");
    for (int i = 0; i < UC_WAY_COUNT; i++) free(by[i]);
}

Test(tuning, what_cannot_be_done_is_left_to_the_rule) {
    uc_tuning t = table_of(&linear, UC_WAY_WINOGRAD);
    uc_way way = UC_WAY_DEFAULT;
    float *tuned = draw(&t, &linear, 1, 1, &way), *plain = draw(NULL, &linear, 1, 1, &way);
    cr_expect_eq(way, UC_WAY_DIRECT);
    cr_expect(same(tuned, plain));
    free(tuned);
    free(plain);
    if (has_library()) {
        t.entries[0].way = UC_WAY_ONEDNN;
        free(draw(&t, &linear, 1, 1, &way));
        cr_expect_eq(way, UC_WAY_ONEDNN, "%s was taken", uc_way_name(way));
    }
    free(t.entries);
}

/* A choice is one picture's: neither threads nor the batch change its bytes. */
Test(tuning, threads_and_batches_agree) {
    for (int chosen = UC_WAY_DIRECT; chosen < UC_WAY_COUNT; chosen++) {
        uc_tuning t = table_of(&up, (uc_way)chosen);
        uc_way way;
        float *one = draw(&t, &up, 1, 1, &way), *two = draw(&t, &up, 3, 2, &way);
        cr_expect(same(one, two), "%s: 3 threads and 2 pictures give other bytes", uc_way_name((uc_way)chosen));
        free(one);
        free(two);
        free(t.entries);
    }
}

/* bf16 has no other implementation of its precision. */
Test(tuning, only_f32_has_choices) {
    uc_launch l = { .kind = UC_OP_matmul };
    l.in[0] = l.out[0] = (uc_view){ .dtype = UC_F32, .shape = UC_SHAPE3(7, NET_TOKENS, 24) };
    l.in[1] = (uc_view){ .dtype = UC_F16, .shape = UC_SHAPE2(32, 24) };
    uc_tuning_key key;
    cr_assert(uc_tuning_key_of(&key, &l));
    cr_expect(!memcmp(&key, &linear, sizeof key), "the batch is no part of a key");
    uc_tuning t = table_of(&linear, UC_WAY_ONEDNN);
    cr_expect_eq(uc_tuning_find(&t, &l), UC_WAY_ONEDNN);
    l.in[0].dtype = UC_BF16;
    cr_expect_not(uc_tuning_key_of(&key, &l));
    cr_expect_eq(uc_tuning_find(&t, &l), UC_WAY_DEFAULT);
    l.in[0].dtype = UC_F32;
    l.kind = UC_OP_attention;
    cr_expect_not(uc_tuning_key_of(&key, &l));
    free(t.entries);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static char *new_path(void) {
    char *path = strdup("/tmp/unclip-tuning-test-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    unlink(path);
    return path;
}

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static uc_tuning *loaded(const char *path) {
    uc_tuning *t = NULL;
    unclip_error err = { .status = UNCLIP_OK };
    cr_assert_eq(uc_tuning_load(&t, path, &err), UNCLIP_OK, "%s", err.message);
    return t;
}

Test(tuning_file, there_and_back) {
    char *path = new_path();
    uc_tuning t = table_of(&up, UC_WAY_DIRECT);
    uc_tuning_entry more = { .key = linear, .way = UC_WAY_ONEDNN, .seconds = { 0, 0.5, 0, 0.25 } };
    more.key.weight_type = UC_BF16;
    cr_assert_eq(uc_tuning_set(&t, &more, NULL), UNCLIP_OK);
    cr_assert_eq(uc_tuning_write(&t, path, NULL), UNCLIP_OK);
    uc_tuning *back = loaded(path);
    cr_assert_eq(back->count, 2);
    cr_expect_eq(back->foreign, 0);
    for (size_t i = 0; i < 2; i++) {
        const uc_tuning_entry *a = &back->entries[i], *b = &t.entries[i];
        cr_expect(!memcmp(&a->key, &b->key, sizeof a->key) && a->way == b->way, "entry %zu changed on the way", i);
        for (int way = 0; way < UC_WAY_COUNT; way++) cr_expect_float_eq(a->seconds[way], b->seconds[way], 1e-9);
    }
    uc_tuning_free(back);
    /* a later run adds to it and replaces what it measured again */
    more.key.weight_type = UC_F32;
    t.entries[0].way = UC_WAY_WINOGRAD;
    t.entries[1] = more;
    cr_assert_eq(uc_tuning_write(&t, path, NULL), UNCLIP_OK);
    back = loaded(path);
    cr_assert_eq(back->count, 3);
    cr_expect_eq(back->entries[0].way, UC_WAY_WINOGRAD);
    uc_tuning_free(back);
    free(t.entries);
    unlink(path);
    free(path);
}

/* The file's text with the only occurrence of one piece exchanged. */
static char *changed(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    cr_assert(at, "%s is not in %s", from, text);
    char *out = calloc(1, strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static char *written(const char *path) {
    uc_tuning t = table_of(&up, UC_WAY_DIRECT);
    cr_assert_eq(uc_tuning_write(&t, path, NULL), UNCLIP_OK);
    free(t.entries);
    json_t *root = json_load_file(path, 0, NULL);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    cr_assert_not_null(text);
    return text;
}

Test(tuning_file, damage_is_one_clear_error) {
    static const struct { const char *from, *to, *message; } cases[] = {
        { "\"schema\":1", "\"schema\":2", "schema: is 2" },
        { "\"machines\":[", "\"machines\":[7,", "machines: element 0 is " },
        { "\"cpu\":", "\"processor\":", "machines[0].cpu: is missing" },
        { "\"entries\":", "\"choices\":", "machines[0].entries: is missing" },
        { "\"entries\":[", "\"entries\":[[],", "entries: element 0 is " },
        { "\"use\":\"direct\"", "\"use\":\"magic\"", "entries[0].use: is \"magic\"" },
        { "\"use\":\"direct\"", "\"use\":\"default\"", "entries[0].use: is \"default\"" },
        { "\"type\":\"f32\"", "\"type\":\"bf16\"", "entries[0].type: is \"bf16\"" },
        { "\"weight_type\":\"f16\"", "\"weight_type\":\"i8\"", "entries[0].weight_type: is \"i8\"" },
        { "\"x\":[48,16,16]", "\"x\":[48,16]", "entries[0].x: is " },
        { "\"stride\":1", "\"stride\":0", "entries[0].stride: is 0" },
        { "\"pad\":1", "\"pad\":1,\"dilation\":2", "entries[0].dilation: is 2, but this key is not known" },
        { "\"seconds\":{}", "\"seconds\":{\"direct\":-1}", "direct: is -1" },
        { "}", "", "line 1" },
    };
    char *path = new_path(), *text = written(path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *bad = changed(text, cases[i].from, cases[i].to);
        uc_tuning *t = NULL;
        unclip_error err = { .status = UNCLIP_OK };
        put(path, bad);
        cr_expect_eq(uc_tuning_load(&t, path, &err), UNCLIP_ERR_MODEL_DATA, "%s", bad);
        cr_expect(strstr(err.message, path) && strstr(err.message, cases[i].message), "%s: %s", bad, err.message);
        cr_expect_null(t);
        const uc_tuning none = { .count = 0 };
        cr_expect_eq(uc_tuning_write(&none, path, NULL), UNCLIP_ERR_MODEL_DATA, "a damaged file was overwritten");
        free(bad);
    }
    unlink(path);
    uc_tuning *t = NULL;
    cr_expect_eq(uc_tuning_load(&t, path, NULL), UNCLIP_ERR_MODEL_MISSING);
    free(text);
    free(path);
}

/* Entries of another processor or library are left alone, said once, and kept in the file. */
Test(tuning_file, other_machines) {
    static const char *const keys[] = { "\"cpu\":\"", "\"instructions\":\"", "\"onednn\":\"" };
    char *path = new_path(), *text = written(path), notice[UC_TUNING_NOTICE];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char to[64];
        snprintf(to, sizeof to, "%sx", keys[i]);
        char *foreign = changed(text, keys[i], to);
        put(path, foreign);
        uc_tuning *t = loaded(path);
        cr_expect_eq(t->count, 0);
        cr_expect_eq(t->foreign, 1);
        cr_expect(uc_tuning_notice(t, path, notice) && strstr(notice, path) && strstr(notice, "are ignored"), "%s",
                  notice);
        uc_tuning_free(t);
        uc_tuning ours = table_of(&linear, UC_WAY_ONEDNN);
        cr_assert_eq(uc_tuning_write(&ours, path, NULL), UNCLIP_OK);
        t = loaded(path);
        cr_expect(t->count == 1 && t->foreign == 1, "%zu and %zu entries", t->count, t->foreign);
        uc_tuning_free(t);
        free(ours.entries);
        free(foreign);
    }
    put(path, text);
    uc_tuning *t = loaded(path);
    cr_expect_not(uc_tuning_notice(t, path, notice), "%s", notice);
    uc_tuning_free(t);
    unlink(path);
    free(text);
    free(path);
}

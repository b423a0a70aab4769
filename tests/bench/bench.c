/* unclip-bench on tiny shapes: every subcommand runs, its lines have all that a reader needs, and what it counts agrees
 * with what is counted elsewhere. No time is judged. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/results.h"
#include "host/tuning.h"
#include "kernels/ops.h"
#include "support/pictures.h"

#define PROGRAM "'" UC_BINARY_DIR "/bin/unclip-bench' "
#define MODEL UC_TEST_DATA "/goldens/models/tiny-b"
#define QUICK " -m '" MODEL "' --small 1 --least 2 --most 2 --seconds 0 --threads 1"

/* A file that is not there yet. */
static char *new_path(void) {
    char *path = strdup("/tmp/unclip-bench-test-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    return path;
}

/* What a shell command prints; *status is its exit status. */
static char *output_of(const char *command, int *status) {
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    size_t size = 1 << 20, used = 0, got = 0;
    char *text = calloc(1, size + 1);
    while (used < size && (got = fread(text + used, 1, size - used, pipe)) > 0) used += got;
    *status = pclose(pipe);
    return text;
}

/* The rows of `unclip-bench ARGUMENTS`, which must succeed. */
static json_t *rows_of(const char *arguments) {
    char command[2048];
    char *path = new_path();
    int status = 0;
    snprintf(command, sizeof command, PROGRAM "%s" QUICK " -o %s 2>&1", arguments, path);
    char *text = output_of(command, &status);
    cr_assert_eq(status, 0, "failed: %s\n%s", command, text);
    json_t *rows = NULL;
    unclip_error err = { .status = UNCLIP_OK };
    cr_assert_eq(bench_results_read(&rows, path, &err), UNCLIP_OK, "%s", err.message);
    unlink(path);
    free(path);
    free(text);
    return rows;
}

static void expect_texts(const json_t *object, const char *where, const char *const *keys) {
    for (; *keys; keys++)
        cr_expect(strlen(bench_text(object, *keys)) > 0, "%s: %s is missing", where, *keys);
}

/* Every row says what it was measured on; a timed one has its order of quantiles. */
static void expect_row(const json_t *row, const char *command) {
    static const char *const context_keys[] = { "engine", "version", "commit", "compiler", "device", "clock", NULL };
    static const char *const machine_keys[] = { "cpu", "memory", "instructions", NULL };
    const char *name = bench_text(row, "name");
    cr_expect_str_eq(bench_text(row, "bench"), command);
    const json_t *context = json_object_get(row, "context");
    expect_texts(context, name, context_keys);
    expect_texts(json_object_get(context, "machine"), name, machine_keys);
    cr_expect(json_is_object(json_object_get(context, "libraries")), "%s", name);
    cr_expect_eq((int)bench_number(context, "threads"), 1, "%s", name);
    if (!json_object_get(row, "p50_s")) return;
    const double min = bench_number(row, "min_s"), p50 = bench_number(row, "p50_s"), p95 = bench_number(row, "p95_s");
    cr_expect(min <= p50 && p50 <= p95, "%s: %g %g %g", name, min, p50, p95);
    cr_expect(bench_number(row, "low_s") <= p50 && p50 <= bench_number(row, "high_s"), "%s", name);
    cr_expect(bench_number(row, "samples") >= 1 && bench_number(row, "times") >= 0, "%s", name);
    cr_expect_str_eq(bench_text(row, "type"), strstr(name, "bf16") ? "bf16" : bench_text(row, "type"), "%s", name);
    cr_expect(strlen(bench_text(row, "type")) > 0, "%s: type is missing", name);
}

static void expect_rows(const json_t *rows, const char *command, size_t least) {
    cr_assert(json_array_size(rows) >= least, "%s: %zu rows", command, json_array_size(rows));
    for (size_t i = 0; i < json_array_size(rows); i++) expect_row(json_array_get(rows, i), command);
}

static const json_t *named(const json_t *rows, const char *name) {
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (!strcmp(bench_text(json_array_get(rows, i), "name"), name)) return json_array_get(rows, i);
    return NULL;
}

/* ---- ops --------------------------------------------------------------------------------------------------------- */

static void expect_limits(const json_t *rows) {
    const json_t *limits = named(rows, "limits");
    cr_assert(limits, "no row of limits");
    cr_expect(bench_number(limits, "bytes_per_second") > 0);
    cr_expect(bench_number(limits, "f32_flops_per_second") > 0);
}

Test(bench_ops, every_operation_has_a_row) {
    json_t *rows = rows_of("ops");
    expect_rows(rows, "ops", 300);
    expect_limits(rows);
    for (int kind = UC_OP_NONE + 1; kind < UC_OP_COUNT; kind++) {
        size_t found = 0;
        for (size_t i = 0; i < json_array_size(rows); i++)
            found += !strcmp(bench_text(json_array_get(rows, i), "op"), uc_op_info_of((uc_op_kind)kind)->name);
        /* what the CPU's layout makes an alias of needs no time */
        if (kind == UC_OP_image_to_tokens || kind == UC_OP_tokens_to_image) continue;
        cr_expect(found > 0, "no row of %s", uc_op_info_of((uc_op_kind)kind)->name);
    }
    json_decref(rows);
}

/* Rows times how often they are run make the arithmetic that --estimate counts. */
Test(bench_ops, arithmetic_adds_up_to_the_estimate) {
    json_t *rows = rows_of("ops --cases 0");
    unclip_engine *engine = open_engine(MODEL);
    const char *prompt = "a red cube on top of a blue sphere";
    unclip_generate_options want;
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    unclip_generate_options_init(&want);
    want.prompts = &prompt;
    want.prompt_count = 1;
    cr_assert_eq(unclip_generate_estimate(engine, &want, &estimate, NULL), UNCLIP_OK);
    unclip_engine_close(engine);
    for (int s = -1; s < UNCLIP_STAGE_COUNT; s++) {
        const char *stage = s < 0 ? "text" : unclip_stage_name((unclip_stage)s);
        double sum = 0, end = 0;
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            if (strcmp(bench_text(row, "stage"), stage) != 0) continue;
            sum += bench_number(row, "flops") * bench_number(row, "times");
        }
        const double expected = s < 0 ? estimate.text.flops : estimate.stage[s].flops;
        /* the prior's way back to CLIP's scale is a phase of its own, which the estimate leaves out */
        if (s == UNCLIP_STAGE_PRIOR) end = 1e4;
        cr_expect(fabs(sum - expected) <= 1e-6 * expected + end, "%s: %.9g in rows, %.9g estimated", stage, sum,
                  expected);
    }
    json_decref(rows);
}

Test(bench_ops, bytes_of_a_launch) {
    uc_launch l = { .kind = UC_OP_matmul };
    l.in[UC_MATMUL_X] = (uc_view){ .dtype = UC_F32, .shape = UC_SHAPE2(3, 5) };
    l.in[UC_MATMUL_WEIGHT] = (uc_view){ .dtype = UC_F16, .shape = UC_SHAPE2(7, 5) };
    l.out[0] = (uc_view){ .dtype = UC_F32, .shape = UC_SHAPE2(3, 7) };
    cr_expect_eq((int)uc_op_bytes(&l), 4 * 15 + 2 * 35 + 4 * 21);
    uc_launch row = { .kind = UC_OP_select_row };
    row.in[0] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE2(1000, 8) };
    row.out[0] = (uc_view){ .dtype = UC_BF16, .shape = UC_SHAPE2(1, 8) };
    cr_expect_eq((int)uc_op_bytes(&row), 2 * 2 * 8, "of a table one row is read");
}

/* ---- the other subcommands --------------------------------------------------------------------------------------- */

static void expect_steps(const json_t *rows) {
    static const char *const names[] = { "text encode", "prior step", "decoder step", "sr256 step", "sr256 last step",
                                         "sr1024 step", "decoder ready", "decoder once" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) cr_expect(named(rows, names[i]), "no row %s", names[i]);
}

Test(bench_stages, each_stage_has_its_phases) {
    json_t *rows = rows_of("stages");
    expect_rows(rows, "stages", 20);
    expect_limits(rows);
    expect_steps(rows);
    json_decref(rows);
}

Test(bench_stages, on_a_simulated_device) {
    json_t *rows = rows_of("stages --stage prior,decoder --device sim:0");
    expect_rows(rows, "stages", 8);
    cr_expect_str_eq(bench_context_text(json_array_get(rows, 0), "device"), "sim:0");
    cr_expect(strlen(bench_context_text(json_array_get(rows, 0), "device_name")) > 0);
    json_decref(rows);
}

Test(bench_stages, by_the_reference) {
    json_t *rows = rows_of("stages --stage prior --device ref");
    expect_rows(rows, "stages", 4);
    json_decref(rows);
}

Test(bench_cascade, splits_add_up) {
    json_t *rows = rows_of("cascade --steps 2 --batch 2");
    expect_rows(rows, "cascade", 12);
    double sum = 0;
    const char *const first = "2 images, first: ";
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (strncmp(bench_text(row, "name"), first, strlen(first)) != 0) continue;
        sum += bench_number(row, "p50_s") * (strstr(bench_text(row, "name"), ": all") ? -1 : 1);
    }
    cr_expect(fabs(sum) < 1e-4, "the parts of the first launch and the whole differ by %g s", sum);
    json_decref(rows);
}

Test(bench_load, cold_and_warm) {
    json_t *rows = rows_of("load");
    expect_rows(rows, "load", 4);
    cr_expect(named(rows, "first step done, cold"));
    cr_expect(named(rows, "first step done, warm"));
    json_decref(rows);
}

Test(bench_memory, estimate_beside_measurement) {
    json_t *rows = rows_of("memory");
    expect_rows(rows, "memory", 5);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        cr_expect(bench_number(row, "activation_bytes") > 0 && bench_number(row, "weight_bytes") > 0, "row %zu", i);
        cr_expect(bench_number(row, "peak_bytes") >= bench_number(row, "activation_bytes"), "%s: less than its arena",
                  bench_text(row, "name"));
    }
    json_decref(rows);
}

/* ---- tune -------------------------------------------------------------------------------------------------------- */

static uc_tuning *tuned(const char *arguments, const char *path) {
    char command[2048];
    int status = 0;
    snprintf(command, sizeof command, PROGRAM "tune %s" QUICK " -o %s 2>&1", arguments, path);
    char *text = output_of(command, &status);
    cr_assert_eq(status, 0, "failed: %s\n%s", command, text);
    uc_tuning *t = NULL;
    unclip_error err = { .status = UNCLIP_OK };
    cr_assert_eq(uc_tuning_load(&t, path, &err), UNCLIP_OK, "%s", err.message);
    free(text);
    return t;
}

/* An engine that obeys a cache, if there is one. */
static album drawn(const char *tuning) {
    static const char *const prompt = "a red cube";
    unclip_engine_options open;
    unclip_engine *engine = NULL;
    unclip_generate_options want;
    unclip_error err = { .status = UNCLIP_OK };
    unclip_engine_options_init(&open);
    open.model_dir = MODEL;
    open.threads = 1;
    open.tuning = tuning;
    cr_assert_eq(unclip_engine_open(&engine, &open, &err), UNCLIP_OK, "%s", err.message);
    unclip_generate_options_init(&want);
    want.prompts = &prompt;
    want.prompt_count = 1;
    want.seed = 3;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) want.stage[i].steps = 2;
    album a = draw_album(engine, &want);
    unclip_engine_close(engine);
    return a;
}

Test(bench_tune, measures_what_has_a_choice) {
    char *path = new_path();
    unlink(path);
    uc_tuning *t = tuned("--stage decoder,sr256", path);
    size_t convolutions = 0, several = 0;
    for (size_t i = 0; i < t->count; i++) {
        const uc_tuning_entry *e = &t->entries[i];
        int measured = 0;
        for (int way = 0; way < UC_WAY_COUNT; way++) measured += e->seconds[way] > 0;
        convolutions += e->key.kind == UC_OP_conv2d;
        several += measured > 2;
        cr_expect(measured >= 2 && e->seconds[e->way] > 0, "entry %zu: %d measured, %s chosen", i, measured,
                  uc_way_name(e->way));
    }
    cr_expect(convolutions > 10 && several > 0, "%zu convolutions, %zu of three ways", convolutions, several);
    const size_t before = t->count;
    uc_tuning_free(t);
    t = tuned("--stage prior", path); /* is added */
    cr_expect_gt(t->count, before);
    uc_tuning_free(t);
    unlink(path);
    free(path);
}

/* The same cache gives the same bytes, whichever implementations it asks for, and they are as precise. */
Test(bench_tune, a_cache_is_obeyed_and_repeats) {
    char *path = new_path();
    unlink(path);
    uc_tuning *t = tuned("--stage decoder,sr256,sr1024", path);
    album plain = drawn(NULL);
    for (int way = UC_WAY_DIRECT; way < UC_WAY_COUNT; way++) {
        for (size_t i = 0; i < t->count; i++) t->entries[i].way = (uc_way)way;
        cr_assert_eq(uc_tuning_write(t, path, NULL), UNCLIP_OK);
        album a = drawn(path), b = drawn(path);
        cr_assert(a.size == b.size && a.size == plain.size);
        cr_expect(!memcmp(a.rgb, b.rgb, a.size), "%s: not the same bytes twice", uc_way_name((uc_way)way));
        expect_same_bytes(uc_way_name((uc_way)way), a.rgb, plain.rgb, (int64_t)a.size);
        free(a.rgb);
        free(b.rgb);
    }
    free(plain.rgb);
    uc_tuning_free(t);
    unlink(path);
    free(path);
}

Test(bench_tune, other_commands_take_the_cache) {
    char *path = new_path(), arguments[256];
    unlink(path);
    uc_tuning_free(tuned("--stage decoder", path));
    snprintf(arguments, sizeof arguments, "stages --stage decoder --tuning %s", path);
    json_t *rows = rows_of(arguments);
    expect_rows(rows, "stages", 4);
    json_decref(rows);
    unlink(path);
    free(path);
}

/* ---- result files ------------------------------------------------------------------------------------------------ */

static char *file_with(const char *text) {
    char *path = new_path();
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
    return path;
}

#define ROW(name, low, p50, high)                                                                             \
    "{\"schema\":1,\"bench\":\"stages\",\"name\":\"" name "\",\"type\":\"f32\",\"low_s\":" low ",\"p50_s\":" p50 \
    ",\"high_s\":" high ",\"context\":{}}\n"

Test(bench_compare, tells_change_from_noise) {
    char *a = file_with(ROW("one", "0.9", "1.0", "1.1") ROW("two", "0.9", "1.0", "1.1")
                            ROW("three", "0.9", "1", "1.1"));
    char *b = file_with(ROW("one", "1.05", "1.2", "1.3") ROW("two", "0.4", "0.5", "0.6") ROW("three", "2", "2", "2")
                            ROW("four", "1", "1", "1"));
    char command[512];
    int status = 0;
    snprintf(command, sizeof command, PROGRAM "compare %s %s", a, b);
    char *text = output_of(command, &status);
    cr_expect_eq(status, 0);
    cr_expect(strstr(text, "faster     2.000 x"), "%s", text);
    cr_expect(strstr(text, "slower     0.500 x"), "%s", text);
    cr_expect(strstr(text, "2 changed beyond noise, 1 the same within it, 1 only in the second file"), "%s", text);
    unlink(a);
    unlink(b);
    free(a);
    free(b);
    free(text);
}

Test(bench_results, foreign_lines_are_named) {
    json_t *rows = NULL;
    unclip_error err = { .status = UNCLIP_OK };
    char *path = file_with("{\"schema\":1}\n{\"schema\":99}\n");
    cr_expect_eq(bench_results_read(&rows, path, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "line 2: schema is 99, expected 1"), "%s", err.message);
    cr_expect_null(rows);
    unlink(path);
    free(path);
    path = file_with("{\"schema\":1\n");
    cr_expect_eq(bench_results_read(&rows, path, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "line 1"), "%s", err.message);
    unlink(path);
    free(path);
}

Test(bench_roofline, one_point_an_operation) {
    char command[1024];
    char *results = new_path(), *picture = new_path();
    int status = 0;
    snprintf(command, sizeof command, PROGRAM "ops --cases 0 --stage decoder" QUICK " -o %s && " PROGRAM
             "roofline %s -o %s", results, results, picture);
    free(output_of(command, &status));
    cr_assert_eq(status, 0, "failed: %s", command);
    json_t *rows = NULL;
    cr_assert_eq(bench_results_read(&rows, results, NULL), UNCLIP_OK);
    size_t expected = 0, points = 0, size = 0;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        expected += bench_number(row, "flops") > 0 && bench_number(row, "bytes") > 0;
    }
    char *svg = (char *)read_file(picture, &size);
    for (const char *at = svg; at < svg + size && (at = strstr(at, "<circle")); at++) points++;
    cr_expect_eq(points, expected, "%zu points, %zu operations", points, expected);
    cr_expect(expected > 10 && !strncmp(svg, "<svg", 4) && !strncmp(svg + size - 7, "</svg>\n", 7));
    json_decref(rows);
    free(svg);
    unlink(results);
    unlink(picture);
    free(results);
    free(picture);
}

Test(bench_program, mistakes_are_named) {
    static const struct { const char *arguments, *message; } cases[] = {
        { "juggle", "juggle is no subcommand" },
        { "ops --least none", "--least none is not understood" },
        { "stages --stage prior,dekoder", "--stage prior,dekoder is not understood" },
        { "stages --device abacus", "device abacus is unknown" },
        { "stages -m /nowhere --small 1", "/nowhere" },
        { "tune", "-o FILE names the cache" },
        { "tune --type bf16 -o /tmp/x.json", "only the cpu has a choice, in f32" },
        { "tune --tuning /nowhere -o /tmp/x.json", "/nowhere" },
        { "tune -o " UC_SOURCE_DIR "/README.md", "/README.md: line 1" },
        { "stages --tuning " UC_SOURCE_DIR "/README.md", "/README.md: line 1" },
        { "compare one", "compare wants two result files" },
        { "roofline /nowhere -o /tmp/x.svg", "/nowhere cannot be read" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char command[512];
        int status = 0;
        snprintf(command, sizeof command, PROGRAM "%s 2>&1", cases[i].arguments);
        char *text = output_of(command, &status);
        cr_expect_neq(status, 0, "%s", command);
        cr_expect(strstr(text, cases[i].message), "%s: %s", command, text);
        free(text);
    }
}

/* compare.c - unclip-bench compare A B: what changed beyond noise. Two times differ when the intervals in which their
 * medians lie do not overlap; a row is the same one when subcommand, name, device, type, batch and threads agree. */
#include <stdio.h>
#include <string.h>

#include "results.h"

static bool same_row(const json_t *a, const json_t *b) {
    static const char *const keys[] = { "bench", "name", "type" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(bench_text(a, keys[i]), bench_text(b, keys[i])) != 0) return false;
    const json_t *ca = json_object_get(a, "context"), *cb = json_object_get(b, "context");
    return !strcmp(bench_text(ca, "engine"), bench_text(cb, "engine")) &&
           !strcmp(bench_text(ca, "device"), bench_text(cb, "device")) &&
           !strcmp(bench_text(ca, "type"), bench_text(cb, "type")) &&
           (int)bench_number(ca, "threads") == (int)bench_number(cb, "threads") &&
           (int)bench_number(a, "batch") == (int)bench_number(b, "batch");
}

/* The newest of several. */
static const json_t *find_row(const json_t *rows, const json_t *like) {
    for (size_t i = json_array_size(rows); i-- > 0;)
        if (same_row(json_array_get(rows, i), like)) return json_array_get(rows, i);
    return NULL;
}

static const char *verdict(const json_t *a, const json_t *b) {
    if (bench_number(b, "high_s") < bench_number(a, "low_s")) return "faster";
    if (bench_number(b, "low_s") > bench_number(a, "high_s")) return "slower";
    return "same";
}

static void print_origin(const char *name, const json_t *rows) {
    const json_t *row = json_array_get(rows, 0);
    printf("%s: %s, commit %s, %s, clock %s\n", name, bench_text(json_object_get(json_object_get(row, "context"),
           "machine"), "cpu"), bench_context_text(row, "commit"), bench_context_text(row, "compiler"),
           bench_context_text(row, "clock"));
}

static void compare_rows(const json_t *before, const json_t *after) {
    size_t same = 0, changed = 0, alone = 0;
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *b = json_array_get(after, i), *a = find_row(before, b);
        if (bench_number(b, "p50_s") <= 0) continue;
        if (!a || bench_number(a, "p50_s") <= 0) {
            alone++;
            continue;
        }
        const char *what = verdict(a, b);
        if (!strcmp(what, "same")) {
            same++;
            continue;
        }
        changed++;
        printf("%-8s %7.3f x  %10.4g -> %10.4g ms  %s %s\n", what, bench_number(a, "p50_s") / bench_number(b, "p50_s"),
               1e3 * bench_number(a, "p50_s"), 1e3 * bench_number(b, "p50_s"), bench_text(b, "bench"),
               bench_text(b, "name"));
    }
    printf("%zu changed beyond noise, %zu the same within it, %zu only in the second file\n", changed, same, alone);
}

unclip_status bench_compare(const bench_options *o, unclip_error *err) {
    json_t *before = NULL, *after = NULL;
    if (o->operands != 2) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "compare wants two result files");
    unclip_status status = bench_results_read(&before, o->operand[0], err);
    if (!status) status = bench_results_read(&after, o->operand[1], err);
    if (!status) {
        print_origin("A", before);
        print_origin("B", after);
        compare_rows(before, after);
    }
    json_decref(before);
    json_decref(after);
    return status;
}

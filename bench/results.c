/* results.c - see results.h. */
#include "results.h"

#include <stdio.h>
#include <stdlib.h>

const char *bench_text(const json_t *row, const char *key) {
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

double bench_number(const json_t *row, const char *key) { return json_number_value(json_object_get(row, key)); }

const char *bench_context_text(const json_t *row, const char *key) {
    return bench_text(json_object_get(row, "context"), key);
}

static unclip_status add_line(json_t *rows, const char *path, int number, const char *line, size_t length,
                              unclip_error *err) {
    json_error_t why;
    json_t *row = json_loadb(line, length, 0, &why);
    const json_t *schema = json_object_get(row, "schema");
    unclip_status status = UNCLIP_OK;
    if (!row) status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s, line %d: %s", path, number, why.text);
    else if (json_integer_value(schema) != BENCH_SCHEMA)
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s, line %d: schema is %lld, expected %d", path, number,
                         (long long)json_integer_value(schema), (int)BENCH_SCHEMA);
    if (status) json_decref(row);
    else json_array_append_new(rows, row);
    return status;
}

unclip_status bench_results_read(json_t **rows, const char *path, unclip_error *err) {
    *rows = NULL;
    FILE *f = fopen(path, "r");
    if (!f) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s cannot be read", path);
    char *line = NULL;
    size_t capacity = 0;
    int number = 0;
    unclip_status status = UNCLIP_OK;
    *rows = json_array();
    for (ssize_t n; !status && (n = getline(&line, &capacity, f)) > 0;) {
        number++;
        if (n > 1) status = add_line(*rows, path, number, line, (size_t)n, err);
    }
    free(line);
    fclose(f);
    if (!status) return UNCLIP_OK;
    json_decref(*rows);
    *rows = NULL;
    return status;
}

/* embedding_file.c - see embedding_file.h. */
#include "embedding_file.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "pairs.h"
#include "text.h"

enum { LARGEST_FILE = 64 << 20 };

static bool is_json(const char *text) { return text[strspn(text, " \t\r\n")] == '{'; }

int cli_embedding_parse(const char *text, size_t size, const char *name, float **values, size_t *dim, cli_error *err) {
    json_error_t fault;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &fault);
    if (!root) return cli_fail(err, CLI_DATA, "%s: line %d is not one JSON object: %s", name, fault.line, fault.text);
    const json_t *numbers = json_object_get(root, "embedding");
    const size_t count = json_array_size(numbers);
    int code = count ? CLI_OK : cli_fail(err, CLI_DATA, "%s: there is no array \"embedding\" in it", name);
    float *out = count ? malloc(count * sizeof *out) : NULL;
    if (count && !out) code = cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    for (size_t i = 0; i < count && !code; i++) {
        const json_t *number = json_array_get(numbers, i);
        out[i] = (float)json_number_value(number);
        if (!json_is_number(number) || !isfinite(out[i]))
            code = cli_fail(err, CLI_DATA, "%s: \"embedding\" has something else than a finite number at %zu", name, i);
    }
    json_decref(root);
    if (code) free(out);
    else *values = out, *dim = count;
    return code;
}

static int load_pair(const char *path, float **values, size_t *dim, cli_error *err) {
    unclip_pair pair = { .struct_size = sizeof pair };
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_pair_load(&pair, path, &error);
    if (status) return cli_fail_status(err, status, &error);
    *values = malloc(pair.dim * sizeof **values);
    *dim = pair.dim;
    if (*values) memcpy(*values, pair.embedding, pair.dim * sizeof **values);
    unclip_pair_free(&pair);
    return *values ? CLI_OK : cli_fail(err, CLI_TRY_AGAIN, "out of memory");
}

int cli_embedding_load(const char *path, float **values, size_t *dim, cli_error *err) {
    char *text = NULL;
    size_t size = 0;
    *values = NULL;
    int code = cli_read_file(path, LARGEST_FILE, &text, &size, err);
    if (code) return code;
    if (is_json(text) || !strcmp(path, "-"))
        code = cli_embedding_parse(text, size, strcmp(path, "-") ? path : "standard input", values, dim, err);
    else code = load_pair(path, values, dim, err);
    free(text);
    return code;
}

int cli_embedding_of_picture(unclip_engine *engine, const char *path, float **values, size_t *dim, cli_error *err) {
    if (cli_is_pair_file(path)) return load_pair(path, values, dim, err);
    char *png = NULL;
    size_t size = 0;
    const int code = cli_read_file(path, CLI_LARGEST_PNG, &png, &size, err);
    if (code) return code;
    unclip_embedding embedding = { .struct_size = sizeof embedding };
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_embed_image(engine, (const uint8_t *)png, size, &embedding, &error);
    free(png);
    *values = embedding.values;
    *dim = embedding.dim;
    return status ? cli_fail(err, cli_exit_code(status), "%s: %s", path, error.message) : CLI_OK;
}

/* goldens.c - prompt -> tokens against transformers' CLIPTokenizer without ftfy: tests/goldens/make_tokenizer.py. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/models/tokenizer.h"
#include "engine/models/unicode.h"
#include "weights/tokenizer_files.h"

enum { LONGEST = 128 };

/* The folder of a model: its path, or the name of one of the goldens' models. */
static uc_tokenizer *open_tokenizer(const char *format, const char *model) {
    char path[4096], folder[512], prefix[1024];
    unclip_error err = { 0 };
    uc_tokenizer_files files;
    uc_warnings warnings = { 0 };
    uc_tokenizer *tok = NULL;
    snprintf(folder, sizeof folder, format, model);
    if (strncmp(model, "tiny-", 5) == 0) snprintf(prefix, sizeof prefix, "%s/goldens/models", UC_TEST_DATA);
    else if (strcmp(model, "solids") == 0) snprintf(prefix, sizeof prefix, "%s/weights", UC_SOURCE_DIR);
    else snprintf(prefix, sizeof prefix, "%s", UC_SOURCE_DIR);
    snprintf(path, sizeof path, "%s/%s", prefix, folder);
    cr_assert_eq(uc_tokenizer_files_read(&files, path, &warnings, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(uc_tokenizer_new(&tok, &files.spec, &err), UNCLIP_OK, "%s: %s", folder, err.message);
    uc_tokenizer_files_free(&files);
    uc_warnings_free(&warnings);
    return tok;
}

static size_t first_beyond_ascii(const char *text, size_t length) {
    size_t i = 0;
    while (i < length && (unsigned char)text[i] < 0x80) i++;
    return i;
}

static void check_line(const uc_tokenizer *tok, const json_t *line, int number) {
    const json_t *value = json_object_get(line, "text"), *ids = json_object_get(line, "ids");
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    const int context = (int)json_array_size(ids);
    int32_t got[LONGEST];
    int used = 0;
    bool truncated = false;
    unclip_error err = { 0 };
    cr_assert(context > 2 && context <= LONGEST);
    const unclip_status status = uc_tokenizer_encode(tok, text, length, got, context, &used, &truncated, &err);
    if (!uc_unicode_available() && first_beyond_ascii(text, length) < length) {
        cr_assert_eq(status, UNCLIP_ERR_UNSUPPORTED);
        return;
    }
    cr_assert_eq(status, UNCLIP_OK, "line %d: %s", number, err.message);
    cr_expect_eq(used, (int)json_integer_value(json_object_get(line, "used")), "line %d: used %d", number, used);
    cr_expect_eq(truncated, json_is_true(json_object_get(line, "truncated")), "line %d: truncated %d", number,
                 truncated);
    for (int i = 0; i < context; i++) {
        const int32_t expected = (int32_t)json_integer_value(json_array_get(ids, (size_t)i));
        cr_assert_eq(got[i], expected, "tests/goldens/unit/tokenizer.jsonl line %d: id %d is %d, expected %d", number,
                     i, got[i], expected);
    }
}

typedef void (*check_fn)(const uc_tokenizer *tok, const json_t *line, int number);

/* Calls check for every line of a file of goldens, with the tokenizer of the line's "model". */
static void for_every_line(const char *name, const char *folder_format, check_fn check, int least) {
    static char line[1 << 16];
    char path[4096], model[256] = "";
    snprintf(path, sizeof path, "%s/goldens/unit/%s", UC_TEST_DATA, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    uc_tokenizer *tok = NULL;
    int number = 0;
    while (fgets(line, sizeof line, file)) {
        json_error_t where;
        json_t *object = json_loads(line, JSON_ALLOW_NUL, &where);
        cr_assert_not_null(object, "line %d: %s", number + 1, where.text);
        const char *wanted = json_string_value(json_object_get(object, "model"));
        if (strcmp(model, wanted) != 0) {
            uc_tokenizer_free(tok);
            tok = open_tokenizer(folder_format, wanted);
            snprintf(model, sizeof model, "%s", wanted);
        }
        check(tok, object, ++number);
        json_decref(object);
    }
    cr_assert_geq(number, least, "only %d lines", number);
    uc_tokenizer_free(tok);
    fclose(file);
}

Test(tokenizer_goldens, every_prompt_of_every_model) { for_every_line("tokenizer.jsonl", "%s", check_line, 500); }

static bool has_special_token(const char *text) {
    for (; *text; text++) {
        if (strncasecmp(text, "<|startoftext|>", 15) == 0 || strncasecmp(text, "<|endoftext|>", 13) == 0) return true;
    }
    return false;
}

/* "ids" without padding, and prompts with the special tokens typed out, which are plain text here on purpose. */
static void check_prompt(const uc_tokenizer *tok, const json_t *line, int number) {
    const json_t *value = json_object_get(line, "prompt"), *ids = json_object_get(line, "ids");
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    const int context = uc_tokenizer_max_length(tok), count = (int)json_array_size(ids);
    int32_t got[LONGEST];
    int used = 0;
    cr_assert(context >= count && context <= LONGEST);
    if (!uc_unicode_available() && first_beyond_ascii(text, length) < length) return;
    cr_assert_eq(uc_tokenizer_encode(tok, text, length, got, context, &used, NULL, NULL), UNCLIP_OK);
    if (has_special_token(text)) return;
    cr_assert_eq(used, count, "tests/goldens/unit/tokenizer_prompts.jsonl line %d: %d ids, expected %d", number, used,
                 count);
    for (int i = 0; i < context; i++) {
        const int32_t padding = uc_tokenizer_pad_id(tok);
        const int32_t expected = i < count ? (int32_t)json_integer_value(json_array_get(ids, (size_t)i)) : padding;
        cr_assert_eq(got[i], expected, "tests/goldens/unit/tokenizer_prompts.jsonl line %d: id %d is %d, expected %d",
                     number, i, got[i], expected);
    }
}

Test(tokenizer_goldens, prompts_that_other_implementations_get_wrong) {
    for_every_line("tokenizer_prompts.jsonl", "%s/tokenizer", check_prompt, 700);
}

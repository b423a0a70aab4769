/* json.c - see json.h. Before the first arrow of the flow: what the config.json files may say, and how a wrong one is named. */
#define _POSIX_C_SOURCE 200809L
#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* ---- warnings ---------------------------------------------------------------------------------------------------- */

bool uc_warn(uc_warnings *warnings, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char **grown = realloc(warnings->text, (warnings->count + 1) * sizeof *grown);
    if (!grown) return false;
    warnings->text = grown;
    grown[warnings->count] = strdup(text);
    return grown[warnings->count] && ++warnings->count;
}

void uc_warnings_free(uc_warnings *warnings) {
    for (size_t i = 0; i < warnings->count; i++) free(warnings->text[i]);
    free(warnings->text);
    *warnings = (uc_warnings){ 0 };
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

const char *uc_json_kind(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a fractional number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "unknown";
}

const char *uc_json_text(const json_t *value, char buf[UC_JSON_TEXT]) {
    char printable[UC_PRINTABLE];
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    uc_printable(text ? text : uc_json_kind(value), printable);
    free(text);
    size_t n = strlen(printable);
    if (n >= UC_JSON_TEXT) {
        n = UC_JSON_TEXT - 4;
        while (n > 0 && ((unsigned char)printable[n] & 0xC0) == 0x80) n--;
        memcpy(printable + n, "...", 4);
    }
    return strcpy(buf, printable);
}

/* Python's json module writes these words for infinite numbers; the replacements have the same length. */
static void replace_infinities(char *text, size_t size) {
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\') i++;
        else if (text[i] == '"') quoted = !quoted;
        else if (!quoted && size - i >= 8 && !memcmp(text + i, "Infinity", 8)) memcpy(text + i, "1e308   ", 8);
    }
}

unclip_status uc_json_load(const char *path, size_t limit, size_t flags, json_t **root, unclip_error *err) {
    char *text;
    size_t size;
    json_error_t why;
    char printable[UC_PRINTABLE];
    *root = NULL;
    unclip_status status = uc_file_read_text(path, limit, &text, &size, err);
    if (status) return status;
    replace_infinities(text, size);
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | flags, &why);
    free(text);
    if (!*root) {
        if (json_error_code(&why) == json_error_out_of_memory) return uc_fail_memory(err, size, path);
        if (json_error_code(&why) == json_error_invalid_utf8)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: is not UTF-8 (byte %d)", path, why.position);
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: line %d, column %d: %s", path, why.line, why.column,
                       uc_printable(why.text, printable));
    }
    if (json_is_object(*root)) return UNCLIP_OK;
    status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: is %s, expected an object", path, uc_json_kind(*root));
    json_decref(*root);
    *root = NULL;
    return status;
}

/* ---- walking one object ------------------------------------------------------------------------------------------ */

unclip_status uc_json_open(uc_json *j, const char *path, size_t flags, uc_warnings *warnings, unclip_error *err) {
    *j = (uc_json){ .file = path, .err = err, .warnings = warnings };
    return j->status = uc_json_load(path, UC_CONFIG_LIMIT, flags, &j->root, err);
}

void uc_json_fail(uc_json *j, const char *key, const char *format, ...) {
    char text[512], printable[UC_PRINTABLE];
    if (j->status) return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    j->status =
        uc_fail(j->err, UNCLIP_ERR_MODEL_DATA, "%s: %s%s: %s", j->file, j->context, uc_printable(key, printable), text);
}

static void wrong(uc_json *j, const char *key, const json_t *value, const char *expected) {
    char text[UC_JSON_TEXT];
    uc_json_fail(j, key, "is %s, expected %s", uc_json_text(value, text), expected);
}

static void unsupported(uc_json *j, const char *key, const json_t *value, const char *supported) {
    char text[UC_JSON_TEXT];
    uc_json_fail(j, key, "is %s, only %s is supported", uc_json_text(value, text), supported);
}

/* The key's value, no longer in the object; to be given to json_decref. NULL when absent or after a failure. */
static json_t *take(uc_json *j, const char *key) {
    if (j->status) return NULL;
    json_t *value = json_incref(json_object_get(j->root, key));
    if (value) json_object_del(j->root, key);
    return value;
}

unclip_status uc_json_finish(uc_json *j) {
    const char *key;
    json_t *value;
    char text[UC_JSON_TEXT], printable[UC_PRINTABLE];
    if (!j->status) json_object_foreach(j->root, key, value) {
            if (key[0] == '_') continue;
            if (!json_is_null(value)) {
                uc_json_fail(j, key, "is %s, but this key is not known", uc_json_text(value, text));
                break;
            }
            if (j->warnings && !uc_warn(j->warnings, "%s: %s%s: unknown key, ignored because it is null", j->file,
                                        j->context, uc_printable(key, printable)))
                j->status = uc_fail_memory(j->err, 1, j->file);
        }
    json_decref(j->root);
    j->root = NULL;
    return j->status;
}

static int64_t as_int(uc_json *j, const char *key, const json_t *value, int64_t least, int64_t most) {
    char expected[96];
    if (json_is_integer(value) && json_integer_value(value) >= least && json_integer_value(value) <= most)
        return json_integer_value(value);
    if (least == 1 && most == INT64_MAX) snprintf(expected, sizeof expected, "a positive integer");
    else if (most == INT64_MAX) snprintf(expected, sizeof expected, "an integer of at least %lld", (long long)least);
    else snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)least, (long long)most);
    wrong(j, key, value, expected);
    return least;
}

int64_t uc_json_int(uc_json *j, const char *key, int64_t absent, int64_t least, int64_t most) {
    json_t *value = take(j, key);
    if (!value) {
        if (absent == UC_JSON_REQUIRED) uc_json_fail(j, key, "is missing");
        return absent == UC_JSON_REQUIRED ? least : absent;
    }
    const int64_t result = as_int(j, key, value, least, most);
    json_decref(value);
    return result;
}

int64_t uc_json_int_or_null(uc_json *j, const char *key, int64_t absent, int64_t least, int64_t most) {
    if (!j->status && json_is_null(json_object_get(j->root, key))) json_object_del(j->root, key);
    return uc_json_int(j, key, absent, least, most);
}

double uc_json_number(uc_json *j, const char *key, double absent, double least, double most) {
    json_t *value = take(j, key);
    double result = absent;
    if (value && json_is_number(value) && json_number_value(value) >= least && json_number_value(value) <= most) {
        result = json_number_value(value);
    } else if (value) {
        char expected[96];
        snprintf(expected, sizeof expected, "a number from %g to %g", least, most);
        wrong(j, key, value, expected);
    }
    json_decref(value);
    return result;
}

bool uc_json_bool(uc_json *j, const char *key, bool absent) {
    json_t *value = take(j, key);
    if (!value) return absent;
    if (!json_is_boolean(value)) wrong(j, key, value, "true or false");
    const bool result = json_is_true(value);
    json_decref(value);
    return result;
}

static int name_index(uc_json *j, const char *key, const json_t *value, const char *const *names, int count) {
    char supported[400] = "";
    for (int i = 0; i < count; i++) {
        if (json_is_string(value) && !strcmp(json_string_value(value), names[i])) return i;
        const size_t n = strlen(supported);
        snprintf(supported + n, sizeof supported - n, "%s\"%s\"",
                 i == 0          ? ""
                 : i + 1 < count ? ", "
                                 : " or ",
                 names[i]);
    }
    if (count == 1) unsupported(j, key, value, supported);
    else wrong(j, key, value, supported);
    return 0;
}

int uc_json_choice(uc_json *j, const char *key, int absent, const char *const *names, int count) {
    json_t *value = take(j, key);
    if (!value) {
        if (absent < 0) uc_json_fail(j, key, "is missing");
        return absent < 0 ? 0 : absent;
    }
    const int result = name_index(j, key, value, names, count);
    json_decref(value);
    return result;
}

char *uc_json_string(uc_json *j, const char *key) {
    json_t *value = take(j, key);
    char *copy = NULL;
    if (json_is_string(value)) {
        copy = strdup(json_string_value(value));
        if (!copy) j->status = uc_fail_memory(j->err, 1, j->file);
    } else if (value && !json_is_null(value)) {
        wrong(j, key, value, "a string");
    }
    json_decref(value);
    return copy;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static const char *element(const char *key, int i, char buf[96]) {
    snprintf(buf, 96, "%.60s[%d]", key, i);
    return buf;
}

/* Checks for a list of count elements (any number up to -count when negative). */
static bool is_list(uc_json *j, const char *key, const json_t *value, int count) {
    char expected[64];
    const size_t size = json_array_size(value);
    if (json_is_array(value) && (count >= 0 ? size == (size_t)count : size > 0 && size <= (size_t)-count)) return true;
    if (count >= 0) snprintf(expected, sizeof expected, "a list of %d", count);
    else snprintf(expected, sizeof expected, "a list of 1 to %d", -count);
    wrong(j, key, value, expected);
    return false;
}

void uc_json_ints(uc_json *j, const char *key, int64_t absent, int64_t *out, int count, int64_t least, int64_t most) {
    char name[96];
    json_t *value = take(j, key);
    if (!value && absent == UC_JSON_REQUIRED) uc_json_fail(j, key, "is missing");
    if (json_is_array(value)) {
        if (is_list(j, key, value, count))
            for (int i = 0; i < count; i++)
                out[i] = as_int(j, element(key, i, name), json_array_get(value, (size_t)i), least, most);
    } else {
        const int64_t one = value ? as_int(j, key, value, least, most) : absent;
        for (int i = 0; i < count; i++) out[i] = one;
    }
    json_decref(value);
}

int uc_json_list(uc_json *j, const char *key, int64_t *out, int most_items, int64_t least, int64_t most) {
    char name[96];
    json_t *value = take(j, key);
    int count = 0;
    if (!value) uc_json_fail(j, key, "is missing");
    else if (is_list(j, key, value, -most_items))
        for (; count < (int)json_array_size(value); count++)
            out[count] = as_int(j, element(key, count, name), json_array_get(value, (size_t)count), least, most);
    json_decref(value);
    return count;
}

void uc_json_numbers(uc_json *j, const char *key, const double *absent, double *out, int count) {
    char name[96];
    json_t *value = take(j, key);
    for (int i = 0; i < count; i++) out[i] = absent[i];
    if (value && !json_is_null(value) && is_list(j, key, value, count))
        for (int i = 0; i < count; i++) {
            const json_t *number = json_array_get(value, (size_t)i);
            if (!json_is_number(number)) wrong(j, element(key, i, name), number, "a number");
            out[i] = json_number_value(number);
        }
    json_decref(value);
}

void uc_json_choices(uc_json *j, const char *key, int *out, int count, const char *const *names, int name_count) {
    char name[96];
    json_t *value = take(j, key);
    if (!value) uc_json_fail(j, key, "is missing");
    else if (is_list(j, key, value, count))
        for (int i = 0; i < count; i++)
            out[i] = name_index(j, element(key, i, name), json_array_get(value, (size_t)i), names, name_count);
    json_decref(value);
}

/* ---- keys with one supported value ------------------------------------------------------------------------------- */

void uc_json_only_null(uc_json *j, const char *key) {
    json_t *value = take(j, key);
    if (value && !json_is_null(value)) unsupported(j, key, value, "null");
    json_decref(value);
}

void uc_json_only_bool(uc_json *j, const char *key, bool only) {
    json_t *value = take(j, key);
    if (value && !json_is_null(value) && !(json_is_boolean(value) && json_is_true(value) == only))
        unsupported(j, key, value, only ? "true" : "false");
    json_decref(value);
}

void uc_json_only_number(uc_json *j, const char *key, double only) {
    json_t *value = take(j, key);
    char text[32];
    snprintf(text, sizeof text, "%g", only);
    if (value && !json_is_null(value)) {
        const double number = json_number_value(value);
        if (!json_is_number(value) || number < only || number > only) unsupported(j, key, value, text);
    }
    json_decref(value);
}

void uc_json_only_string(uc_json *j, const char *key, const char *only) {
    json_t *value = take(j, key);
    char text[96];
    snprintf(text, sizeof text, "\"%s\"", only);
    if (value && !json_is_null(value) && !(json_is_string(value) && !strcmp(json_string_value(value), only)))
        unsupported(j, key, value, text);
    json_decref(value);
}

void uc_json_ignore(uc_json *j, const char *const *keys, size_t count) {
    for (size_t i = 0; i < count; i++) json_decref(take(j, keys[i]));
}

bool uc_json_nested(uc_json *j, const char *key, uc_json *nested) {
    json_t *value = take(j, key);
    *nested = (uc_json){ .file = j->file, .err = j->err, .warnings = j->warnings, .status = j->status };
    snprintf(nested->context, sizeof nested->context, "%.40s%.40s.", j->context, key);
    if (json_is_object(value)) {
        nested->root = value;
        return true;
    }
    if (value && !json_is_null(value)) wrong(j, key, value, "an object");
    json_decref(value);
    return false;
}

void uc_json_join(uc_json *j, unclip_status nested) {
    if (!j->status) j->status = nested;
}

/* json.h - strict reading of configuration files: every key is taken, checked and accounted for.
 *
 * A uc_json walks one object. Each taking function removes the key from the object and returns its value, or the default
 * when the key is absent; the first failure sticks, later calls return harmless values, and uc_json_finish reports it, or
 * the keys that nothing took. Messages read "FILE: KEY: is VALUE, expected WHAT". */
#ifndef UC_WEIGHTS_JSON_H
#define UC_WEIGHTS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../engine/core/error.h"

enum { UC_CONFIG_LIMIT = 1 << 20 }; /* bytes of a configuration file */

/* What happened that the user may want to know but that stops nothing. */
typedef struct uc_warnings {
    size_t count;
    char **text;
} uc_warnings;

__attribute__((format(printf, 2, 3))) bool uc_warn(uc_warnings *warnings, const char *format,
                                                   ...); /* false when memory ran out */
void uc_warnings_free(uc_warnings *warnings);

/* Reads the object in a file. Python's -Infinity and Infinity, which are no JSON, read as -1e308 and 1e308. flags:
 * jansson's, added to JSON_REJECT_DUPLICATES. */
unclip_status uc_json_load(const char *path, size_t limit, size_t flags, json_t **root, unclip_error *err);

const char *uc_json_kind(const json_t *value); /* "a string", "true", ... */

/* The value as it stands in the file, shortened, for messages. */
enum { UC_JSON_TEXT = 96 };
const char *uc_json_text(const json_t *value, char buf[UC_JSON_TEXT]);

typedef struct uc_json {
    const char *file; /* for messages */
    json_t *root;     /* owned; what is left of the object */
    unclip_status status;
    unclip_error *err;
    uc_warnings *warnings;
    char context[96]; /* "crop_size." inside a nested object */
} uc_json;

unclip_status uc_json_open(uc_json *j, const char *path, size_t flags, uc_warnings *warnings, unclip_error *err);

/* Reports the first failure, else fails for a key that is left and neither null nor beginning with "_". Null ones become
 * a warning. Frees the object. */
unclip_status uc_json_finish(uc_json *j);

/* Fails at key: "FILE: KEY: ..." (the first failure wins). */
__attribute__((format(printf, 3, 4))) void uc_json_fail(uc_json *j, const char *key, const char *format, ...);

/* A default that says: the key must be there. */
#define UC_JSON_REQUIRED INT64_MIN

int64_t uc_json_int(uc_json *j, const char *key, int64_t absent, int64_t least, int64_t most);
/* null counts as absent. */
int64_t uc_json_int_or_null(uc_json *j, const char *key, int64_t absent, int64_t least, int64_t most);
double uc_json_number(uc_json *j, const char *key, double absent, double least, double most);
bool uc_json_bool(uc_json *j, const char *key, bool absent);
/* Which of the names; absent: an index, or -1 when the key must be there. */
int uc_json_choice(uc_json *j, const char *key, int absent, const char *const *names, int count);
/* A copy to be freed, or NULL when absent or null. */
char *uc_json_string(uc_json *j, const char *key);

/* An integer, repeated count times, or a list of exactly count integers. A missing key takes `absent`. */
void uc_json_ints(uc_json *j, const char *key, int64_t absent, int64_t *out, int count, int64_t least, int64_t most);
/* A list of integers of any length up to most_items; returns the length. */
int uc_json_list(uc_json *j, const char *key, int64_t *out, int most_items, int64_t least, int64_t most);
/* Exactly count numbers; a missing key or null takes those of absent. */
void uc_json_numbers(uc_json *j, const char *key, const double *absent, double *out, int count);
/* Exactly count strings, each one of the names; out: which. */
void uc_json_choices(uc_json *j, const char *key, int *out, int count, const char *const *names, int name_count);

/* Keys that have one supported value (or may be absent, or null). */
void uc_json_only_null(uc_json *j, const char *key);
void uc_json_only_bool(uc_json *j, const char *key, bool value);
void uc_json_only_number(uc_json *j, const char *key, double value);
void uc_json_only_string(uc_json *j, const char *key, const char *value);

/* Keys that have no influence on what is computed. */
void uc_json_ignore(uc_json *j, const char *const *keys, size_t count);

/* Takes an object out of j to be walked on its own (key must outlive it); false when absent. Finish it, then pass its
 * status on with uc_json_join. */
bool uc_json_nested(uc_json *j, const char *key, uc_json *nested);
void uc_json_join(uc_json *j, unclip_status nested);

#endif

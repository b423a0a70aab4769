/* tokenizer_files.c - see tokenizer_files.h. The arrow prompt -> tokens: which tokens there are, and which are special. */
#define _POSIX_C_SOURCE 200809L
#include "tokenizer_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

enum { FILE_LIMIT = 64 << 20, MOST_ID = 1 << 20 };
enum { START, END, UNKNOWN, PAD };

static const char *const token_keys[] = { "bos_token", "eos_token", "unk_token", "pad_token" };
static const char *const token_defaults[] = { "<|startoftext|>", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>" };

void uc_tokenizer_files_free(uc_tokenizer_files *files) {
    for (size_t i = 0; i < 4; i++) free(files->token[i]);
    for (size_t i = 0; files->added && i < files->spec.added_count; i++) free((char *)files->added[i].text);
    free(files->added);
    free(files->vocab);
    free(files->vocab_text);
    free(files->merges);
    *files = (uc_tokenizer_files){ 0 };
}

static unclip_status read_vocab(uc_tokenizer_files *f, const char *path, unclip_error *err) {
    json_t *root, *value;
    const char *key;
    char text[UC_JSON_TEXT], printable[UC_PRINTABLE];
    unclip_status status = uc_json_load(path, FILE_LIMIT, 0, &root, err);
    if (status) return status;
    size_t bytes = 1;
    json_object_foreach(root, key, value) bytes += strlen(key) + 1;
    f->vocab = calloc(json_object_size(root) + 1, sizeof *f->vocab);
    f->vocab_text = malloc(bytes);
    if (!f->vocab || !f->vocab_text) status = uc_fail_memory(err, bytes, path);
    char *at = f->vocab_text;
    if (!status) json_object_foreach(root, key, value) {
            if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= MOST_ID) {
                status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: \"%s\": is %s, expected an integer from 0 to %d",
                                 path, uc_printable(key, printable), uc_json_text(value, text), MOST_ID - 1);
                break;
            }
            f->vocab[f->spec.vocab_count++] = (uc_token){ strcpy(at, key), (int32_t)json_integer_value(value) };
            at += strlen(key) + 1;
        }
    json_decref(root);
    return status;
}

/* ---- special tokens ---------------------------------------------------------------------------------------------- */

/* A token is a string, or an object with its "content". NULL and a failure when it is neither. */
static const char *token_text(const char *path, const char *key, const json_t *value, unclip_status *status,
                              unclip_error *err) {
    char text[UC_JSON_TEXT];
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    if (json_is_string(content) && json_string_length(content)) return json_string_value(content);
    *status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s: is %s, expected a string or an object with \"content\"",
                      path, key, uc_json_text(value, text));
    return NULL;
}

/* Takes the four named tokens that root has; null leaves what was there. */
static unclip_status take_tokens(uc_tokenizer_files *f, const char *path, json_t *root, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (int i = 0; i < 4 && !status; i++) {
        const json_t *value = json_object_get(root, token_keys[i]);
        if (value && !json_is_null(value)) {
            const char *text = token_text(path, token_keys[i], value, &status, err);
            char *copy = text ? strdup(text) : NULL;
            if (text && !copy) status = uc_fail_memory(err, strlen(text), path);
            if (copy) {
                free(f->token[i]);
                f->token[i] = copy;
            }
        }
        json_object_del(root, token_keys[i]);
    }
    return status;
}

static unclip_status add_token(uc_tokenizer_files *f, const char *path, const char *text, int64_t id,
                               unclip_error *err) {
    for (size_t i = 0; i < f->spec.added_count; i++)
        if (!strcmp(f->added[i].text, text)) return UNCLIP_OK;
    uc_token *grown = realloc(f->added, (f->spec.added_count + 1) * sizeof *grown);
    if (grown) f->added = grown;
    char *copy = grown ? strdup(text) : NULL;
    if (!copy) return uc_fail_memory(err, strlen(text), path);
    f->added[f->spec.added_count++] = (uc_token){ copy, (int32_t)id };
    return UNCLIP_OK;
}

/* added_tokens_decoder: {"49406": {"content": "<|startoftext|>", ...}, ...} */
static unclip_status take_decoder(uc_tokenizer_files *f, const char *path, const json_t *decoder, unclip_error *err) {
    const char *key;
    json_t *value;
    char printable[UC_PRINTABLE];
    unclip_status status = UNCLIP_OK;
    if (!json_is_object(decoder))
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: added_tokens_decoder: is %s, expected an object", path,
                       uc_json_kind(decoder));
    json_object_foreach((json_t *)decoder, key, value) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (!key[0] || *end || id < 0 || id >= MOST_ID)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: added_tokens_decoder: \"%s\" is not a token number", path,
                           uc_printable(key, printable));
        const char *text = token_text(path, "added_tokens_decoder", value, &status, err);
        if (!status) status = add_token(f, path, text, id, err);
        if (status) return status;
    }
    return UNCLIP_OK;
}

/* added_tokens.json: {"<token>": id} */
static unclip_status read_added(uc_tokenizer_files *f, const char *path, unclip_error *err) {
    json_t *root, *value;
    const char *key;
    char text[UC_JSON_TEXT], printable[UC_PRINTABLE];
    unclip_status status = uc_json_load(path, UC_CONFIG_LIMIT, 0, &root, err);
    if (status) return status;
    json_object_foreach(root, key, value) {
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= MOST_ID)
            status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: \"%s\": is %s, expected an integer from 0 to %d", path,
                             uc_printable(key, printable), uc_json_text(value, text), MOST_ID - 1);
        else status = add_token(f, path, key, json_integer_value(value), err);
        if (status) break;
    }
    json_decref(root);
    return status;
}

/* ---- tokenizer_config.json --------------------------------------------------------------------------------------- */

static const char *const config_ignored[] = {
    "add_prefix_space",    "clean_up_tokenization_spaces",
    "do_lower_case",       "name_or_path",
    "processor_class",     "special_tokens_map_file",
    "tokenizer_file",      "truncation_side",
    "padding_side",        "use_fast",
    "max_length",          "stride",
    "truncation_strategy", "pad_to_multiple_of",
    "pad_token_type_id",   "model_input_names",
};

/* numbers come as fractional ones: transformers writes 10^30 for "no limit". */
static unclip_status read_config(uc_tokenizer_files *f, const char *path, bool *modern, uc_warnings *warnings,
                                 unclip_error *err) {
    static const char *const classes[] = { "CLIPTokenizer", "CLIPTokenizerFast" };
    static const char *const errors[] = { "replace" };
    uc_json j;
    if (uc_json_open(&j, path, JSON_DECODE_INT_AS_REAL, warnings, err)) return j.status;
    j.status = take_tokens(f, path, j.root, err);
    const json_t *decoder = json_object_get(j.root, "added_tokens_decoder");
    *modern = decoder != NULL;
    if (!j.status && decoder) j.status = take_decoder(f, path, decoder, err);
    json_object_del(j.root, "added_tokens_decoder");
    const double length = uc_json_number(&j, "model_max_length", 1e30, 2, 1e31);
    f->spec.max_length = length < 65536 ? (int)length : 0;
    uc_json_choice(&j, "tokenizer_class", 0, classes, 2);
    uc_json_choice(&j, "errors", 0, errors, 1);
    const json_t *more = json_object_get(j.root, "additional_special_tokens");
    if (json_is_array(more) && !json_array_size(more)) json_object_del(j.root, "additional_special_tokens");
    uc_json_only_null(&j, "additional_special_tokens");
    more = json_object_get(j.root, "extra_special_tokens");
    if (json_is_object(more) && !json_object_size(more)) json_object_del(j.root, "extra_special_tokens");
    uc_json_only_null(&j, "extra_special_tokens");
    uc_json_ignore(&j, config_ignored, sizeof config_ignored / sizeof *config_ignored);
    return uc_json_finish(&j);
}

static unclip_status read_map(uc_tokenizer_files *f, const char *path, unclip_error *err) {
    json_t *root;
    unclip_status status = uc_json_load(path, UC_CONFIG_LIMIT, 0, &root, err);
    if (!status) status = take_tokens(f, path, root, err);
    json_decref(root);
    return status;
}

/* Special tokens are split out of a prompt too; their numbers stand in the vocabulary unless a list above gave them. */
static unclip_status add_special(uc_tokenizer_files *f, const char *dir, unclip_error *err) {
    char printable[UC_PRINTABLE];
    for (int i = 0; i < 4; i++) {
        int64_t id = -1;
        for (size_t k = 0; k < f->spec.added_count && id < 0; k++)
            if (!strcmp(f->added[k].text, f->token[i])) id = f->added[k].id;
        for (size_t k = 0; k < f->spec.vocab_count && id < 0; k++)
            if (!strcmp(f->vocab[k].text, f->token[i])) id = f->vocab[k].id;
        if (id < 0)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s: is \"%s\", which vocab.json does not have", dir,
                           token_keys[i], uc_printable(f->token[i], printable));
        const unclip_status status = add_token(f, dir, f->token[i], id, err);
        if (status) return status;
    }
    return UNCLIP_OK;
}

static unclip_status read_all(uc_tokenizer_files *f, char *const path[5], const char *dir, uc_warnings *warnings,
                              unclip_error *err) {
    bool modern = false;
    unclip_status status = read_vocab(f, path[0], err);
    if (!status) status = uc_file_read_text(path[1], FILE_LIMIT, &f->merges, &f->spec.merges_size, err);
    for (int i = 0; i < 4 && !status; i++)
        if (!(f->token[i] = strdup(token_defaults[i]))) status = uc_fail_memory(err, 16, dir);
    if (!status && uc_file_exists(path[2])) status = read_config(f, path[2], &modern, warnings, err);
    if (!status && !modern && uc_file_exists(path[3])) status = read_map(f, path[3], err);
    if (!status && !modern && uc_file_exists(path[4])) status = read_added(f, path[4], err);
    return status ? status : add_special(f, dir, err);
}

unclip_status uc_tokenizer_files_read(uc_tokenizer_files *files, const char *dir, uc_warnings *warnings,
                                      unclip_error *err) {
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                                         "added_tokens.json" };
    char *path[5] = { NULL };
    unclip_status status = UNCLIP_OK;
    *files = (uc_tokenizer_files){ 0 };
    for (int i = 0; i < 5 && !status; i++)
        if (!(path[i] = uc_path_join(dir, names[i]))) status = uc_fail_memory(err, strlen(dir), dir);
    if (!status) status = read_all(files, path, dir, warnings, err);
    for (int i = 0; i < 5; i++) free(path[i]);
    if (status) {
        uc_tokenizer_files_free(files);
        return status;
    }
    files->spec.vocab = files->vocab;
    files->spec.merges = files->merges;
    files->spec.added = files->added;
    files->spec.start = files->token[START];
    files->spec.end = files->token[END];
    files->spec.unknown = files->token[UNKNOWN];
    files->spec.pad = files->token[PAD];
    return UNCLIP_OK;
}

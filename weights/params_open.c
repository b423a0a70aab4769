/* params_open.c - see params_open.h. Before the first arrow of the flow: which files a network's tensors lie in. */
#define _POSIX_C_SOURCE 200809L
#include "params_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "json.h"
#include "safetensors.h"

enum { INDEX_LIMIT = 100000000, SHARD_LIMIT = 1000 };

/* What uc_params_open hands out; the models see only its first member. */
typedef struct opened {
    uc_params params;
    char *component, *path;
    size_t file_count;
    uc_safetensors *files;
    uc_param *merged; /* when there are several files */
} opened;

void uc_params_close(uc_params *params) {
    opened *o = (opened *)params;
    if (!o) return;
    for (size_t i = 0; i < o->file_count; i++) uc_safetensors_close(&o->files[i]);
    free(o->files);
    free(o->merged);
    free(o->component);
    free(o->path);
    free(o);
}

unclip_status uc_params_unchanged(const uc_params *params, unclip_error *err) {
    const opened *o = (const opened *)params;
    for (size_t i = 0; i < o->file_count; i++) {
        const unclip_status status = uc_safetensors_unchanged(&o->files[i], err);
        if (status) return status;
    }
    return UNCLIP_OK;
}

static opened *opened_new(const char *path, const char *component, size_t files) {
    opened *o = calloc(1, sizeof *o);
    if (!o) return NULL;
    o->component = strdup(component);
    o->path = strdup(path);
    o->files = calloc(files + 1, sizeof *o->files);
    if (!o->component || !o->path || !o->files) {
        uc_params_close(&o->params);
        return NULL;
    }
    o->params.component = o->component;
    o->params.file = o->path;
    return o;
}

unclip_status uc_params_open_file(uc_params **params, const char *path, const char *component, unclip_error *err) {
    *params = NULL;
    opened *o = opened_new(path, component, 1);
    if (!o) return uc_fail_memory(err, sizeof *o, path);
    const unclip_status status = uc_safetensors_open(&o->files[0], path, err);
    if (status) {
        uc_params_close(&o->params);
        return status;
    }
    o->file_count = 1;
    o->params.count = o->files[0].count;
    o->params.items = o->files[0].items;
    *params = &o->params;
    return UNCLIP_OK;
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int by_param_name(const void *a, const void *b) {
    return strcmp(((const uc_param *)a)->name, ((const uc_param *)b)->name);
}

/* A shard is a file beside its index: no way out of the folder. */
static bool is_plain_name(const char *name) {
    static const char ending[] = ".safetensors";
    const size_t length = strlen(name), tail = sizeof ending - 1;
    return length > tail && !strchr(name, '/') && name[0] != '.' && !strcmp(name + length - tail, ending);
}

/* The distinct files of a weight_map, sorted; *names points into the map. */
static unclip_status list_shards(const char *index, json_t *map, const char ***names, size_t *count,
                                 unclip_error *err) {
    const char *key;
    json_t *value;
    char a[UC_PRINTABLE], b[UC_PRINTABLE];
    const size_t listed = json_object_size(map);
    const char **all = calloc(listed + 1, sizeof *all);
    if (!all) return uc_fail_memory(err, listed * sizeof *all, index);
    *names = all;
    *count = 0;
    json_object_foreach(map, key, value) {
        if (!json_is_string(value))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: weight_map: %s is not a string", index,
                           uc_printable(key, a));
        if (!is_plain_name(json_string_value(value)))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                           "%s: weight_map: %s is in \"%s\", expected the name of a "
                           ".safetensors file in the same folder",
                           index, uc_printable(key, a), uc_printable(json_string_value(value), b));
        all[(*count)++] = json_string_value(value);
    }
    if (*count) qsort(all, *count, sizeof *all, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (i == 0 || strcmp(all[i], all[kept - 1])) all[kept++] = all[i];
    *count = kept;
    if (kept == 0) return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: weight_map is empty", index);
    if (kept > SHARD_LIMIT)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: weight_map names %zu files, at most %d are allowed", index,
                       kept, SHARD_LIMIT);
    return UNCLIP_OK;
}

/* Every tensor of the shard must be listed as lying in it. */
static unclip_status check_shard(const char *index, json_t *map, const uc_safetensors *shard, const char *name,
                                 unclip_error *err) {
    char text[UC_PRINTABLE];
    for (size_t i = 0; i < shard->count; i++) {
        const char *listed = json_string_value(json_object_get(map, shard->items[i].name));
        if (!listed)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s of %s is not listed", index,
                           uc_printable(shard->items[i].name, text), name);
        if (strcmp(listed, name))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s is listed in %s, but also lies in %s", index,
                           uc_printable(shard->items[i].name, text), listed, name);
    }
    return UNCLIP_OK;
}

/* The items of all shards in one sorted list; every listed tensor must be among them. */
static unclip_status merge(opened *o, json_t *map, unclip_error *err) {
    const char *key;
    json_t *value;
    char text[UC_PRINTABLE];
    size_t total = 0;
    for (size_t i = 0; i < o->file_count; i++) total += o->files[i].count;
    o->merged = calloc(total + 1, sizeof *o->merged);
    if (!o->merged) return uc_fail_memory(err, total * sizeof *o->merged, o->path);
    for (size_t i = 0; i < o->file_count; i++) {
        if (o->files[i].count)
            memcpy(o->merged + o->params.count, o->files[i].items, o->files[i].count * sizeof *o->merged);
        o->params.count += o->files[i].count;
    }
    if (total) qsort(o->merged, total, sizeof *o->merged, by_param_name);
    o->params.items = o->merged;
    json_object_foreach(map, key, value) if (!uc_params_find(&o->params, key)) return uc_fail(
        err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s is listed in %s, but does not lie there", o->path,
        uc_printable(key, text), json_string_value(value));
    return UNCLIP_OK;
}

static unclip_status open_shards(opened *o, const char *dir, json_t *map, const char *const *names, size_t count,
                                 unclip_error *err) {
    for (size_t i = 0; i < count; i++) {
        char *path = uc_path_join(dir, names[i]);
        if (!path) return uc_fail_memory(err, strlen(dir), o->path);
        unclip_status status = uc_safetensors_open(&o->files[i], path, err);
        free(path);
        if (status) return status;
        o->file_count++;
        status = check_shard(o->path, map, &o->files[i], names[i], err);
        if (status) return status;
    }
    return merge(o, map, err);
}

static unclip_status open_index(uc_params **params, const char *dir, const char *path, const char *component,
                                unclip_error *err) {
    json_t *root = NULL;
    const char **names = NULL;
    size_t count = 0;
    opened *o = NULL;
    unclip_status status = uc_json_load(path, INDEX_LIMIT, 0, &root, err);
    if (status) return status;
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map)) {
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: weight_map is %s, expected an object", path,
                         map ? uc_json_kind(map) : "missing");
    } else {
        status = list_shards(path, map, &names, &count, err);
    }
    if (!status && !(o = opened_new(path, component, count))) status = uc_fail_memory(err, sizeof *o, path);
    if (!status) status = open_shards(o, dir, map, names, count, err);
    free(names);
    json_decref(root);
    if (status) uc_params_close(o ? &o->params : NULL);
    else *params = &o->params;
    return status;
}

/* ---- which file -------------------------------------------------------------------------------------------------- */

enum { WEIGHT_NAME = 256 };

/* The forms of one variant in the order in which they are looked for: 0 is the single file, the others indexes. */
static const char *weight_name(char name[WEIGHT_NAME], const char *stem, const char *variant, int form) {
    if (!variant) snprintf(name, WEIGHT_NAME, form ? "%s.safetensors.index.json" : "%s.safetensors", stem);
    else if (form == 0) snprintf(name, WEIGHT_NAME, "%s.%s.safetensors", stem, variant);
    else if (form == 1) snprintf(name, WEIGHT_NAME, "%s.safetensors.index.%s.json", stem, variant);
    else snprintf(name, WEIGHT_NAME, "%s.%s.safetensors.index.json", stem, variant);
    return name;
}

/* Opens the first of a variant's files that is there; *found says whether one was. */
static unclip_status try_variant(uc_params **params, const char *dir, const char *stem, const char *variant,
                                 const char *component, bool *found, unclip_error *err) {
    char name[WEIGHT_NAME];
    *found = false;
    for (int form = 0; form < (variant ? 3 : 2); form++) {
        char *path = uc_path_join(dir, weight_name(name, stem, variant, form));
        if (!path) return uc_fail_memory(err, strlen(dir), dir);
        unclip_status status = UNCLIP_OK;
        *found = uc_file_exists(path);
        if (*found)
            status = form ? open_index(params, dir, path, component, err)
                          : uc_params_open_file(params, path, component, err);
        free(path);
        if (*found) return status;
    }
    return UNCLIP_OK;
}

/* Nothing was found: a pickle may explain it. */
static unclip_status fail_absent(const char *dir, const char *stem, unclip_error *err) {
    static const char *const pickles[] = { "diffusion_pytorch_model.bin",
                                           "diffusion_pytorch_model.fp16.bin",
                                           "diffusion_pytorch_model.bin.index.json",
                                           "pytorch_model.bin",
                                           "pytorch_model.fp16.bin",
                                           "pytorch_model.bin.index.json",
                                           "model.bin" };
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        char *path = uc_path_join(dir, pickles[i]);
        const bool there = path && uc_file_exists(path);
        free(path);
        if (there)
            return uc_fail(err, UNCLIP_ERR_MODEL_MISSING,
                           "%s: has only %s, a pickle, which can run code and is never "
                           "read; convert it to %s.safetensors, in Python: pipeline.save_pretrained(..., "
                           "safe_serialization=True)",
                           dir, pickles[i], stem);
    }
    return uc_fail(err, UNCLIP_ERR_MODEL_MISSING, "%s: has no %s.safetensors (nor shards, nor an fp16 variant)", dir,
                   stem);
}

unclip_status uc_params_open(uc_params **params, const char *dir, const char *stem, const char *variant,
                             const char *component, unclip_error *err) {
    const char *const order[] = { variant, NULL, "fp16" };
    *params = NULL;
    if (variant && (!variant[0] || strlen(variant) > 32 || strpbrk(variant, "/.%")))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "variant \"%.40s\" is not a name like fp16", variant);
    for (size_t i = variant ? 0 : 1; i < 3; i++) {
        bool found;
        const unclip_status status = try_variant(params, dir, stem, order[i], component, &found, err);
        if (status || found) return status;
    }
    return fail_absent(dir, stem, err);
}

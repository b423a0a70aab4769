/* tuning.c - see tuning.h: the table in memory, and the file. */
#include "tuning.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernels/cpu/onednn.h"
#include "../weights/file.h"
#include "../weights/json.h"

enum { SCHEMA = 1, FILE_LIMIT = 16 << 20 };

static const char *const ways[UC_WAY_COUNT] = { "default", "direct", "winograd", "onednn" };

const char *uc_way_name(uc_way way) { return ways[way]; }

void uc_tuning_this_machine(uc_tuning_machine *machine) {
    memset(machine, 0, sizeof *machine);
    uc_cpu_describe(machine->cpu, machine->instructions);
    uc_onednn_version(machine->onednn);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

bool uc_tuning_key_of(uc_tuning_key *key, const uc_launch *l) {
    if ((l->kind != UC_OP_conv2d && l->kind != UC_OP_matmul) || l->in[0].dtype != UC_F32 || l->out[0].dtype != UC_F32)
        return false;
    const uc_shape x = l->in[0].shape, w = l->in[1].shape;
    memset(key, 0, sizeof *key); /* compared as bytes */
    key->kind = l->kind;
    key->weight_type = l->in[1].dtype;
    for (int i = 0; i < w.rank; i++) key->weight[i] = w.dim[i];
    if (l->kind == UC_OP_matmul) {
        key->x[0] = x.rank == 3 ? x.dim[1] : 1;
        return true;
    }
    for (int i = 0; i < 3; i++) key->x[i] = x.dim[i + 1];
    key->stride = l->attrs.conv2d.stride;
    key->pad = l->attrs.conv2d.pad;
    return true;
}

static uc_tuning_entry *entry_of(const uc_tuning *t, const uc_tuning_key *key) {
    for (size_t i = 0; i < t->count; i++)
        if (!memcmp(&t->entries[i].key, key, sizeof *key)) return &t->entries[i];
    return NULL;
}

unclip_status uc_tuning_set(uc_tuning *t, const uc_tuning_entry *entry, unclip_error *err) {
    uc_tuning_entry *known = entry_of(t, &entry->key);
    if (known) {
        *known = *entry;
        return UNCLIP_OK;
    }
    if (t->count == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 64;
        uc_tuning_entry *grown = realloc(t->entries, capacity * sizeof *grown);
        if (!grown) return uc_fail_memory(err, capacity * sizeof *grown, "tuning");
        t->entries = grown;
        t->capacity = capacity;
    }
    t->entries[t->count++] = *entry;
    return UNCLIP_OK;
}

uc_way uc_tuning_find(const uc_tuning *tuning, const uc_launch *launch) {
    uc_tuning_key key;
    if (!tuning || !uc_tuning_key_of(&key, launch)) return UC_WAY_DEFAULT;
    const uc_tuning_entry *entry = entry_of(tuning, &key);
    return entry ? entry->way : UC_WAY_DEFAULT;
}

void uc_tuning_free(uc_tuning *tuning) {
    if (!tuning) return;
    free(tuning->entries);
    free(tuning);
}

bool uc_tuning_notice(const uc_tuning *t, const char *path, char out[UC_TUNING_NOTICE]) {
    if (!t->foreign) return false;
    snprintf(out, UC_TUNING_NOTICE, "%.200s: %zu entries belong to another processor or another oneDNN and are ignored",
             path, t->foreign);
    return true;
}

/* ---- the file ----------------------------------------------------------------------------------------------------
 *
 *   {"schema": 1, "machines": [{"cpu": "...", "instructions": "...", "onednn": "2.6.3", "entries": [
 *     {"op": "conv2d", "type": "f32", "weight_type": "f16", "x": [320, 64, 64], "weight": [320, 320, 3, 3],
 *      "stride": 1, "pad": 1, "use": "winograd", "seconds": {"direct": 0.04, "winograd": 0.02}}]}]} */

static const char *const ops[] = { "conv2d", "matmul" }, *const types[] = { "f32" };
static const char *const weight_names[] = { "f32", "f16", "bf16" };
static const uc_dtype weight_types[] = { UC_F32, UC_F16, UC_BF16 };

static void read_seconds(uc_json *j, double seconds[UC_WAY_COUNT]) {
    uc_json nested;
    if (!uc_json_nested(j, "seconds", &nested)) return;
    for (int way = UC_WAY_DIRECT; way < UC_WAY_COUNT; way++)
        seconds[way] = uc_json_number(&nested, ways[way], 0, 0, 1e9);
    uc_json_join(j, uc_json_finish(&nested));
}

static void read_entry(uc_json *j, uc_tuning_entry *e) {
    memset(e, 0, sizeof *e);
    const bool conv = uc_json_choice(j, "op", -1, ops, 2) == 0;
    e->key.kind = conv ? UC_OP_conv2d : UC_OP_matmul;
    (void)uc_json_choice(j, "type", -1, types, 1);
    e->key.weight_type = weight_types[uc_json_choice(j, "weight_type", -1, weight_names, 3)];
    uc_json_ints(j, "x", UC_JSON_REQUIRED, e->key.x, conv ? 3 : 1, 1, INT32_MAX);
    uc_json_ints(j, "weight", UC_JSON_REQUIRED, e->key.weight, conv ? 4 : 2, 1, INT32_MAX);
    if (conv) {
        e->key.stride = uc_json_int(j, "stride", UC_JSON_REQUIRED, 1, INT32_MAX);
        e->key.pad = uc_json_int(j, "pad", UC_JSON_REQUIRED, 0, INT32_MAX);
    }
    e->way = (uc_way)(UC_WAY_DIRECT + uc_json_choice(j, "use", -1, ways + UC_WAY_DIRECT, UC_WAY_COUNT - UC_WAY_DIRECT));
    read_seconds(j, e->seconds);
}

/* A walk over one object of a list; the object stays the list's too. */
static uc_json walk(const char *path, json_t *object, const char *list, size_t i, unclip_error *err) {
    uc_json j = { .file = path, .root = json_incref(object), .err = err };
    snprintf(j.context, sizeof j.context, "%s[%zu].", list, i);
    if (!json_is_object(object)) {
        j.context[0] = '\0';
        uc_json_fail(&j, list, "element %zu is %s, expected an object", i, uc_json_kind(object));
    }
    return j;
}

static unclip_status read_entries(uc_tuning *t, const char *path, const json_t *list, bool ours, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < json_array_size(list) && !status; i++) {
        uc_json j = walk(path, json_array_get(list, i), "entries", i, err);
        uc_tuning_entry e;
        if (!j.status) read_entry(&j, &e);
        status = uc_json_finish(&j);
        if (!status && ours) status = uc_tuning_set(t, &e, err);
        if (!status && !ours) t->foreign++;
    }
    return status;
}

static bool is_text(uc_json *j, const char *key, const char *expected) {
    char *text = uc_json_string(j, key);
    if (!text) uc_json_fail(j, key, "is missing");
    const bool same = text && !strcmp(text, expected);
    free(text);
    return same;
}

static json_t *take_list(uc_json *j, const char *key) {
    json_t *list = j->status ? NULL : json_incref(json_object_get(j->root, key));
    if (list) json_object_del(j->root, key);
    if (!list) uc_json_fail(j, key, "is missing");
    else if (!json_is_array(list)) uc_json_fail(j, key, "is %s, expected a list", uc_json_kind(list));
    return list;
}

static unclip_status read_machine(uc_tuning *t, const char *path, json_t *object, size_t i,
                                  const uc_tuning_machine *here, unclip_error *err) {
    uc_json j = walk(path, object, "machines", i, err);
    bool ours = is_text(&j, "cpu", here->cpu);
    ours = is_text(&j, "instructions", here->instructions) && ours;
    ours = is_text(&j, "onednn", here->onednn) && ours;
    json_t *list = take_list(&j, "entries");
    unclip_status status = uc_json_finish(&j);
    if (!status) status = read_entries(t, path, list, ours, err);
    json_decref(list);
    return status;
}

/* Takes the root over. */
static unclip_status read_root(uc_tuning *t, const char *path, json_t *root, unclip_error *err) {
    uc_tuning_machine here;
    uc_tuning_this_machine(&here);
    uc_json j = { .file = path, .root = root, .err = err };
    (void)uc_json_int(&j, "schema", UC_JSON_REQUIRED, SCHEMA, SCHEMA);
    json_t *machines = take_list(&j, "machines");
    unclip_status status = uc_json_finish(&j);
    for (size_t i = 0; i < json_array_size(machines) && !status; i++)
        status = read_machine(t, path, json_array_get(machines, i), i, &here, err);
    json_decref(machines);
    return status;
}

unclip_status uc_tuning_load(uc_tuning **tuning, const char *path, unclip_error *err) {
    json_t *root = NULL;
    *tuning = NULL;
    unclip_status status = uc_json_load(path, FILE_LIMIT, 0, &root, err);
    if (status) return status;
    uc_tuning *t = calloc(1, sizeof *t);
    if (!t) {
        json_decref(root);
        return uc_fail_memory(err, sizeof *t, "tuning");
    }
    status = read_root(t, path, root, err);
    if (status) uc_tuning_free(t);
    else *tuning = t;
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *list_of(const int64_t *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_integer(values[i]));
    return list;
}

static json_t *entry_json(const uc_tuning_entry *e) {
    const bool conv = e->key.kind == UC_OP_conv2d;
    const char *weight = "f32";
    for (int i = 0; i < 3; i++)
        if (weight_types[i] == e->key.weight_type) weight = weight_names[i];
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:o}", "op", ops[conv ? 0 : 1], "type", types[0], "weight_type", weight,
                          "x", list_of(e->key.x, conv ? 3 : 1), "weight", list_of(e->key.weight, conv ? 4 : 2));
    if (conv) {
        json_object_set_new(j, "stride", json_integer(e->key.stride));
        json_object_set_new(j, "pad", json_integer(e->key.pad));
    }
    json_object_set_new(j, "use", json_string(ways[e->way]));
    json_t *seconds = json_object();
    for (int way = UC_WAY_DIRECT; way < UC_WAY_COUNT; way++)
        if (e->seconds[way] > 0) json_object_set_new(seconds, ways[way], json_real(e->seconds[way]));
    json_object_set_new(j, "seconds", seconds);
    return j;
}

/* The other machines' objects of a file that uc_tuning_load found good. */
static json_t *others_of(const char *path, const uc_tuning_machine *here) {
    json_t *root = NULL, *others = json_array(), *machine;
    size_t i;
    if (!uc_file_exists(path) || uc_json_load(path, FILE_LIMIT, 0, &root, NULL)) return others;
    json_array_foreach(json_object_get(root, "machines"), i, machine) {
        const char *cpu = "", *instructions = "", *onednn = "";
        (void)json_unpack(machine, "{s:s, s:s, s:s}", "cpu", &cpu, "instructions", &instructions, "onednn", &onednn);
        if (strcmp(cpu, here->cpu) != 0 || strcmp(instructions, here->instructions) != 0 ||
            strcmp(onednn, here->onednn) != 0)
            json_array_append(others, machine);
    }
    json_decref(root);
    return others;
}

static unclip_status write_json(const json_t *root, const char *path, unclip_error *err) {
    char *part = malloc(strlen(path) + 32);
    if (!part) return uc_fail_memory(err, strlen(path), path);
    sprintf(part, "%s.%ld.part", path, (long)getpid());
    errno = 0;
    FILE *f = fopen(part, "w");
    bool good = f && json_dumpf(root, f, JSON_INDENT(1) | JSON_REAL_PRECISION(5)) == 0 && fputc('\n', f) == '\n';
    if (f) good = fclose(f) == 0 && good;
    good = good && rename(part, path) == 0;
    const int number = errno;
    if (!good && f) unlink(part);
    free(part);
    return good ? UNCLIP_OK : uc_fail_errno(err, UNCLIP_ERR_WRITE, path, "cannot be written", number);
}

unclip_status uc_tuning_write(const uc_tuning *tuning, const char *path, unclip_error *err) {
    uc_tuning_machine here;
    uc_tuning *all = NULL;
    uc_tuning_this_machine(&here);
    unclip_status status = UNCLIP_OK;
    if (uc_file_exists(path)) status = uc_tuning_load(&all, path, err);
    else if (!(all = calloc(1, sizeof *all))) status = uc_fail_memory(err, sizeof *all, "tuning");
    for (size_t i = 0; i < tuning->count && !status; i++) status = uc_tuning_set(all, &tuning->entries[i], err);
    if (!status) {
        json_t *machines = others_of(path, &here), *entries = json_array();
        for (size_t i = 0; i < all->count; i++) json_array_append_new(entries, entry_json(&all->entries[i]));
        json_array_append_new(machines, json_pack("{s:s, s:s, s:s, s:o}", "cpu", here.cpu, "instructions",
                                                  here.instructions, "onednn", here.onednn, "entries", entries));
        json_t *root = json_pack("{s:i, s:o}", "schema", (int)SCHEMA, "machines", machines);
        status = root ? write_json(root, path, err) : uc_fail_memory(err, 1, "tuning");
        json_decref(root);
    }
    uc_tuning_free(all);
    return status;
}

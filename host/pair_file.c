/* pair_file.c - unCLIP's bipartite latent (z_i, x_T) and its file: what a picture becomes on its way in, so that it
 * can be drawn again, varied and mixed without being inverted anew. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../weights/safetensors.h"

static const char SETTINGS[] = "unclip_pair";

void unclip_pair_free(unclip_pair *pair) {
    if (!pair) return;
    free(pair->embedding);
    free(pair->noise);
    free(pair->settings_json);
    *pair = (unclip_pair){ .struct_size = sizeof *pair };
}

unclip_status unclip_pair_save(const unclip_pair *pair, const char *path, unclip_error *err) {
    if (!pair || !path || !pair->embedding || !pair->dim)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no pair or no path was given");
    const int64_t size = (int64_t)pair->noise_size;
    const uc_param items[] = {
        { .name = "z_i", .dtype = UC_F32, .rank = 1, .dim = { (int64_t)pair->dim }, .data = pair->embedding },
        { .name = "x_T", .dtype = UC_F32, .rank = 3, .dim = { 3, size, size }, .data = pair->noise },
    };
    return uc_safetensors_write_with(path, items, pair->noise ? 2 : 1, SETTINGS,
                                     pair->settings_json ? pair->settings_json : "{}", err);
}

static unclip_status copy_tensor(const uc_safetensors *file, const uc_param *p, float **out, unclip_error *err) {
    size_t count = 1;
    for (int i = 0; i < p->rank; i++) count *= (size_t)p->dim[i];
    float *values = malloc(count * sizeof *values);
    if (!values) return uc_fail_memory(err, count * sizeof *values, file->path);
    *out = values;
    memcpy(values, p->data, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s: element %zu is not a finite number", file->path,
                           p->name, i);
    return UNCLIP_OK;
}

static unclip_status take_tensor(unclip_pair *pair, const uc_safetensors *file, const uc_param *p, unclip_error *err) {
    if (!strcmp(p->name, "z_i")) {
        if (p->dtype != UC_F32 || p->rank != 1 || p->dim[0] < 1)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor z_i: expected F32 of one dimension", file->path);
        pair->dim = (size_t)p->dim[0];
        return copy_tensor(file, p, &pair->embedding, err);
    }
    if (strcmp(p->name, "x_T"))
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %.80s: a pair has z_i and x_T only", file->path,
                       p->name);
    if (p->dtype != UC_F32 || p->rank != 3 || p->dim[0] != 3 || p->dim[1] < 1 || p->dim[1] != p->dim[2])
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: tensor x_T: expected F32 of shape [3, size, size]", file->path);
    pair->noise_size = (size_t)p->dim[1];
    return copy_tensor(file, p, &pair->noise, err);
}

static unclip_status take_settings(unclip_pair *pair, const uc_safetensors *file, unclip_error *err) {
    json_t *metadata = file->metadata ? json_loads(file->metadata, 0, NULL) : NULL;
    const char *text = json_string_value(json_object_get(metadata, SETTINGS));
    json_t *settings = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    unclip_status status = UNCLIP_OK;
    if (!json_is_object(settings))
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: its metadata has no JSON object under \"%s\": not a pair",
                         file->path, SETTINGS);
    else if (!(pair->settings_json = strdup(text))) status = uc_fail_memory(err, strlen(text), file->path);
    json_decref(settings);
    json_decref(metadata);
    return status;
}

unclip_status unclip_pair_load(unclip_pair *pair, const char *path, unclip_error *err) {
    if (!pair || !path) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no pair or no path was given");
    *pair = (unclip_pair){ .struct_size = sizeof *pair };
    uc_safetensors file;
    unclip_status status = uc_safetensors_open(&file, path, err);
    if (status) return status;
    for (size_t i = 0; i < file.count && !status; i++) status = take_tensor(pair, &file, &file.items[i], err);
    if (!status && !pair->embedding)
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: has no tensor z_i: not a pair", path);
    if (!status) status = take_settings(pair, &file, err);
    uc_safetensors_close(&file);
    if (status) unclip_pair_free(pair);
    return status;
}

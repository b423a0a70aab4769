/* model_dir.c - see model_dir.h. The whole flow prompt -> ... -> PNG in one directory: which parts it has, and their files. */
#define _POSIX_C_SOURCE 200809L
#include "model_dir.h"

#include <stdlib.h>
#include <string.h>

#include "config_read.h"
#include "file.h"
#include "model_dir_parts.h"
#include "params_open.h"

typedef enum part_kind { KIND_TOKENIZER, KIND_MODEL, KIND_PROCESSOR, KIND_SCHEDULER } part_kind;

static const struct {
    const char *folder;
    part_kind kind;
    const char *stem;       /* of the tensor files */
    const char *classes[4]; /* that model_index.json may name; schedulers are checked with their own file */
} parts[UC_PART_COUNT] = {
    [UC_PART_TOKENIZER] = { "tokenizer", KIND_TOKENIZER, NULL, { "CLIPTokenizer", "CLIPTokenizerFast" } },
    [UC_PART_TEXT_ENCODER] = { "text_encoder", KIND_MODEL, "model", { "CLIPTextModelWithProjection" } },
    [UC_PART_IMAGE_ENCODER] = { "image_encoder", KIND_MODEL, "model", { "CLIPVisionModelWithProjection" } },
    [UC_PART_FEATURE_EXTRACTOR] = { "feature_extractor",
                                    KIND_PROCESSOR,
                                    NULL,
                                    { "CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast" } },
    [UC_PART_PRIOR] = { "prior", KIND_MODEL, "diffusion_pytorch_model", { "PriorTransformer" } },
    [UC_PART_PRIOR_SCHEDULER] = { "prior_scheduler", KIND_SCHEDULER, NULL, { NULL } },
    [UC_PART_TEXT_PROJ] = { "text_proj", KIND_MODEL, "diffusion_pytorch_model", { "UnCLIPTextProjModel" } },
    [UC_PART_DECODER] = { "decoder", KIND_MODEL, "diffusion_pytorch_model", { "UNet2DConditionModel" } },
    [UC_PART_DECODER_SCHEDULER] = { "decoder_scheduler", KIND_SCHEDULER, NULL, { NULL } },
    [UC_PART_SUPER_RES_FIRST] = { "super_res_first", KIND_MODEL, "diffusion_pytorch_model", { "UNet2DModel" } },
    [UC_PART_SUPER_RES_LAST] = { "super_res_last", KIND_MODEL, "diffusion_pytorch_model", { "UNet2DModel" } },
    [UC_PART_SUPER_RES_SCHEDULER] = { "super_res_scheduler", KIND_SCHEDULER, NULL, { NULL } },
    [UC_PART_SUPER_RES_1024] = { "super_res_1024", KIND_MODEL, "diffusion_pytorch_model", { "UNet2DModel" } },
    [UC_PART_SUPER_RES_1024_SCHEDULER] = { "super_res_1024_scheduler", KIND_SCHEDULER, NULL, { NULL } },
    [UC_PART_PRIOR_AR] = { "prior_ar", KIND_MODEL, "model", { "AutoregressivePrior" } },
};

const char *uc_part_name(uc_part part) { return parts[part].folder; }

/* ---- model_index.json -------------------------------------------------------------------------------------------- */

/* Checks the class of one component, a list of library and class, and remembers it. */
static unclip_status take_class(uc_model_dir *dir, const char *path, uc_part part, const json_t *value,
                                unclip_error *err) {
    char text[UC_JSON_TEXT];
    const char *name = json_string_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || !name)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s: is %s, expected a list of library and class", path,
                       parts[part].folder, uc_json_text(value, text));
    bool known = parts[part].kind == KIND_SCHEDULER;
    for (int i = 0; i < 4 && parts[part].classes[i]; i++) known |= !strcmp(name, parts[part].classes[i]);
    if (!known)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s: class is %s, only \"%s\" is supported", path,
                       parts[part].folder, uc_json_text(json_array_get(value, 1), text), parts[part].classes[0]);
    dir->class_name[part] = strdup(name);
    return dir->class_name[part] ? UNCLIP_OK : uc_fail_memory(err, strlen(name), path);
}

static bool is_null_component(const json_t *value) {
    return json_is_null(value) || (json_array_size(value) == 2 && json_is_null(json_array_get(value, 0)) &&
                                   json_is_null(json_array_get(value, 1)));
}

/* One part: what the index says of it, else whether its folder is there. */
static unclip_status find_part(uc_model_dir *dir, const char *index, json_t *root, uc_part part, unclip_error *err) {
    const json_t *value = json_object_get(root, parts[part].folder);
    char *folder = uc_path_join(dir->path, parts[part].folder);
    if (!folder) return uc_fail_memory(err, strlen(dir->path), dir->path);
    const bool there = uc_directory_exists(folder);
    free(folder);
    if (value && is_null_component(value)) return UNCLIP_OK;
    dir->has[part] = there;
    if (!value) return UNCLIP_OK;
    if (!there)
        return uc_fail(err, UNCLIP_ERR_MODEL_MISSING, "%s: names %s, but the directory has no folder %s", index,
                       parts[part].folder, parts[part].folder);
    return take_class(dir, index, part, value, err);
}

static unclip_status check_index_keys(const char *index, json_t *root, unclip_error *err) {
    const char *key;
    json_t *value;
    char text[UC_JSON_TEXT], printable[UC_PRINTABLE];
    json_object_foreach(root, key, value) {
        bool known = key[0] == '_' || is_null_component(value);
        for (int i = 0; i < UC_PART_COUNT; i++) known |= !strcmp(key, parts[i].folder);
        if (!known)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s: is %s, but this component is not known", index,
                           uc_printable(key, printable), uc_json_text(value, text));
    }
    return UNCLIP_OK;
}

static unclip_status read_index(uc_model_dir *dir, const char *index, unclip_error *err) {
    json_t *root;
    char text[UC_JSON_TEXT];
    unclip_status status = uc_json_load(index, UC_CONFIG_LIMIT, 0, &root, err);
    if (status) return status;
    const json_t *class_name = json_object_get(root, "_class_name");
    const char *name = class_name ? json_string_value(class_name) : NULL;
    if (!name || (strcmp(name, "UnCLIPPipeline") && strcmp(name, "UnCLIPImageVariationPipeline")))
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                         "%s: _class_name: is %s, expected \"UnCLIPPipeline\" or "
                         "\"UnCLIPImageVariationPipeline\"",
                         index, class_name ? uc_json_text(class_name, text) : "missing");
    if (!status) status = check_index_keys(index, root, err);
    for (int i = 0; i < UC_PART_COUNT && !status; i++) status = find_part(dir, index, root, (uc_part)i, err);
    json_decref(root);
    return status;
}

/* ---- the parts --------------------------------------------------------------------------------------------------- */

static unclip_status read_model_config(uc_model_dir *dir, uc_part part, const char *path, unclip_error *err) {
    switch (part) {
    case UC_PART_TEXT_ENCODER: return uc_read_clip_text(path, &dir->text, &dir->warnings, err);
    case UC_PART_IMAGE_ENCODER: return uc_read_clip_image(path, &dir->image, &dir->warnings, err);
    case UC_PART_PRIOR: return uc_read_prior(path, &dir->prior, &dir->warnings, err);
    case UC_PART_PRIOR_AR: return uc_read_prior_ar(path, &dir->prior_ar, &dir->warnings, err);
    case UC_PART_TEXT_PROJ: return uc_read_text_proj(path, &dir->text_proj, &dir->warnings, err);
    case UC_PART_DECODER: return uc_read_unet(path, true, &dir->decoder, &dir->warnings, err);
    case UC_PART_SUPER_RES_FIRST: return uc_read_unet(path, false, &dir->super_res_first, &dir->warnings, err);
    case UC_PART_SUPER_RES_LAST: return uc_read_unet(path, false, &dir->super_res_last, &dir->warnings, err);
    case UC_PART_SUPER_RES_1024: return uc_read_unet(path, false, &dir->super_res_1024, &dir->warnings, err);
    default: return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s: has no configuration", path);
    }
}

static unclip_stage scheduler_stage(uc_part part) {
    return part == UC_PART_PRIOR_SCHEDULER       ? UNCLIP_STAGE_PRIOR
           : part == UC_PART_DECODER_SCHEDULER   ? UNCLIP_STAGE_DECODER
           : part == UC_PART_SUPER_RES_SCHEDULER ? UNCLIP_STAGE_SR256
                                                 : UNCLIP_STAGE_SR1024;
}

static unclip_status read_config(uc_model_dir *dir, uc_part part, const char *folder, unclip_error *err) {
    static const char *const names[] = { [KIND_MODEL] = "config.json",
                                         [KIND_PROCESSOR] = "preprocessor_config.json",
                                         [KIND_SCHEDULER] = "scheduler_config.json" };
    if (parts[part].kind == KIND_TOKENIZER)
        return uc_tokenizer_files_read(&dir->tokenizer, folder, &dir->warnings, err);
    char *path = uc_path_join(folder, names[parts[part].kind]);
    if (!path) return uc_fail_memory(err, strlen(folder), folder);
    unclip_status status;
    if (parts[part].kind == KIND_MODEL) status = read_model_config(dir, part, path, err);
    else if (parts[part].kind == KIND_PROCESSOR)
        status = uc_read_image_processor(path, &dir->image_processor, &dir->warnings, err);
    else
        status =
            uc_read_scheduler(path, dir->class_name[part], &dir->scheduler[scheduler_stage(part)], &dir->warnings, err);
    free(path);
    return status;
}

static unclip_status read_part(uc_model_dir *dir, uc_part part, const char *variant, unclip_error *err) {
    char *folder = uc_path_join(dir->path, parts[part].folder);
    if (!folder) return uc_fail_memory(err, strlen(dir->path), dir->path);
    unclip_status status = read_config(dir, part, folder, err);
    if (!status && parts[part].stem)
        status = uc_params_open(&dir->params[part], folder, parts[part].stem, variant, parts[part].folder, err);
    free(folder);
    return status;
}

static unclip_status read_all(uc_model_dir *dir, const char *variant, unclip_error *err) {
    char *index = uc_path_join(dir->path, "model_index.json");
    if (!index) return uc_fail_memory(err, strlen(dir->path), dir->path);
    unclip_status status = read_index(dir, index, err);
    free(index);
    for (int i = 0; i < UC_PART_COUNT && !status; i++)
        if (dir->has[i]) status = read_part(dir, (uc_part)i, variant, err);
    if (!status) status = uc_model_dir_read_settings(dir, err);
    return status ? status : uc_model_dir_check(dir, err);
}

unclip_status uc_model_dir_open(uc_model_dir **out, const char *path, const char *variant, unclip_error *err) {
    *out = NULL;
    if (!uc_directory_exists(path))
        return uc_fail(err, UNCLIP_ERR_MODEL_MISSING, "%s: there is no such model directory", path);
    uc_model_dir *dir = calloc(1, sizeof *dir);
    if (!dir || !(dir->path = strdup(path))) {
        free(dir);
        return uc_fail_memory(err, sizeof *dir, path);
    }
    const unclip_status status = read_all(dir, variant, err);
    if (status) uc_model_dir_close(dir);
    else *out = dir;
    return status;
}

void uc_model_dir_close(uc_model_dir *dir) {
    if (!dir) return;
    for (int i = 0; i < UC_PART_COUNT; i++) {
        uc_params_close(dir->params[i]);
        free(dir->class_name[i]);
    }
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) free(dir->gamma[i]);
    uc_tokenizer_files_free(&dir->tokenizer);
    uc_warnings_free(&dir->warnings);
    free(dir->path);
    free(dir->name);
    free(dir->license);
    free(dir->pca);
    free(dir);
}

/* ---- what is there ----------------------------------------------------------------------------------------------- */

static const char *first_missing(const uc_model_dir *dir, const uc_part *needed, int count) {
    for (int i = 0; i < count; i++)
        if (!dir->has[needed[i]]) return parts[needed[i]].folder;
    return NULL;
}

#define FIRST_MISSING(dir, ...)                          \
    first_missing(dir, (const uc_part[]){ __VA_ARGS__ }, \
                  (int)(sizeof((const uc_part[]){ __VA_ARGS__ }) / sizeof(uc_part)))

const char *uc_model_dir_lacks_text(const uc_model_dir *dir) {
    return FIRST_MISSING(dir, UC_PART_TOKENIZER, UC_PART_TEXT_ENCODER);
}

const char *uc_model_dir_lacks_image(const uc_model_dir *dir) {
    return FIRST_MISSING(dir, UC_PART_IMAGE_ENCODER, UC_PART_FEATURE_EXTRACTOR);
}

const char *uc_model_dir_lacks(const uc_model_dir *dir, unclip_stage stage) {
    switch (stage) {
    case UNCLIP_STAGE_PRIOR:
        return FIRST_MISSING(dir, UC_PART_TOKENIZER, UC_PART_TEXT_ENCODER, UC_PART_PRIOR, UC_PART_PRIOR_SCHEDULER);
    case UNCLIP_STAGE_DECODER:
        return FIRST_MISSING(dir, UC_PART_TOKENIZER, UC_PART_TEXT_ENCODER, UC_PART_TEXT_PROJ, UC_PART_DECODER,
                             UC_PART_DECODER_SCHEDULER);
    case UNCLIP_STAGE_SR256:
        return FIRST_MISSING(dir, UC_PART_SUPER_RES_FIRST, UC_PART_SUPER_RES_LAST, UC_PART_SUPER_RES_SCHEDULER);
    case UNCLIP_STAGE_SR1024: return FIRST_MISSING(dir, UC_PART_SUPER_RES_1024, UC_PART_SUPER_RES_1024_SCHEDULER);
    case UNCLIP_STAGE_COUNT: break;
    }
    return "such a stage";
}

unclip_status uc_model_dir_unchanged(const uc_model_dir *dir, unclip_error *err) {
    for (int i = 0; i < UC_PART_COUNT; i++)
        if (dir->params[i]) {
            const unclip_status status = uc_params_unchanged(dir->params[i], err);
            if (status) return status;
        }
    return UNCLIP_OK;
}

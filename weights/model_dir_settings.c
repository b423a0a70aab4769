/* model_dir_settings.c - unclip.json: what a model directory of ours says beside diffusers' files. It belongs to no arrow of
 * the flow but to all: name, licence, default steps, guidance and sampler of each stage, tables of the analytic variance. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "model_dir_parts.h"
#include "params_open.h"

/* How the keys of "defaults" begin: the decoder's have no prefix. */
static const char *const prefixes[UNCLIP_STAGE_COUNT] = { "prior_", "", "sr256_", "sr1024_" };
static const char *const stage_keys[UNCLIP_STAGE_COUNT] = { "prior", "decoder", "sr256", "sr1024" };
static const uc_part scheduler_parts[UNCLIP_STAGE_COUNT] = { UC_PART_PRIOR_SCHEDULER, UC_PART_DECODER_SCHEDULER,
                                                             UC_PART_SUPER_RES_SCHEDULER,
                                                             UC_PART_SUPER_RES_1024_SCHEDULER };

/* Karlo's, as diffusers' pipeline has them; the paper's 15 steps for the stage that Karlo does not have. */
static void set_defaults(uc_model_dir *dir) {
    static const int steps[] = { 25, 25, 7, 15 };
    static const float guidance[] = { 4, 8, 1, 1 };
    static const unclip_sampler samplers[] = { [UC_SCHEDULER_UNCLIP] = UNCLIP_SAMPLER_UNCLIP,
                                               [UC_SCHEDULER_DDPM] = UNCLIP_SAMPLER_DDPM,
                                               [UC_SCHEDULER_DDIM] = UNCLIP_SAMPLER_DDIM,
                                               [UC_SCHEDULER_DPMSOLVER_MULTISTEP] = UNCLIP_SAMPLER_DPMPP_2M };
    dir->logit_scale = 100; /* what CLIP's own training stopped at */
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++)
        dir->defaults[s] = (uc_stage_defaults){ .steps = steps[s],
                                                .guidance = guidance[s],
                                                .sampler = samplers[dir->scheduler[s].class_id] };
}

static const char *stage_key(char buf[32], unclip_stage stage, const char *what) {
    snprintf(buf, 32, "%s%s", prefixes[stage], what);
    return buf;
}

static void read_stage(uc_json *j, uc_stage_defaults *d, unclip_stage stage) {
    static const char *const names[] = { "unclip", "ddpm", "analytic", "ddim", "dpm++" };
    char key[32];
    d->steps = (int)uc_json_int(j, stage_key(key, stage, "steps"), d->steps, 1, 1000);
    if (stage == UNCLIP_STAGE_PRIOR || stage == UNCLIP_STAGE_DECODER)
        d->guidance = (float)uc_json_number(j, stage_key(key, stage, "cfg_scale"), (double)d->guidance, 0, 100);
    d->eta = (float)uc_json_number(j, stage_key(key, stage, "eta"), (double)d->eta, 0, 1);
    d->sampler = (unclip_sampler)(UNCLIP_SAMPLER_UNCLIP + uc_json_choice(j, stage_key(key, stage, "sampler"),
                                                                         (int)d->sampler - (int)UNCLIP_SAMPLER_UNCLIP,
                                                                         names, 5));
}

/* The tensor "gamma" of one file, as floats. */
static unclip_status read_gamma(uc_model_dir *dir, unclip_stage stage, const char *path, unclip_error *err) {
    uc_params *params;
    const int64_t steps = dir->scheduler[stage].train_timesteps;
    unclip_status status = uc_params_open_file(&params, path, stage_keys[stage], err);
    if (status) return status;
    const uc_param *gamma = uc_params_find(params, "gamma");
    float *values = malloc((size_t)steps * sizeof *values);
    if (!values) {
        status = uc_fail_memory(err, (size_t)steps * sizeof *values, path);
    } else if (!gamma || gamma->rank != 1 || gamma->dim[0] != steps ||
               (gamma->dtype != UC_F32 && gamma->dtype != UC_F64)) {
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                         "%s: tensor gamma: expected F32 or F64 of shape [%lld], the "
                         "scheduler's num_train_timesteps",
                         path, (long long)steps);
    } else {
        for (int64_t i = 0; i < steps && !status; i++) {
            values[i] = (float)uc_get(gamma->data, gamma->dtype, i);
            if (!(values[i] >= 0 && values[i] < 1e6f))
                status = uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                                 "%s: tensor gamma: element %lld is not a finite number of "
                                 "at least 0",
                                 path, (long long)i);
        }
    }
    uc_params_close(params);
    if (status) free(values);
    else dir->gamma[stage] = values;
    return status;
}

static bool is_file_name(const char *name) { return name[0] && name[0] != '.' && !strchr(name, '/'); }

/* "analytic_variance": {"prior": "prior_gamma.safetensors", ...}, files beside unclip.json. */
static void read_tables(uc_model_dir *dir, uc_json *j) {
    uc_json tables;
    if (!uc_json_nested(j, "analytic_variance", &tables)) return;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) {
        char *name = uc_json_string(&tables, stage_keys[s]);
        if (name && !is_file_name(name))
            uc_json_fail(&tables, stage_keys[s], "expected the name of a file in the model directory");
        else if (name && !dir->has[scheduler_parts[s]])
            uc_json_fail(&tables, stage_keys[s], "the directory has no %s", uc_part_name(scheduler_parts[s]));
        char *path = name && !tables.status ? uc_path_join(dir->path, name) : NULL;
        if (name && !tables.status) {
            if (!path) tables.status = uc_fail_memory(j->err, strlen(dir->path), dir->path);
            else tables.status = read_gamma(dir, (unclip_stage)s, path, j->err);
        }
        free(path);
        free(name);
    }
    uc_json_join(j, uc_json_finish(&tables));
}

static void check_samplers(const uc_model_dir *dir, uc_json *j) {
    char key[32];
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++)
        if (dir->defaults[s].sampler == UNCLIP_SAMPLER_ANALYTIC && !dir->gamma[s])
            uc_json_fail(j, stage_key(key, (unclip_stage)s, "sampler"),
                         "is \"analytic\", but analytic_variance has no table for %s", stage_keys[s]);
}

static unclip_status read_file(uc_model_dir *dir, const char *path, unclip_error *err) {
    static const char *const ignored[] = { "description", "version", "homepage", "source", "authors", "citation" };
    uc_json j, defaults;
    if (uc_json_open(&j, path, 0, &dir->warnings, err)) return j.status;
    dir->name = uc_json_string(&j, "name");
    dir->license = uc_json_string(&j, "license");
    dir->logit_scale = uc_json_number(&j, "logit_scale", dir->logit_scale, 0, 1000);
    dir->pca = uc_json_string(&j, "pca");
    if (dir->pca && !is_file_name(dir->pca))
        uc_json_fail(&j, "pca", "expected the name of a file in the model directory");
    if (uc_json_nested(&j, "defaults", &defaults)) {
        for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) read_stage(&defaults, &dir->defaults[s], (unclip_stage)s);
        uc_json_join(&j, uc_json_finish(&defaults));
    }
    read_tables(dir, &j);
    check_samplers(dir, &j);
    uc_json_ignore(&j, ignored, sizeof ignored / sizeof *ignored);
    return uc_json_finish(&j);
}

/* Without a name of its own a model is called as its directory. */
static char *folder_name(const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    return strndup(path + begin, end - begin);
}

unclip_status uc_model_dir_read_settings(uc_model_dir *dir, unclip_error *err) {
    set_defaults(dir);
    char *path = uc_path_join(dir->path, "unclip.json");
    if (!path) return uc_fail_memory(err, strlen(dir->path), dir->path);
    unclip_status status = uc_file_exists(path) ? read_file(dir, path, err) : UNCLIP_OK;
    free(path);
    if (!status && !dir->name && !(dir->name = folder_name(dir->path))) status = uc_fail_memory(err, 1, dir->path);
    return status;
}

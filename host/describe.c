/* describe.c - see describe.h. */
#include "describe.h"

#include <jansson.h>
#include <stdio.h>

#include "backends.h"
#include "cuda/backend_cuda.h"

static void describe_part(json_t *parts, const char *name, const uc_params *params) {
    if (!params) return;
    json_int_t count = 0;
    const char *type = params->count ? uc_dtype_name(params->items[0].dtype) : "";
    for (size_t i = 0; i < params->count; i++) {
        json_int_t n = 1;
        for (int d = 0; d < params->items[i].rank; d++) n *= (json_int_t)params->items[i].dim[d];
        count += n;
        if (n > 1024) type = uc_dtype_name(params->items[i].dtype);
    }
    json_object_set_new(parts, name, json_pack("{s:I, s:I, s:I, s:s}", "tensors", (json_int_t)params->count,
                                               "parameters", count, "bytes", (json_int_t)uc_params_bytes(params),
                                               "type", type));
}

static json_t *describe_stage(const uc_model *m, unclip_stage stage) {
    const uc_stage_defaults *d = &m->defaults[stage];
    json_t *j = json_object();
    if (uc_stage_size(m, stage)) json_object_set_new(j, "size", json_integer((json_int_t)uc_stage_size(m, stage)));
    json_object_set_new(j, "steps", json_integer(d->steps));
    json_object_set_new(j, "sampler", json_string(unclip_sampler_name(d->sampler)));
    if (stage <= UNCLIP_STAGE_DECODER) json_object_set_new(j, "guidance", json_real((double)d->guidance));
    json_object_set_new(j, "analytic", json_boolean(m->gamma[stage] != NULL));
    return j;
}

char *uc_describe_model(const uc_loaded_model *loaded, uint64_t hash) {
    const uc_model *m = &loaded->model;
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    json_t *root = json_object(), *parts = json_object(), *stages = json_object();
    json_object_set_new(root, "name", json_string(loaded->name));
    json_object_set_new(root, "license", json_string(loaded->license));
    json_object_set_new(root, "hash", json_string(text));
    describe_part(parts, "text_encoder", m->text_params);
    describe_part(parts, "image_encoder", m->image_params);
    describe_part(parts, "prior", m->prior_params);
    describe_part(parts, "prior_ar", m->prior_ar_params);
    describe_part(parts, "text_proj", m->text_proj_params);
    describe_part(parts, "decoder", m->decoder_params);
    describe_part(parts, "super_res_first", m->sr256_params);
    describe_part(parts, "super_res_last", m->sr256_last_params);
    describe_part(parts, "super_res_1024", m->sr1024_params);
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++)
        if (uc_has_stage(m, (unclip_stage)s))
            json_object_set_new(stages, unclip_stage_name((unclip_stage)s), describe_stage(m, (unclip_stage)s));
    json_object_set_new(root, "parts", parts);
    json_object_set_new(root, "stages", stages);
    char *json = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    return json;
}

static json_t *describe_backend(uc_backend *backend, const char *name) {
    static const struct { uc_dtype dtype; const char *name; } types[] = {
        { UC_F32, "f32" }, { UC_F16, "f16" }, { UC_BF16, "bf16" } };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (backend->supports(backend, types[i].dtype)) json_array_append_new(list, json_string(types[i].name));
    json_t *j = json_pack("{s:s, s:s, s:o}", "device", backend->name, "name", name, "types", list);
    backend->close(backend);
    return j;
}

static void describe_gpus(json_t *devices, const uc_backend_options *options) {
    uc_backend *backend = NULL;
    for (int n = 0;; n++) {
        char name[32];
        bool known = false;
        snprintf(name, sizeof name, "cuda:%d", n);
        if (uc_backend_cuda_open(&backend, name, options, &known, NULL)) return;
        uc_device_info info = { .name = "" };
        uc_backend_cuda_info(backend, &info);
        json_array_append_new(devices, describe_backend(backend, info.name));
    }
}

char *uc_describe_devices(void) {
    const uc_backend_options options = { .threads = 1 };
    json_t *devices = json_array();
    uc_backend *backend = NULL;
    if (!uc_backend_cpu_new(&backend, &options, NULL))
        json_array_append_new(devices, describe_backend(backend, "this machine's processor"));
    if (!uc_backend_ref_new(&backend, &options, NULL))
        json_array_append_new(devices, describe_backend(backend, "reference in double precision, slow"));
    describe_gpus(devices, &options);
    bool known = false;
    if (!uc_backend_cuda_open(&backend, "sim:0", &options, &known, NULL))
        json_array_append_new(devices, describe_backend(backend, "simulation of a CUDA device, for tests"));
    char *json = json_dumps(devices, JSON_INDENT(2));
    json_decref(devices);
    return json;
}

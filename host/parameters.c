/* parameters.c - see parameters.h. */
#include "parameters.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ p[i]) * 0x100000001B3u; /* FNV-1a */
    return hash;
}

uint64_t uc_model_hash(const uc_model *m) {
    const uc_params *all[] = { m->text_params, m->image_params, m->prior_params, m->prior_ar_params,
                               m->text_proj_params, m->decoder_params, m->sr256_params, m->sr256_last_params,
                               m->sr1024_params };
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t p = 0; p < sizeof all / sizeof *all; p++)
        for (size_t i = 0; all[p] && i < all[p]->count; i++) {
            const uc_param *param = &all[p]->items[i];
            size_t bytes = uc_dtype_size(param->dtype);
            for (int d = 0; d < param->rank; d++) bytes *= (size_t)param->dim[d];
            hash = mix(hash, param->name, strlen(param->name));
            hash = mix(hash, param->dim, (size_t)param->rank * sizeof *param->dim);
            hash = mix(hash, param->data, bytes < 4096 ? bytes : 4096);
        }
    return hash;
}

/* jansson's integers are signed: a larger seed is written as a string. */
static json_t *seed_json(uint64_t seed) {
    char text[24];
    if (seed <= INT64_MAX) return json_integer((json_int_t)seed);
    snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
    return json_string(text);
}

/* The shortest decimal that reads back as the same float, so that 0.1f is not 0.10000000149011612. */
static json_t *float_json(float value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *stages_json(const uc_request *r) {
    json_t *stages = json_object();
    for (int s = (int)r->first; s <= (int)r->last; s++) {
        const uc_sampler_plan *plan = r->sampler[s];
        json_t *stage = json_object();
        if (!plan) { /* the autoregressive prior */
            json_object_set_new(stage, "guidance", float_json(r->guidance[s]));
            json_object_set_new(stages, unclip_stage_name((unclip_stage)s), stage);
            continue;
        }
        json_object_set_new(stage, "steps", json_integer(plan->count));
        json_object_set_new(stage, "sampler", json_string(unclip_sampler_name(plan->sampler)));
        if (s <= UNCLIP_STAGE_DECODER) json_object_set_new(stage, "guidance", float_json(r->guidance[s]));
        if (plan->sampler == UNCLIP_SAMPLER_DDIM) json_object_set_new(stage, "eta", float_json(r->eta[s]));
        const float threshold = plan->threshold ? plan->steps[0].threshold : 0; /* 0: in spite of the scheduler */
        if (plan->threshold || r->options->threshold[s] < 0)
            json_object_set_new(stage, "threshold", float_json(threshold));
        const char *respacing = r->options->stage[s].respacing;
        if (respacing) json_object_set_new(stage, "respacing", json_string(respacing));
        json_object_set_new(stages, unclip_stage_name((unclip_stage)s), stage);
    }
    return stages;
}

/* What the decoder was given when it was not the prior's embedding. */
static void condition_json(json_t *root, const uc_request *request) {
    const unclip_generate_options *o = request->options;
    static const char *const names[] = { "prior", "text-embedding", "caption" };
    if (request->given || (!o->condition && !o->prior_input)) return;
    json_object_set_new(root, "condition", json_string(o->prior_input ? "given" : names[o->condition]));
}

/* The prior, when it is not the diffusion prior. */
static void prior_json(json_t *root, const uc_request *request) {
    if (!request->prior_ar) return;
    json_object_set_new(root, "prior", json_string("ar"));
    json_object_set_new(root, "prior_temperature", float_json(request->options->prior_temperature));
    json_object_set_new(root, "prior_dot_percentile", json_pack("[o, o]", float_json(request->options->prior_dot_low),
                                                                float_json(request->options->prior_dot_high)));
}

/* Which frame of a path this is. */
static void frame_json(json_t *root, const uc_request *request, const unclip_image *image) {
    if (!request->given || !request->given->frames) return;
    json_object_set_new(root, "theta", json_real(image->theta));
    json_object_set_new(root, "cosine", json_real(image->cosine));
    if (image->components) json_object_set_new(root, "components", json_integer(image->components));
}

char *uc_parameters_json(const uc_provenance *from, const uc_request *request, const unclip_image *image) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)from->model_hash);
    json_t *root = json_object();
    json_object_set_new(root, "schema", json_integer(1));
    if (request->options->prompt_count)
        json_object_set_new(root, "prompt", json_string(request->options->prompts[image->prompt_index]));
    json_object_set_new(root, "seed", seed_json(image->seed));
    json_object_set_new(root, "size", json_integer(image->width));
    json_object_set_new(root, "stages", stages_json(request));
    if (request->first == UNCLIP_STAGE_PRIOR)
        json_object_set_new(root, "prior_candidates", json_integer(request->candidates));
    condition_json(root, request);
    prior_json(root, request);
    json_object_set_new(root, "rng", json_string(request->options->rng == UNCLIP_RNG_TORCH_CPU ? "torch-cpu"
                                                                                                : "philox"));
    json_object_set_new(root, "type", json_string(from->type));
    json_object_set_new(root, "model", json_string(from->model_name));
    json_object_set_new(root, "model_hash", json_string(hash));
    json_object_set_new(root, "engine", json_string("unclip-cuda"));
    json_object_set_new(root, "version", json_string(unclip_version()));
    json_object_set_new(root, "device", json_string(from->device));
    if (from->task_json) {
        json_t *task = json_loads(from->task_json, 0, NULL);
        json_object_update(root, task);
        json_decref(task);
    }
    frame_json(root, request, image);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static const char *string_at(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

unclip_status uc_parameters_text(char **text, const char *json, unclip_error *err) {
    json_t *root = json_loads(json, 0, NULL);
    *text = NULL;
    if (!root) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the image's parameters are not JSON");
    const json_t *decoder = json_object_get(json_object_get(root, "stages"), "decoder");
    const json_t *seed = json_object_get(root, "seed");
    char *seed_text = seed ? json_dumps(seed, JSON_ENCODE_ANY) : NULL;
    const char *prompt = string_at(root, "prompt");
    const long long size = json_integer_value(json_object_get(root, "size"));
    const size_t capacity = strlen(prompt) + 1024;
    char *out = malloc(capacity);
    const bool good = out && (seed_text || !seed);
    if (good)
        snprintf(out, capacity,
                 "%s\nSteps: %lld, Sampler: %s, CFG scale: %g, Seed: %s, Size: %lldx%lld, Model hash: %s, Model: %s, "
                 "Version: unclip-cuda %s", prompt, (long long)json_integer_value(json_object_get(decoder, "steps")),
                 string_at(decoder, "sampler"), json_number_value(json_object_get(decoder, "guidance")),
                 seed ? seed_text : "", size, size, string_at(root, "model_hash"), string_at(root, "model"),
                 string_at(root, "version"));
    else free(out);
    free(seed_text);
    json_decref(root);
    if (!good) return uc_fail_memory(err, capacity, "the image's parameters");
    *text = out;
    return UNCLIP_OK;
}

/* pairs.c - the public functions that draw pictures from pictures: a picture becomes a pair (z_i, x_T), and both
 * halves are moved before the decoder draws from them. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/models/picture_resize.h"
#include "../engine/tasks/embed.h"
#include "../engine/tasks/estimate.h"
#include "../engine/tasks/invert.h"
#include "../engine/tasks/path.h"
#include "../weights/file.h"
#include "engine.h"
#include "image/png_read.h"
#include "pca_file.h"

enum { MOST_FRAMES = 100000, MOST_REFINEMENTS = 100 };

/* ---- options ----------------------------------------------------------------------------------------------------- */

void unclip_invert_options_init(unclip_invert_options *options) {
    *options = (unclip_invert_options){ .struct_size = sizeof *options, .steps = 100, .guidance = 1, .refinements = 2 };
}
void unclip_vary_options_init(unclip_vary_options *options) {
    *options = (unclip_vary_options){ .struct_size = sizeof *options };
}
void unclip_interpolate_options_init(unclip_interpolate_options *options) {
    *options = (unclip_interpolate_options){ .struct_size = sizeof *options, .frames = 8 };
}
void unclip_text_diff_options_init(unclip_text_diff_options *options) {
    *options = (unclip_text_diff_options){ .struct_size = sizeof *options, .theta_max = 0.5, .frames = 8 };
}
void unclip_probe_options_init(unclip_probe_options *options) {
    *options = (unclip_probe_options){ .struct_size = sizeof *options };
}

/* size: the options' struct_size, expected: what it must be. */
static unclip_status check_size(const char *name, size_t size, size_t expected, unclip_error *err) {
    if (size == expected) return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s options were not filled by unclip_%s_options_init", name, name);
}

static unclip_status check_frames(int frames, unclip_error *err) {
    if (frames >= 1 && frames <= MOST_FRAMES) return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_ARGUMENT, "frames is %d, expected 1 to %d", frames, (int)MOST_FRAMES);
}

/* ---- picture -> pair --------------------------------------------------------------------------------------------- */

static unclip_status describe(const unclip_engine *engine, const unclip_invert_options *o, char **json,
                              unclip_error *err) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)engine->model_hash);
    json_t *j = json_pack("{s:i, s:s, s:s, s:s}", "schema", 1, "model", engine->loaded->name, "model_hash", hash,
                          "version", unclip_version());
    if (!o->embed_only) {
        json_object_set_new(j, "steps", json_integer(o->steps));
        json_object_set_new(j, "guidance", json_real((double)o->guidance));
        json_object_set_new(j, "refinements", json_integer(o->refinements));
        if (o->prompt) json_object_set_new(j, "prompt", json_string(o->prompt));
    }
    *json = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    return *json ? UNCLIP_OK : uc_fail_memory(err, 1024, "the settings of a pair");
}

static unclip_status find_noise(const unclip_engine *engine, const uint8_t *rgb, int width, int height,
                                const unclip_invert_options *o, unclip_pair *pair, unclip_error *err) {
    const uc_model *m = engine->session.model;
    const int64_t size = uc_stage_size(m, UNCLIP_STAGE_DECODER);
    if (!size)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model cannot draw: it has no decoder or no text_proj");
    const size_t count = (size_t)(3 * size * size);
    float *picture = malloc(count * sizeof *picture);
    pair->noise = calloc(count, sizeof *pair->noise);
    pair->noise_size = (size_t)size;
    const uc_inversion how = { .prompt = o->prompt, .steps = o->steps, .guidance = o->guidance,
                               .refinements = o->refinements, .on_progress = o->on_progress, .user = o->user,
                               .estimate = o->estimate };
    unclip_status status = UNCLIP_OK;
    if (!picture || !pair->noise) status = uc_fail_memory(err, 2 * count * sizeof *picture, "noise");
    if (!status) status = uc_picture_square(rgb, width, height, size, picture, err);
    if (!status) status = uc_invert(&engine->session, pair->embedding, picture, &how, pair->noise, err);
    free(picture);
    return status;
}

static unclip_status check_inversion(const unclip_invert_options *o, unclip_error *err) {
    const unclip_status status = check_size("invert", o->struct_size, sizeof *o, err);
    if (status || o->embed_only) return status;
    if (o->steps < 2 || o->steps > 1000)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "steps of the inversion is %d, expected 2 to 1000", o->steps);
    if (!(o->guidance >= 0 && o->guidance <= 1000))
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "guidance of the inversion is %g, expected 0 to 1000",
                       (double)o->guidance);
    if (o->refinements < 0 || o->refinements > MOST_REFINEMENTS)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "refinements is %d, expected 0 to %d", o->refinements,
                       (int)MOST_REFINEMENTS);
    return UNCLIP_OK;
}

/* An embedding in name only, for what reads its size. */
static unclip_status estimate_embedding(const unclip_engine *engine, unclip_estimate *estimate, unclip_pair *out,
                                        unclip_error *err) {
    *estimate = (unclip_estimate){ .struct_size = sizeof *estimate };
    const unclip_status status = uc_image_estimate(&engine->session, estimate, err);
    if (status) return status;
    out->dim = (size_t)engine->session.model->image.projection;
    out->embedding = calloc(out->dim, sizeof *out->embedding);
    return out->embedding ? UNCLIP_OK : uc_fail_memory(err, out->dim * sizeof *out->embedding, "embedding");
}

static unclip_status find_embedding(const unclip_engine *engine, const uint8_t *rgb, int width, int height,
                                    unclip_pair *out, unclip_error *err) {
    unclip_embedding embedding;
    const unclip_status status = uc_embed_image(&engine->session, rgb, width, height, &embedding, err);
    out->embedding = embedding.values;
    out->dim = embedding.dim;
    return status;
}

static unclip_status invert(const unclip_engine *engine, const uint8_t *rgb, int width, int height,
                            const unclip_invert_options *o, unclip_pair *out, unclip_error *err) {
    unclip_status status = o->estimate ? estimate_embedding(engine, o->estimate, out, err)
                                       : find_embedding(engine, rgb, width, height, out, err);
    if (!status && !o->embed_only) status = find_noise(engine, rgb, width, height, o, out, err);
    return status ? status : describe(engine, o, &out->settings_json, err);
}

unclip_status unclip_invert(unclip_engine *engine, const uint8_t *png, size_t size,
                            const unclip_invert_options *options, unclip_pair *out, unclip_error *err) {
    if (!engine || !png || !options || !out)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no picture, no options or no result were given");
    *out = (unclip_pair){ .struct_size = sizeof *out };
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    unclip_status status = check_inversion(options, err);
    if (!status) status = uc_model_dir_unchanged(engine->loaded->dir, err);
    if (!status) status = uc_png_read(png, size, &rgb, &width, &height, err);
    if (!status) status = invert(engine, rgb, width, height, options, out, err);
    free(rgb);
    if (status) unclip_pair_free(out);
    return status;
}

/* ---- pair -> pictures -------------------------------------------------------------------------------------------- */

static unclip_status check_call(const unclip_engine *engine, const unclip_generate_options *base, const void *options,
                                unclip_error *err) {
    if (!engine || !base || !options)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no base or no options were given");
    return UNCLIP_OK;
}

static void warn_of_other_model(const unclip_engine *engine, const unclip_pair *pair) {
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)engine->model_hash);
    json_t *settings = pair->settings_json ? json_loads(pair->settings_json, 0, NULL) : NULL;
    const char *made_by = json_string_value(json_object_get(settings, "model_hash"));
    const char *name = json_string_value(json_object_get(settings, "model"));
    if (made_by && strcmp(made_by, hash))
        uc_log(&engine->session, UNCLIP_LOG_WARNING, "the pair was made by another model (%.80s)",
               name ? name : made_by);
    json_decref(settings);
}

static unclip_status check_pair(const unclip_engine *engine, const unclip_pair *pair, bool needs_noise,
                                unclip_error *err) {
    const uc_model *m = engine->session.model;
    const int64_t size = uc_stage_size(m, UNCLIP_STAGE_DECODER);
    if (!pair || pair->struct_size != sizeof *pair || !pair->embedding)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no pair was given");
    if (!size)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model cannot draw: it has no decoder or no text_proj");
    if ((int64_t)pair->dim != m->text_proj.clip_dim)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the pair's embedding has %zu numbers, this model's have %lld",
                       pair->dim, (long long)m->text_proj.clip_dim);
    if (needs_noise && !pair->noise)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the pair has no noise x_T: it was made from the embedding alone");
    if (needs_noise && (int64_t)pair->noise_size != size)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the pair's noise is of %zu pixels a side, this model's of %lld",
                       pair->noise_size, (long long)size);
    warn_of_other_model(engine, pair);
    return UNCLIP_OK;
}

/* What the functions of this section ask of the decoder. */
typedef struct decoding {
    unclip_generate_options options;
    json_t *settings;    /* of the pair at whose noise it begins; keeps the caption */
    const char *caption; /* options.prompts when it is the pair's */
} decoding;

/* settings: of the pair at whose noise the decoder begins, or NULL. d->settings is to be released. */
static void decode_by_ddim(decoding *d, const unclip_generate_options *base, float eta, const char *settings) {
    *d = (decoding){ .options = *base };
    unclip_stage_options *decoder = &d->options.stage[UNCLIP_STAGE_DECODER];
    if (decoder->sampler == UNCLIP_SAMPLER_DEFAULT) decoder->sampler = UNCLIP_SAMPLER_DDIM;
    if (decoder->eta < 0) decoder->eta = eta;
    d->settings = settings ? json_loads(settings, 0, NULL) : NULL;
    const json_t *steps = json_object_get(d->settings, "steps"), *guidance = json_object_get(d->settings, "guidance");
    if (!decoder->steps && !decoder->respacing && json_is_integer(steps))
        decoder->steps = (int)json_integer_value(steps);
    if (decoder->guidance < 0 && json_is_number(guidance)) decoder->guidance = (float)json_number_value(guidance);
    d->caption = json_string_value(json_object_get(d->settings, "prompt"));
    if (base->prompt_count || !d->caption) return;
    d->options.prompts = &d->caption;
    d->options.prompt_count = 1;
}

/* Frees task. */
static unclip_status draw(unclip_engine *engine, const unclip_generate_options *options, const uc_given *given,
                          json_t *task, unclip_error *err) {
    char *json = task ? json_dumps(task, JSON_COMPACT) : NULL;
    json_decref(task);
    if (!json) return uc_fail_memory(err, 1024, "picture settings");
    const unclip_status status = uc_engine_draw(engine, options, given, json, err);
    free(json);
    return status;
}

static json_t *settings_of(const unclip_pair *pair) {
    json_t *j = pair->settings_json ? json_loads(pair->settings_json, 0, NULL) : NULL;
    return j ? j : json_object();
}

unclip_status unclip_vary(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                          const unclip_vary_options *options, unclip_error *err) {
    unclip_status status = check_call(engine, base, options, err);
    if (!status) status = check_size("vary", options->struct_size, sizeof *options, err);
    if (!status) status = check_pair(engine, pair, !options->from_noise, err);
    if (status) return status;
    const uc_given given = { .images = base->images_per_prompt, .embeddings = pair->embedding, .embedding_rows = 1,
                             .noise = options->from_noise ? NULL : pair->noise, .noise_rows = 1 };
    decoding d = { .options = *base };
    if (!options->from_noise) decode_by_ddim(&d, base, 1, pair->settings_json);
    status = draw(engine, &d.options, &given, json_pack("{s:s, s:b, s:o}", "task", "vary", "from_noise",
                                                        options->from_noise, "pair", settings_of(pair)), err);
    json_decref(d.settings);
    return status;
}

/* Frees path and task, and the decoding's settings. */
static unclip_status draw_path(unclip_engine *engine, const decoding *d, uc_path *path, const float *noise, json_t *task,
                               unclip_error *err) {
    const uc_given given = { .images = path->frames, .embeddings = path->embeddings, .embedding_rows = path->frames,
                             .noise = path->noise ? path->noise : noise, .noise_rows = path->noise ? path->frames : 1,
                             .one_seed = true, .frames = path->facts };
    const unclip_status status = draw(engine, &d->options, &given, task, err);
    uc_path_free(path);
    json_decref(d->settings);
    return status;
}

unclip_status unclip_interpolate(unclip_engine *engine, const unclip_pair *pairs, size_t pair_count,
                                 const unclip_generate_options *base, const unclip_interpolate_options *options,
                                 unclip_error *err) {
    unclip_status status = check_call(engine, base, options, err);
    if (!status) status = check_size("interpolate", options->struct_size, sizeof *options, err);
    if (!status) status = check_frames(options->frames, err);
    if (!status && (!pairs || pair_count < 2 || pair_count > 1000))
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "an interpolation goes through 2 to 1000 pairs, not %zu",
                         pair_count);
    for (size_t i = 0; i < pair_count && !status; i++)
        status = check_pair(engine, &pairs[i], !options->fixed_noise, err);
    if (status) return status;
    uc_end *ends = calloc(pair_count, sizeof *ends);
    if (!ends) return uc_fail_memory(err, pair_count * sizeof *ends, "the ends of a path");
    json_t *made = json_array();
    for (size_t i = 0; i < pair_count; i++) {
        ends[i] = (uc_end){ pairs[i].embedding, pairs[i].noise };
        json_array_append_new(made, settings_of(&pairs[i]));
    }
    uc_path path;
    const size_t size = pairs[0].noise_size, sample = options->fixed_noise ? 0 : 3 * size * size;
    status = uc_path_between(&path, ends, pair_count, pairs[0].dim, sample, (size_t)options->frames, err);
    free(ends);
    if (status) {
        json_decref(made);
        uc_path_free(&path);
        return status;
    }
    decoding d;
    decode_by_ddim(&d, base, 0, options->fixed_noise ? NULL : pairs[0].settings_json);
    return draw_path(engine, &d, &path, NULL, json_pack("{s:s, s:s, s:o}", "task", "interp", "noise",
                                                        options->fixed_noise ? "fixed" : "slerp", "pairs", made), err);
}

/* ---- text diffs -------------------------------------------------------------------------------------------------- */

/* direction [dim] = to, or the difference of the texts' directions. */
static unclip_status text_direction(const unclip_engine *engine, const unclip_text_diff_options *o, float *direction,
                                    size_t dim, unclip_error *err) {
    unclip_embedding to = { 0 }, from = { 0 };
    unclip_status status = uc_embed_text(&engine->session, o->to, strlen(o->to), &to, err);
    if (!status && o->from) status = uc_embed_text(&engine->session, o->from, strlen(o->from), &from, err);
    if (!status && to.dim != dim)
        status = uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "texts have %zu numbers in this model, pictures %zu", to.dim,
                         dim);
    double length = 0;
    for (size_t i = 0; i < dim && !status; i++) {
        direction[i] = to.values[i] - (o->from ? from.values[i] : 0);
        length += (double)direction[i] * (double)direction[i];
    }
    if (!status && !(length > 0))
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "\"from\" and \"to\" mean the same to this model: no direction");
    unclip_embedding_free(&to);
    unclip_embedding_free(&from);
    return status;
}

static unclip_status check_text_diff(const unclip_engine *engine, const unclip_pair *pair,
                                     const unclip_text_diff_options *o, unclip_error *err) {
    unclip_status status = check_size("text_diff", o->struct_size, sizeof *o, err);
    if (!status) status = check_frames(o->frames, err);
    if (!status && !o->to) status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "no text was given to go to");
    if (!status && !(o->theta_max >= 0 && o->theta_max <= 1))
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "theta_max is %g, expected 0 to 1", o->theta_max);
    return status ? status : check_pair(engine, pair, !o->from_noise, err);
}

unclip_status unclip_text_diff(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                               const unclip_text_diff_options *options, unclip_error *err) {
    unclip_status status = check_call(engine, base, options, err);
    if (!status) status = check_text_diff(engine, pair, options, err);
    if (status) return status;
    float *direction = calloc(pair->dim, sizeof *direction);
    if (!direction) return uc_fail_memory(err, pair->dim * sizeof *direction, "a direction");
    uc_path path = { 0 };
    if (!base->estimate) status = text_direction(engine, options, direction, pair->dim, err);
    if (!status)
        status = uc_path_towards(&path, pair->embedding, direction, pair->dim, options->theta_max,
                                 (size_t)options->frames, err);
    free(direction);
    if (status) {
        uc_path_free(&path);
        return status;
    }
    decoding d;
    decode_by_ddim(&d, base, 0, options->from_noise ? NULL : pair->settings_json);
    /* without guidance the noise, which remembers the picture, outweighs the new embedding */
    d.options.stage[UNCLIP_STAGE_DECODER].guidance = base->stage[UNCLIP_STAGE_DECODER].guidance;
    json_t *task = json_pack("{s:s, s:s, s:f, s:b, s:o}", "task", "textdiff", "to", options->to, "theta_max",
                             options->theta_max, "from_noise", options->from_noise, "pair", settings_of(pair));
    if (options->from) json_object_set_new(task, "from", json_string(options->from));
    return draw_path(engine, &d, &path, options->from_noise ? NULL : pair->noise, task, err);
}

/* ---- principal components ---------------------------------------------------------------------------------------- */

/* The file that unclip.json names, else the autoregressive prior's. */
static unclip_status load_own_pca(const unclip_engine *engine, uc_pca *pca, unclip_error *err) {
    const uc_model_dir *dir = engine->loaded->dir;
    char *path = uc_path_join(dir->path, dir->pca ? dir->pca : "prior_ar/model.safetensors");
    if (!path) return uc_fail_memory(err, strlen(dir->path), "a path");
    unclip_status status = UNCLIP_OK;
    if (dir->pca || uc_file_exists(path)) status = uc_pca_load(pca, path, err);
    else
        status = uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model has no principal components: unclip.json names no "
                         "\"pca\" file; fit one with unclip-cuda fit-pca");
    free(path);
    return status;
}

/* The paper's numbers of components for its 1024 dimensions; those that fall together are kept once. */
static size_t default_components(int *out, const uc_pca *pca) {
    static const int paper[] = { 20, 30, 40, 80, 120, 160, 200, 320 };
    size_t count = 0;
    for (size_t i = 0; i < sizeof paper / sizeof *paper; i++) {
        long n = lround((double)paper[i] * (double)pca->dim / 1024);
        if (n < 1) n = 1;
        if (n > (long)pca->count) n = (long)pca->count;
        if (!count || out[count - 1] != (int)n) out[count++] = (int)n;
    }
    return count;
}

static unclip_status draw_components(unclip_engine *engine, const unclip_pair *pair,
                                     const unclip_generate_options *base, const unclip_probe_options *options,
                                     const uc_pca *pca, unclip_error *err) {
    int own[8];
    const int *components = options->components ? options->components : own;
    const size_t count = options->components ? options->component_count : default_components(own, pca);
    if (pca->dim != pair->dim)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "the principal components are of %zu numbers, embeddings of %zu",
                       pca->dim, pair->dim);
    if (count < 1 || count > MOST_FRAMES)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%zu numbers of components were given, expected 1 to %d", count,
                       (int)MOST_FRAMES);
    for (size_t i = 0; i < count; i++)
        if (components[i] < 0 || (size_t)components[i] > pca->count)
            return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%d components were asked for, the basis has %zu", components[i],
                           pca->count);
    uc_path path;
    const unclip_status status = uc_path_components(&path, pair->embedding, pca, components, count, err);
    if (status) {
        uc_path_free(&path);
        return status;
    }
    decoding d;
    decode_by_ddim(&d, base, 0, NULL);
    return draw_path(engine, &d, &path, NULL, json_pack("{s:s, s:I, s:o}", "task", "probe", "basis",
                                                        (json_int_t)pca->count, "pair", settings_of(pair)), err);
}

unclip_status unclip_probe(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                           const unclip_probe_options *options, unclip_error *err) {
    unclip_status status = check_call(engine, base, options, err);
    if (!status) status = check_size("probe", options->struct_size, sizeof *options, err);
    if (!status) status = check_pair(engine, pair, false, err);
    if (status) return status;
    uc_pca pca = { 0 };
    status = options->pca_file ? uc_pca_load(&pca, options->pca_file, err) : load_own_pca(engine, &pca, err);
    if (!status) status = draw_components(engine, pair, base, options, &pca, err);
    uc_pca_free(&pca);
    return status;
}

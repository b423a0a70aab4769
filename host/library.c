/* library.c - the public functions of unclip.h: a model directory, a backend and the tasks, tied together. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../engine/tasks/embed.h"
#include "../engine/tasks/estimate.h"
#include "../engine/tasks/generate.h"
#include "backends.h"
#include "cuda/backend_cuda.h"
#include "describe.h"
#include "engine.h"
#include "image/png_read.h"
#include "image/png_write.h"
#include "parameters.h"

#define VERSION_TEXT(a, b, c) #a "." #b "." #c
#define VERSION_OF(a, b, c) VERSION_TEXT(a, b, c)

const char *unclip_version(void) {
    return VERSION_OF(UNCLIP_VERSION_MAJOR, UNCLIP_VERSION_MINOR, UNCLIP_VERSION_PATCH);
}

void unclip_free(void *memory) { free(memory); }

/* ---- opening ----------------------------------------------------------------------------------------------------- */

void unclip_engine_options_init(unclip_engine_options *options) {
    *options = (unclip_engine_options){ .struct_size = sizeof *options };
}

static void log_timing(void *user, const uc_plan *plan, int32_t op, double seconds) {
    const unclip_engine *engine = user;
    const uc_op *o = &plan->graph->ops[op];
    const uc_launch launch = uc_plan_launch(plan, op, NULL);
    char shape[UC_SHAPE_TEXT];
    const double flops = uc_op_flops(&launch);
    uc_log(&engine->session, UNCLIP_LOG_INFO, "%s.%s: %s %s %.3f ms, %.1f GFLOP/s", plan->graph->name, o->scope,
           uc_op_info_of(o->kind)->name, uc_shape_text(launch.out[0].shape, shape), 1e3 * seconds,
           seconds > 0 ? 1e-9 * flops / seconds : 0.0);
}

static unclip_status open_backend(unclip_engine *engine, const unclip_engine_options *o, unclip_error *err) {
    const char *device = o->device ? o->device : "auto";
    uc_backend_options options = { .mode = o->run_mode, .threads = o->threads, .on_timing = log_timing,
                                   .user = engine, .tuning = engine->tuning };
    if (options.threads == 0) options.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (options.threads < 1 || options.threads > 1024)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "threads is %d, expected 1 to 1024", o->threads);
    if ((unsigned)o->run_mode > UNCLIP_RUN_TIMED)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "run mode %d is unknown", (int)o->run_mode);
    if (!strcmp(device, "auto") || !strcmp(device, "cpu")) return uc_backend_cpu_new(&engine->backend, &options, err);
    if (!strcmp(device, "ref")) return uc_backend_ref_new(&engine->backend, &options, err);
    bool known = false;
    const unclip_status status = uc_backend_cuda_open(&engine->backend, device, &options, &known, err);
    if (known) return status;
    return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s is unknown, expected auto, cpu, cuda:N, ref or sim:N", device);
}

static unclip_status choose_type(unclip_engine *engine, unclip_type type, unclip_error *err) {
    static const struct { unclip_type type; uc_dtype dtype; } types[] = {
        { UNCLIP_TYPE_AUTO, UC_F32 }, { UNCLIP_TYPE_F32, UC_F32 }, { UNCLIP_TYPE_F16, UC_F16 },
        { UNCLIP_TYPE_BF16, UC_BF16 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].type != type) continue;
        engine->session.type = types[i].dtype;
        if (engine->backend->supports(engine->backend, types[i].dtype)) return UNCLIP_OK;
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "device %s does not compute in %s on this machine",
                       engine->backend->name, uc_dtype_name(types[i].dtype));
    }
    return uc_fail(err, UNCLIP_ERR_ARGUMENT, "type %d is unknown", (int)type);
}

static unclip_status load_tuning(unclip_engine *engine, const char *path, unclip_error *err) {
    char notice[UC_TUNING_NOTICE];
    const unclip_status status = path ? uc_tuning_load(&engine->tuning, path, err) : UNCLIP_OK;
    if (engine->tuning && uc_tuning_notice(engine->tuning, path, notice))
        uc_log(&engine->session, UNCLIP_LOG_WARNING, "%s", notice);
    return status;
}

static unclip_status open_engine(unclip_engine *engine, const unclip_engine_options *o, unclip_error *err) {
    engine->session.on_log = o->on_log;
    engine->session.log_user = o->log_user;
    unclip_status status = load_tuning(engine, o->tuning, err);
    if (!status) status = open_backend(engine, o, err);
    engine->session.backend = engine->backend;
    if (!status) status = choose_type(engine, o->type, err);
    if (!status) status = uc_loaded_model_open(&engine->loaded, o->model_dir, err);
    if (status) return status;
    engine->session.model = &engine->loaded->model;
    const uc_warnings *warnings = &engine->loaded->dir->warnings;
    for (size_t i = 0; i < warnings->count; i++)
        uc_log(&engine->session, UNCLIP_LOG_WARNING, "%s", warnings->text[i]);
    status = uc_model_check(&engine->session, err);
    engine->model_hash = status ? 0 : uc_model_hash(&engine->loaded->model);
    return status;
}

unclip_status unclip_engine_open(unclip_engine **engine, const unclip_engine_options *options, unclip_error *err) {
    *engine = NULL;
    if (!options || options->struct_size != sizeof *options)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "engine options were not filled by unclip_engine_options_init");
    if (!options->model_dir) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no model directory was given");
    unclip_engine *opened = calloc(1, sizeof *opened);
    if (!opened) return uc_fail_memory(err, sizeof *opened, "engine");
    const unclip_status status = open_engine(opened, options, err);
    if (status) unclip_engine_close(opened);
    else *engine = opened;
    return status;
}

void unclip_engine_close(unclip_engine *engine) {
    if (!engine) return;
    if (engine->backend) engine->backend->close(engine->backend);
    uc_tuning_free(engine->tuning);
    uc_loaded_model_close(engine->loaded);
    free(engine);
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

typedef struct png_texts { uc_png_text items[3]; size_t count; char *shown; } png_texts;

static unclip_status texts_of(const unclip_image *image, png_texts *texts, unclip_error *err) {
    *texts = (png_texts){ .count = 0 };
    if (image->parameters_json) {
        const unclip_status status = uc_parameters_text(&texts->shown, image->parameters_json, err);
        if (status) return status;
        texts->items[texts->count++] = (uc_png_text){ "parameters", texts->shown };
        texts->items[texts->count++] = (uc_png_text){ "unclip", image->parameters_json };
    }
    texts->items[texts->count++] = (uc_png_text){ "Software", "unclip-cuda" };
    return UNCLIP_OK;
}

static unclip_status check_image(const unclip_image *image, unclip_error *err) {
    if (!image || !image->rgb || image->width < 1 || image->height < 1)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the image is empty");
    return UNCLIP_OK;
}

unclip_status unclip_image_encode_png(const unclip_image *image, uint8_t **png, size_t *size, unclip_error *err) {
    *png = NULL;
    *size = 0;
    png_texts texts;
    unclip_status status = check_image(image, err);
    if (!status) status = texts_of(image, &texts, err);
    if (status) return status;
    status = uc_png_encode(png, size, image->rgb, image->width, image->height, texts.items, texts.count, err);
    free(texts.shown);
    return status;
}

unclip_status unclip_image_write_png(const unclip_image *image, const char *path, unclip_error *err) {
    uint8_t *png = NULL;
    size_t size = 0;
    unclip_status status = unclip_image_encode_png(image, &png, &size, err);
    if (!status) status = uc_png_write_file(path, png, size, err);
    free(png);
    return status;
}

unclip_status unclip_png_parameters(const uint8_t *png, size_t size, char **json, unclip_error *err) {
    return uc_png_text_read(png, size, "unclip", json, err);
}

/* ---- generate ---------------------------------------------------------------------------------------------------- */

/* The caller's callbacks behind ours, which add the settings to each picture. */
typedef struct delivery {
    const unclip_engine *engine;
    const uc_request *request;
    const unclip_generate_options *caller;
    const char *task_json;
    unclip_status status;
} delivery;

static const char *type_name(uc_dtype type) { return type == UC_F16 ? "f16" : type == UC_BF16 ? "bf16" : "f32"; }

static int deliver(void *user, const unclip_image *image) {
    delivery *d = user;
    const unclip_engine *e = d->engine;
    const uc_provenance from = { .model_name = e->loaded->name, .model_hash = e->model_hash,
                                 .device = e->backend->name, .type = type_name(e->session.type),
                                 .task_json = d->task_json };
    char *json = uc_parameters_json(&from, d->request, image);
    if (!json) {
        d->status = UNCLIP_ERR_MEMORY;
        return 1;
    }
    unclip_image complete = *image;
    complete.parameters_json = json;
    const int stop = d->caller->on_image(d->caller->user, &complete);
    free(json);
    return stop;
}

static int forward_progress(void *user, const unclip_progress *progress) {
    const delivery *d = user;
    return d->caller->on_progress(d->caller->user, progress);
}

unclip_status unclip_generate(unclip_engine *engine, const unclip_generate_options *options, unclip_error *err) {
    if (!engine || !options) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine or no options were given");
    return uc_engine_draw(engine, options, NULL, NULL, err);
}

unclip_status uc_engine_draw(unclip_engine *engine, const unclip_generate_options *options, const uc_given *given,
                             const char *task_json, unclip_error *err) {
    uc_request request;
    unclip_status status = uc_model_dir_unchanged(engine->loaded->dir, err);
    if (!status) status = uc_request_new_given(&request, &engine->session, options, given, err);
    if (status) return status;
    delivery d = { .engine = engine, .request = &request, .caller = options, .task_json = task_json };
    unclip_generate_options ours = *options;
    ours.user = &d;
    if (options->on_image) ours.on_image = deliver;
    if (options->on_progress) ours.on_progress = forward_progress;
    request.options = &ours;
    if (options->estimate) *options->estimate = (unclip_estimate){ .struct_size = sizeof *options->estimate };
    status = options->estimate ? uc_generate_estimate(&engine->session, &request, options->estimate, err)
                               : uc_generate(&engine->session, &request, err);
    if (status && d.status) status = uc_fail_memory(err, 1024, "picture settings");
    uc_request_free(&request);
    return status;
}

unclip_status unclip_generate_estimate(unclip_engine *engine, const unclip_generate_options *options,
                                       unclip_estimate *estimate, unclip_error *err) {
    if (!engine || !options || !estimate)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no options or no estimate were given");
    unclip_generate_options o = *options;
    o.estimate = estimate;
    return unclip_generate(engine, &o, err);
}

/* ---- embeddings and descriptions --------------------------------------------------------------------------------- */

unclip_status unclip_embed_text(unclip_engine *engine, const char *text, unclip_embedding *out, unclip_error *err) {
    if (!engine || !text || !out) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no text or no result were given");
    const unclip_status status = uc_model_dir_unchanged(engine->loaded->dir, err);
    return status ? status : uc_embed_text(&engine->session, text, strlen(text), out, err);
}

unclip_status unclip_embed_image(unclip_engine *engine, const uint8_t *png, size_t size, unclip_embedding *out,
                                 unclip_error *err) {
    if (!engine || !png || !out) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no image or no result were given");
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    unclip_status status = uc_model_dir_unchanged(engine->loaded->dir, err);
    if (!status) status = uc_png_read(png, size, &rgb, &width, &height, err);
    if (status) return status;
    status = uc_embed_image(&engine->session, rgb, width, height, out, err);
    free(rgb);
    return status;
}

unclip_status unclip_engine_describe(unclip_engine *engine, char **json, unclip_error *err) {
    *json = uc_describe_model(engine->loaded, engine->model_hash);
    return *json ? UNCLIP_OK : uc_fail_memory(err, 4096, "description");
}

unclip_status unclip_devices(char **json, unclip_error *err) {
    *json = uc_describe_devices();
    return *json ? UNCLIP_OK : uc_fail_memory(err, 4096, "description");
}

/* upscale.c - the public upscaling: a PNG file becomes the low-resolution input of an upsampler, and the cascade begins
 * there. */
#include <stdio.h>
#include <stdlib.h>

#include "../engine/models/picture_resize.h"
#include "../engine/sampling/degrade.h"
#include "engine.h"
#include "image/png_read.h"

void unclip_upscale_options_init(unclip_upscale_options *options) {
    unclip_generate_options defaults;
    unclip_generate_options_init(&defaults);
    *options = (unclip_upscale_options){ .struct_size = sizeof *options, .images = 1 };
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) options->stage[i] = defaults.stage[i];
}

static unclip_status check_options(const unclip_engine *engine, const unclip_upscale_options *o, unclip_error *err) {
    if (!engine || !o) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine or no options were given");
    if (o->struct_size != sizeof *o)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "upscale options were not filled by unclip_upscale_options_init");
    if (!o->png) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no picture was given");
    if (o->images < 1 || o->images > 1000000)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "images is %zu, expected 1 to 1000000", o->images);
    if ((unsigned)o->degrade > UNCLIP_DEGRADE_BSR)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "degradation %d is unknown", (int)o->degrade);
    return UNCLIP_OK;
}

/* The upsampler that the cascade begins with, and the side of its input. */
static unclip_status choose_first(const uc_model *m, const unclip_upscale_options *o, int side, unclip_stage *first,
                                  int64_t *low, unclip_error *err) {
    const int64_t small = uc_stage_size(m, UNCLIP_STAGE_DECODER), middle = uc_stage_size(m, UNCLIP_STAGE_SR256);
    if (!small || !middle)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "this model cannot upscale: it has no %s",
                       small ? "super_res_first or super_res_last" : "decoder, which says how small its pictures are");
    const bool two_upsamplers = uc_stage_size(m, UNCLIP_STAGE_SR1024) > 0;
    const bool beyond = two_upsamplers && (!o->size || o->size > middle);
    if (o->from && o->from != small && !(two_upsamplers && o->from == middle))
        return two_upsamplers ? uc_fail(err, UNCLIP_ERR_ARGUMENT, "from is %d, this model upscales from %lld or %lld",
                                        o->from, (long long)small, (long long)middle)
                              : uc_fail(err, UNCLIP_ERR_ARGUMENT, "from is %d, this model upscales from %lld", o->from,
                                        (long long)small);
    const bool skip = o->from ? o->from == middle : beyond && 2 * side > middle;
    *first = skip ? UNCLIP_STAGE_SR1024 : UNCLIP_STAGE_SR256;
    *low = skip ? middle : small;
    return UNCLIP_OK;
}

static unclip_generate_options as_generate(const unclip_upscale_options *o) {
    unclip_generate_options g;
    unclip_generate_options_init(&g);
    g.batch_size = o->batch_size;
    g.seed = o->seed;
    g.rng = o->rng;
    g.size = o->size;
    for (int i = UNCLIP_STAGE_SR256; i < UNCLIP_STAGE_COUNT; i++) {
        g.stage[i] = o->stage[i];
        g.threshold[i] = o->threshold[i];
    }
    g.preview_interval = o->preview_interval;
    g.on_progress = o->on_progress;
    g.on_image = o->on_image;
    g.user = o->user;
    g.estimate = o->estimate;
    return g;
}

static void describe(char *json, size_t size, const unclip_upscale_options *o, int64_t low) {
    static const char *const names[] = { "none", "blur", "bsr" };
    snprintf(json, size, "{\"task\": \"upscale\", \"from\": %lld, \"degrade\": \"%s\", \"degrade_seed\": \"%llu\"}",
             (long long)low, names[o->degrade], (unsigned long long)o->degrade_seed);
}

/* rgb: the decoded picture. */
static unclip_status upscale(unclip_engine *engine, const unclip_upscale_options *o, const uint8_t *rgb, int width,
                             int height, unclip_error *err) {
    uc_given given = { .images = o->images, .low_rows = 1 };
    int64_t side = 0;
    unclip_status status =
        choose_first(engine->session.model, o, width < height ? width : height, &given.first, &side, err);
    if (status) return status;
    const size_t bytes = (size_t)(3 * side * side) * sizeof(float);
    float *low = malloc(bytes);
    if (!low) return uc_fail_memory(err, bytes, "the low-resolution picture");
    status = uc_picture_square(rgb, width, height, side, low, err);
    if (!status) status = uc_degrade(low, side, side, o->degrade, o->degrade_seed, err);
    if (!status) {
        char task[160];
        const unclip_generate_options generate = as_generate(o);
        given.low = low;
        describe(task, sizeof task, o, side);
        status = uc_engine_draw(engine, &generate, &given, task, err);
    }
    free(low);
    return status;
}

unclip_status unclip_upscale(unclip_engine *engine, const unclip_upscale_options *options, unclip_error *err) {
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    unclip_status status = check_options(engine, options, err);
    if (!status) status = uc_png_read(options->png, options->png_size, &rgb, &width, &height, err);
    if (!status) status = upscale(engine, options, rgb, width, height, err);
    free(rgb);
    return status;
}

/* roads.c - see roads.h. */
#include "roads.h"

#include <stdlib.h>
#include <string.h>

#include "support/pictures.h"

static unclip_status generate(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                              unclip_error *err) {
    (void)pairs;
    return unclip_generate(engine, base, err);
}

static unclip_status vary(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                          unclip_error *err) {
    unclip_vary_options o;
    unclip_vary_options_init(&o);
    return unclip_vary(engine, pairs, base, &o, err);
}

static unclip_status vary_from_noise(unclip_engine *engine, const unclip_pair *pairs,
                                     const unclip_generate_options *base, unclip_error *err) {
    unclip_vary_options o;
    unclip_vary_options_init(&o);
    o.from_noise = 1;
    return unclip_vary(engine, pairs, base, &o, err);
}

static unclip_status interpolate(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                                 unclip_error *err) {
    unclip_interpolate_options o;
    unclip_interpolate_options_init(&o);
    o.frames = 5;
    return unclip_interpolate(engine, pairs, 2, base, &o, err);
}

static unclip_status text_diff(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                               unclip_error *err) {
    unclip_text_diff_options o;
    unclip_text_diff_options_init(&o);
    o.from = "a cube";
    o.to = "a ring";
    o.frames = 2;
    return unclip_text_diff(engine, pairs, base, &o, err);
}

static unclip_status probe(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                           unclip_error *err) {
    unclip_probe_options o;
    unclip_probe_options_init(&o);
    return unclip_probe(engine, pairs, base, &o, err);
}

static unclip_status upscale(unclip_engine *engine, const unclip_pair *pairs, const unclip_generate_options *base,
                             unclip_error *err) {
    (void)pairs;
    unclip_upscale_options o;
    unclip_upscale_options_init(&o);
    uint8_t *png = read_file(ROADS_PICTURE, &o.png_size);
    o.png = png;
    o.images = base->images_per_prompt;
    o.batch_size = base->batch_size;
    o.seed = base->seed;
    memcpy(o.stage, base->stage, sizeof o.stage);
    o.preview_interval = base->preview_interval;
    o.on_progress = base->on_progress;
    o.on_image = base->on_image;
    o.user = base->user;
    o.estimate = base->estimate;
    const unclip_status status = unclip_upscale(engine, &o, err);
    free(png);
    return status;
}

/* The tiny model's autoregressive prior keeps 6 components, of which the paper's 20 to 320 of 1024 are 1, 3, 4, 5, 6. */
const road roads[] = { { "generate", generate, 3, UNCLIP_STAGE_PRIOR },
                       { "vary", vary, 3, UNCLIP_STAGE_DECODER },
                       { "vary from noise", vary_from_noise, 3, UNCLIP_STAGE_DECODER },
                       { "interpolate", interpolate, 5, UNCLIP_STAGE_DECODER },
                       { "text_diff", text_diff, 2, UNCLIP_STAGE_DECODER },
                       { "probe", probe, 5, UNCLIP_STAGE_DECODER },
                       { "upscale", upscale, 3, UNCLIP_STAGE_SR256 } };
const size_t road_count = sizeof roads / sizeof *roads;

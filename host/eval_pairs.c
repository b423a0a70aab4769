/* eval_pairs.c - how well a picture survives the way into a pair and back: inversion, then DDIM without noise (paper,
 * section 3: "eta = 0 reconstructs"). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/models/picture_resize.h"
#include "../engine/sampling/slerp.h"
#include "engine.h"
#include "image/png_read.h"

typedef struct kept_picture {
    uint8_t *rgb;
    int side;
} kept_picture;

static int keep(void *user, const unclip_image *image) {
    kept_picture *kept = user;
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    kept->side = image->width;
    kept->rgb = malloc(bytes);
    if (kept->rgb) memcpy(kept->rgb, image->rgb, bytes);
    return kept->rgb == NULL;
}

/* Against the original's centred square at the same size. */
static unclip_status measure_pixels(const kept_picture *drawn, const uint8_t *rgb, int width, int height,
                                    unclip_reconstruction *out, unclip_error *err) {
    const int64_t pixels = (int64_t)drawn->side * drawn->side;
    float *planes = malloc((size_t)(3 * pixels) * sizeof *planes);
    if (!planes) return uc_fail_memory(err, (size_t)(3 * pixels) * sizeof *planes, "the original picture");
    const unclip_status status = uc_picture_square(rgb, width, height, drawn->side, planes, err);
    double sum = 0;
    for (int64_t i = 0; i < 3 * pixels && !status; i++) {
        const double off = drawn->rgb[3 * (i % pixels) + i / pixels] - 127.5 * ((double)planes[i] + 1);
        sum += off * off;
    }
    free(planes);
    out->size = drawn->side;
    const double mse = sum / (double)(3 * pixels);
    out->psnr = fmin(100, 10 * log10(255.0 * 255.0 / fmax(mse, 1e-9)));
    return status;
}

static unclip_status measure_embedding(unclip_engine *engine, const kept_picture *drawn, const unclip_pair *pair,
                                       unclip_reconstruction *out, unclip_error *err) {
    const unclip_image image = { .struct_size = sizeof image, .width = drawn->side, .height = drawn->side,
                                 .rgb = drawn->rgb };
    uint8_t *png = NULL;
    size_t size = 0;
    unclip_embedding z = { .struct_size = sizeof z };
    unclip_status status = unclip_image_encode_png(&image, &png, &size, err);
    if (!status) status = unclip_embed_image(engine, png, size, &z, err);
    if (!status) out->cosine = uc_cosine(z.values, pair->embedding, pair->dim);
    unclip_embedding_free(&z);
    free(png);
    return status;
}

static unclip_status draw_again(unclip_engine *engine, const unclip_pair *pair, const unclip_generate_options *base,
                                kept_picture *kept, unclip_error *err) {
    unclip_generate_options o = *base;
    unclip_vary_options vary;
    unclip_vary_options_init(&vary);
    if (!o.size) o.size = (int)pair->noise_size;
    o.images_per_prompt = 1;
    o.stage[UNCLIP_STAGE_DECODER].eta = 0;
    o.on_image = keep;
    o.on_progress = NULL; /* a callback would get our user */
    o.user = kept;
    o.estimate = NULL;
    const unclip_status status = unclip_vary(engine, pair, &o, &vary, err);
    if (status == UNCLIP_ERR_CANCELLED) return uc_fail_memory(err, 1, "the reconstruction");
    return status;
}

unclip_status unclip_eval_reconstruction(unclip_engine *engine, const uint8_t *png, size_t size,
                                         const unclip_invert_options *invert, const unclip_generate_options *base,
                                         unclip_reconstruction *out, unclip_error *err) {
    if (!engine || !png || !invert || !base || !out)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "no engine, no image, no options or no result were given");
    *out = (unclip_reconstruction){ .struct_size = sizeof *out };
    unclip_invert_options forward = *invert;
    forward.estimate = NULL;
    unclip_pair pair = { .struct_size = sizeof pair };
    kept_picture drawn = { 0 };
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    unclip_status status = uc_png_read(png, size, &rgb, &width, &height, err);
    if (!status) status = unclip_invert(engine, png, size, &forward, &pair, err);
    if (!status && !pair.noise)
        status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "the inversion was asked for the embedding alone");
    if (!status) status = draw_again(engine, &pair, base, &drawn, err);
    if (!status) status = measure_pixels(&drawn, rgb, width, height, out, err);
    if (!status) status = measure_embedding(engine, &drawn, &pair, out, err);
    unclip_pair_free(&pair);
    free(drawn.rgb);
    free(rgb);
    return status;
}

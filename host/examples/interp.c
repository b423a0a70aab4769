/* interp.c - pictures on the way from one to another: interp MODEL_DIR FROM.png TO.png, writes frame-0.png and on. */
#include <stdio.h>
#include <stdlib.h>
#include <unclip.h>

static int save(void *user, const unclip_image *image) {
    char path[32];
    snprintf(path, sizeof path, "frame-%zu.png", image->index);
    printf("%s: theta %.3f, cosine %.3f\n", path, image->theta, image->cosine);
    return unclip_image_write_png(image, path, user);
}

/* A picture's pair: its CLIP embedding, and the noise from which the decoder draws it again. */
static unclip_status read_pair(unclip_engine *engine, const char *path, unclip_pair *pair, unclip_error *err) {
    static uint8_t png[1 << 24];
    FILE *file = fopen(path, "rb");
    if (!file) return snprintf(err->message, sizeof err->message, "%s: cannot open", path), UNCLIP_ERR_ARGUMENT;
    const size_t size = fread(png, 1, sizeof png, file);
    fclose(file);
    unclip_invert_options invert;
    unclip_invert_options_init(&invert);
    invert.steps = 10; /* more and refined come nearer */
    invert.refinements = 0;
    return unclip_invert(engine, png, size, &invert, pair, err);
}

int main(int argc, char *argv[]) {
    unclip_error err = { 0 };
    unclip_engine *engine = NULL;
    unclip_engine_options open;
    unclip_engine_options_init(&open);
    if (argc != 4) return fprintf(stderr, "usage: interp MODEL_DIR FROM.png TO.png\n"), 64;
    open.model_dir = argv[1];
    unclip_pair pairs[2] = { { .struct_size = sizeof *pairs }, { .struct_size = sizeof *pairs } };
    unclip_status status = unclip_engine_open(&engine, &open, &err);
    for (int i = 0; i < 2 && !status; i++) status = read_pair(engine, argv[2 + i], &pairs[i], &err);

    unclip_generate_options base;
    unclip_interpolate_options path;
    unclip_generate_options_init(&base);
    unclip_interpolate_options_init(&path);
    base.size = 64;
    base.on_image = save;
    base.user = &err;
    if (!status) status = unclip_interpolate(engine, pairs, 2, &base, &path, &err);
    for (int i = 0; i < 2; i++) unclip_pair_free(&pairs[i]);
    unclip_engine_close(engine);
    if (status) fprintf(stderr, "%s\n", err.message);
    return status != UNCLIP_OK;
}

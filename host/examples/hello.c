/* hello.c - the smallest program over the library: cc hello.c $(pkg-config --cflags --libs unclip) */
#include <stdio.h>
#include <unclip.h>

static int save(void *path, const unclip_image *image) { return unclip_image_write_png(image, path, NULL); }

int main(int argc, char *argv[]) {
    if (argc != 4) return fprintf(stderr, "usage: hello MODEL_DIR PROMPT OUT.png\n"), 64;
    unclip_error err = { .status = UNCLIP_OK };
    unclip_engine *engine = NULL;
    unclip_engine_options open;
    unclip_engine_options_init(&open);
    open.model_dir = argv[1];
    if (unclip_engine_open(&engine, &open, &err)) return fprintf(stderr, "%s\n", err.message), 1;

    const char *prompt = argv[2];
    unclip_generate_options want;
    unclip_generate_options_init(&want);
    want.prompts = &prompt;
    want.prompt_count = 1;
    want.seed = 7;
    want.size = 64;
    want.on_image = save;
    want.user = argv[3];
    unclip_status status = unclip_generate(engine, &want, &err);
    unclip_engine_close(engine);
    if (status) return fprintf(stderr, "%s\n", err.message), 1;
    return 0;
}

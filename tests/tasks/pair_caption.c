/* pair_caption.c - a pair that was found under a caption is drawn under it, unless another is given. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "roads.h"
#include "support/pictures.h"

typedef struct drawn { uint8_t rgb[16 * 16 * 3]; } drawn;

static int keep(void *user, const unclip_image *image) {
    cr_assert_eq(image->width, 16);
    memcpy(((drawn *)user)->rgb, image->rgb, sizeof(drawn));
    return 0;
}

static drawn reconstruct(unclip_engine *engine, const unclip_pair *pair, const char *const *caption) {
    drawn d;
    unclip_generate_options base;
    unclip_vary_options o;
    unclip_error err = { 0 };
    unclip_generate_options_init(&base);
    unclip_vary_options_init(&o);
    base.size = 16;
    base.prompts = caption;
    base.prompt_count = caption != NULL;
    base.stage[UNCLIP_STAGE_DECODER].eta = 0;
    base.on_image = keep;
    base.user = &d;
    cr_assert_eq(unclip_vary(engine, pair, &base, &o, &err), UNCLIP_OK, "%s", err.message);
    return d;
}

Test(tasks_pair_caption, is_the_pairs_unless_another_is_given) {
    static const char *const own = "a red cube", *const none = "";
    unclip_engine *engine = open_engine(ROADS_MODEL);
    unclip_invert_options invert;
    unclip_pair pair;
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(ROADS_PICTURE, &size);
    unclip_invert_options_init(&invert);
    invert.steps = 6;
    invert.prompt = own;
    cr_assert_eq(unclip_invert(engine, png, size, &invert, &pair, &err), UNCLIP_OK, "%s", err.message);
    const drawn silent = reconstruct(engine, &pair, NULL), said = reconstruct(engine, &pair, &own),
                empty = reconstruct(engine, &pair, &none);
    cr_expect_arr_eq(silent.rgb, said.rgb, sizeof said.rgb, "the pair's caption is not taken");
    cr_expect(memcmp(silent.rgb, empty.rgb, sizeof empty.rgb) != 0, "no caption can be asked for");
    unclip_pair_free(&pair);
    free(png);
    unclip_engine_close(engine);
}

/* pictures.h - drawing through the public library, for tests. */
#ifndef UC_TESTS_PICTURES_H
#define UC_TESTS_PICTURES_H

#include "engine/unclip.h"

/* Every picture of a request, one after another. */
typedef struct album { uint8_t *rgb; size_t size; int width; } album;

unclip_engine *open_engine(const char *model_dir); /* fails the test when it cannot */
album draw_album(unclip_engine *engine, unclip_generate_options *options); /* sets on_image and user */
uint64_t golden_seed(const char *model, const char *name); /* of cases.json */

uint8_t *read_file(const char *path, size_t *size);
uint8_t *read_png_file(const char *path, int *width, int *height);

/* A mean difference of at most 0.05 of 255, and at most one sample in a thousand off by more than one. */
void expect_same_bytes(const char *what, const uint8_t *got, const uint8_t *want, int64_t count);

#endif

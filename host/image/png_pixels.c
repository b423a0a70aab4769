/* png_pixels.c - pixels -> PNG without texts, by libpng. (stb_image_write was tried: with the same zlib behind it it is
 * no faster, it loses memory when an allocation fails, and a second encoder would mean other bytes in other builds.) */
#include "png_pixels.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* zlib's default, 6, takes more than twice as long for files that are 6 % smaller. */
enum { COMPRESSION_LEVEL = 4 };

/* What lives across libpng's longjmp. */
typedef struct writer {
    png_structp png;
    png_infop info;
    uint8_t *bytes;
    size_t size, capacity;
} writer;

static void on_write(png_structp png, png_bytep data, size_t count) {
    writer *w = png_get_io_ptr(png);
    if (count > w->capacity - w->size) {
        const size_t capacity = 2 * (w->capacity + count);
        uint8_t *grown = realloc(w->bytes, capacity);
        if (!grown) png_error(png, "out of memory");
        w->bytes = grown;
        w->capacity = capacity;
    }
    memcpy(w->bytes + w->size, data, count);
    w->size += count;
}

static void on_flush(png_structp png) { (void)png; }

static void on_error(png_structp png, png_const_charp message) {
    (void)message;
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void encode_steps(writer *w, const uint8_t *rgb, int width, int height) {
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_compression_level(w->png, COMPRESSION_LEVEL);
    png_set_IHDR(w->png, w->info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    for (int y = 0; y < height; y++) png_write_row(w->png, rgb + (size_t)y * (size_t)width * 3);
    png_write_end(w->png, w->info);
}

static int encode(writer *w, const uint8_t *rgb, int width, int height) {
    if (setjmp(png_jmpbuf(w->png))) return 0;
    encode_steps(w, rgb, width, height);
    return 1;
}

uint8_t *uc_png_pixels(const uint8_t *rgb, int width, int height, size_t *size) {
    writer w = { 0 };
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
    w.info = w.png ? png_create_info_struct(w.png) : NULL;
    const int done = w.info && encode(&w, rgb, width, height);
    png_destroy_write_struct(&w.png, &w.info);
    if (!done) {
        free(w.bytes);
        return NULL;
    }
    *size = w.size;
    return w.bytes;
}

/* png_pixels.c - pixels -> PNG without texts, by stb_image_write where it is installed, else by libpng. The pixels that a
 * reader gets are the same; the files' bytes are not.
 *
 * stb chooses the row filters. Its compressor, which does not survive a failed allocation, is replaced by zlib's, and the
 * blocks of one call are listed, because stb forgets one of them when its last allocation fails. stb's functions are
 * static here: no symbol of theirs leaves this file. */
#include "png_pixels.h"

#include <stdlib.h>
#include <string.h>

/* zlib's default, 6, takes more than twice as long for files that are 6 % smaller. */
enum { COMPRESSION_LEVEL = 4 };

#ifdef UC_HAVE_STB

#include <zlib.h>

/* stb holds at most four blocks at a time. */
typedef struct blocks { void *held[8]; } blocks;
static _Thread_local blocks *current; /* of the call that this thread is in */

static void *take(size_t size) {
    void *block = malloc(size);
    size_t i = 0;
    while (i < sizeof current->held / sizeof *current->held && current->held[i]) i++;
    if (i == sizeof current->held / sizeof *current->held) {
        free(block);
        return NULL;
    }
    current->held[i] = block;
    return block;
}

static void give(void *block) {
    for (size_t i = 0; i < sizeof current->held / sizeof *current->held; i++)
        if (current->held[i] == block) current->held[i] = NULL;
    free(block);
}

static unsigned char *deflate_all(unsigned char *data, int size, int *out_size, int quality) {
    (void)quality;
    uLongf length = compressBound((uLong)size);
    unsigned char *out = take(length);
    if (out && compress2(out, &length, data, (uLong)size, COMPRESSION_LEVEL) != Z_OK) {
        give(out);
        out = NULL;
    }
    *out_size = (int)length;
    return out;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBIW_ZLIB_COMPRESS deflate_all
#define STBIW_ASSERT(condition) ((void)0)
#define STBIW_MALLOC(size) take(size)
#define STBIW_REALLOC(block, size) NULL /* only its own compressor would grow a block */
#define STBIW_FREE(block) give(block)
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

uint8_t *uc_png_pixels(const uint8_t *rgb, int width, int height, size_t *size) {
    blocks of_this_call = { .held = { NULL } };
    int length = 0;
    current = &of_this_call;
    uint8_t *png = stbi_write_png_to_mem(rgb, width * 3, width, height, 3, &length);
    current = NULL;
    for (size_t i = 0; i < sizeof of_this_call.held / sizeof *of_this_call.held; i++)
        if (of_this_call.held[i] != png) free(of_this_call.held[i]);
    *size = (size_t)length;
    return png;
}

#else

#include <png.h>
#include <setjmp.h>
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

#endif

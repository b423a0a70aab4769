/* png_read.c - PNG -> pixels (the entrance of the CLIP image encoder) and PNG -> settings (replay).
 *
 * libpng decodes, because it is hardened against hostile files; it is given limits, and every ancillary chunk but
 * transparency is skipped unread. libpng reports errors by longjmp: everything that happens under setjmp lies in one
 * struct, so that no local variable is lost. */
#include "png_read.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../engine/models/unicode.h"
#include "png_chunk.h"

typedef struct reader {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t size, at;
    size_t width, height;
    uint8_t *rgba;
    png_bytep *rows;
    char message[160];
} reader;

static void on_error(png_structp png, png_const_charp message) {
    reader *r = png_get_error_ptr(png);
    snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t count) {
    reader *r = png_get_io_ptr(png);
    if (count > r->size - r->at) png_error(png, "the file ends early");
    memcpy(out, r->bytes + r->at, count);
    r->at += count;
}

static void set_limits(png_structp png) {
    static const png_byte skipped[] = "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0"
                                      "sRGB\0sTER\0tEXt\0tIME\0zTXt";
    png_set_user_limits(png, UC_PNG_MAX_SIDE, UC_PNG_MAX_SIDE);
    png_set_chunk_cache_max(png, 16);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, (int)(sizeof skipped / 5));
}

/* Whatever the file holds, rows of RGBA with 8 bits come out. */
static void set_transforms(png_structp png) {
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 0xFF, PNG_FILLER_AFTER);
}

static void decode_steps(reader *r) {
    set_limits(r->png);
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    set_transforms(r->png);
    png_read_update_info(r->png, r->info);
    r->width = png_get_image_width(r->png, r->info);
    r->height = png_get_image_height(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != r->width * 4) png_error(r->png, "unexpected row size");
    r->rgba = malloc(r->width * r->height * 4);
    r->rows = malloc(r->height * sizeof *r->rows);
    if (!r->rgba || !r->rows) png_error(r->png, "out of memory");
    for (size_t y = 0; y < r->height; y++) r->rows[y] = r->rgba + y * r->width * 4;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
}

static bool decode(reader *r) {
    if (setjmp(png_jmpbuf(r->png))) return false;
    decode_steps(r);
    return true;
}

static void compose_on_white(uint8_t *rgb, const uint8_t *rgba, size_t pixels) {
    for (size_t i = 0; i < pixels; i++) {
        const unsigned alpha = rgba[4 * i + 3];
        for (size_t c = 0; c < 3; c++) {
            rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
}

/* The signature and the size in the first chunk, for messages that say more than libpng's. */
static unclip_status check_start(const uint8_t *png, size_t size, unclip_error *err) {
    if (size < UC_PNG_SIGNATURE || memcmp(png, uc_png_signature, UC_PNG_SIGNATURE) != 0) {
        return uc_fail(err, UNCLIP_ERR_IMAGE, "the picture is not a PNG file");
    }
    if (size < UC_PNG_SIGNATURE + 16) return UNCLIP_OK;
    const uint32_t width = uc_png_get32(png + 16), height = uc_png_get32(png + 20);
    if (width > UC_PNG_MAX_SIDE || height > UC_PNG_MAX_SIDE) {
        return uc_fail(err, UNCLIP_ERR_IMAGE, "the picture has %lu x %lu pixels; at most %d x %d are accepted",
                       (unsigned long)width, (unsigned long)height, (int)UC_PNG_MAX_SIDE, (int)UC_PNG_MAX_SIDE);
    }
    return UNCLIP_OK;
}

unclip_status uc_png_read(const uint8_t *png, size_t size, uint8_t **rgb, int *width, int *height, unclip_error *err) {
    reader r = { .bytes = png, .size = size };
    *rgb = NULL;
    unclip_status status = check_start(png, size, err);
    if (status) return status;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info) {
        status = uc_fail_memory(err, 4096, "the PNG reader");
    } else if (!decode(&r)) {
        status = uc_fail(err, UNCLIP_ERR_IMAGE, "the picture is a damaged PNG file: %s", r.message);
    } else if (!(*rgb = malloc(r.width * r.height * 3))) {
        status = uc_fail_memory(err, r.width * r.height * 3, "the picture");
    } else {
        compose_on_white(*rgb, r.rgba, r.width * r.height);
        *width = (int)r.width;
        *height = (int)r.height;
    }
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rgba);
    free(r.rows);
    return status;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static unclip_status fail_text(unclip_error *err, const char *what) {
    return uc_fail(err, UNCLIP_ERR_IMAGE, "the picture's stored text: %s", what);
}

/* Latin-1 to UTF-8. */
static unclip_status read_latin1(const uint8_t *data, size_t size, char **text, unclip_error *err) {
    char *out = malloc(2 * size + 1);
    if (!out) return uc_fail_memory(err, 2 * size + 1, "the picture's stored text");
    size_t used = 0;
    for (size_t i = 0; i < size; i++) used += uc_utf8_encode(data[i], (uint8_t *)out + used);
    out[used] = '\0';
    *text = out;
    return UNCLIP_OK;
}

/* Behind the keyword: compression flag, method, language, translated keyword, text; zero bytes end the middle two. */
static unclip_status read_international(const uint8_t *data, size_t size, char **text, unclip_error *err) {
    if (size < 2) return fail_text(err, "an iTXt chunk is cut short");
    if (data[0] != 0) return fail_text(err, "a compressed iTXt chunk is not supported");
    size_t at = 2;
    for (int field = 0; field < 2; field++) {
        const uint8_t *end = memchr(data + at, 0, size - at);
        if (!end) return fail_text(err, "an iTXt chunk is cut short");
        at = (size_t)(end - data) + 1;
    }
    for (size_t i = at; i < size;) {
        uint32_t c = 0;
        const size_t n = uc_utf8_decode(data + i, size - i, &c);
        if (n == 0 || c == 0) return fail_text(err, "an iTXt chunk is not UTF-8");
        i += n;
    }
    char *out = malloc(size - at + 1);
    if (!out) return uc_fail_memory(err, size - at + 1, "the picture's stored text");
    memcpy(out, data + at, size - at);
    out[size - at] = '\0';
    *text = out;
    return UNCLIP_OK;
}

/* *text stays NULL when the chunk is not the one that is looked for. */
static unclip_status read_chunk(const uint8_t *chunk, size_t length, const char *keyword, char **text,
                                unclip_error *err) {
    const uint8_t *type = chunk + 4, *data = chunk + 8;
    const size_t key = strlen(keyword);
    const bool international = memcmp(type, "iTXt", 4) == 0;
    if (!international && memcmp(type, "tEXt", 4) != 0) return UNCLIP_OK;
    if (length <= key || memcmp(data, keyword, key + 1) != 0) return UNCLIP_OK;
    if (uc_png_crc(type, length + 4) != uc_png_get32(data + length)) return fail_text(err, "the checksum is wrong");
    data += key + 1;
    length -= key + 1;
    if (international) return read_international(data, length, text, err);
    if (memchr(data, 0, length)) return fail_text(err, "a tEXt chunk has a zero byte in its text");
    return read_latin1(data, length, text, err);
}

unclip_status uc_png_text_read(const uint8_t *png, size_t size, const char *keyword, char **text, unclip_error *err) {
    *text = NULL;
    unclip_status status = check_start(png, size, err);
    for (size_t at = UC_PNG_SIGNATURE; !status && !*text;) {
        const size_t left = size - at;
        if (left < UC_PNG_CHUNK_FRAME) return fail_text(err, "the file ends early");
        const size_t length = uc_png_get32(png + at);
        if (length > left - UC_PNG_CHUNK_FRAME) return fail_text(err, "the file ends early");
        if (memcmp(png + at + 4, "IEND", 4) == 0) {
            return uc_fail(err, UNCLIP_ERR_IMAGE, "the picture has no text stored under \"%s\"", keyword);
        }
        status = read_chunk(png + at, length, keyword, text, err);
        at += length + UC_PNG_CHUNK_FRAME;
    }
    return status;
}

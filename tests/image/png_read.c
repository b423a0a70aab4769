/* png_read.c - PNG -> pixels: every colour type, depth and interlacing against samples that are worked out here, and
 * files that are cut, bent or lying. */
#include <criterion/criterion.h>
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image/png_chunk.h"
#include "host/image/png_read.h"
#include "host/image/png_write.h"

/* ---- making PNG files of any kind -------------------------------------------------------------------------------- */

enum { WIDTH = 13, HEIGHT = 11, MOST_BYTES = 1 << 16 };

typedef struct made {
    uint8_t bytes[MOST_BYTES];
    size_t size;
} made;

typedef struct kind {
    int colour, depth, interlace;
    bool transparent_key;
} kind;

static void on_write(png_structp png, png_bytep data, size_t count) {
    made *m = png_get_io_ptr(png);
    cr_assert_leq(count, MOST_BYTES - m->size);
    memcpy(m->bytes + m->size, data, count);
    m->size += count;
}

static void on_flush(png_structp png) { (void)png; }

static int channels_of(int colour) {
    return colour == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
           : colour == PNG_COLOR_TYPE_RGB      ? 3
           : colour == PNG_COLOR_TYPE_RGBA     ? 4
                                               : 1;
}

static unsigned sample(const kind *k, int x, int y, int channel) {
    const unsigned v = (unsigned)(x * 7919 + y * 104729 + channel * 1299709) * 2654435761u;
    return v >> (32 - k->depth);
}

static png_color palette_entry(int i) {
    return (png_color){ (png_byte)(i * 37), (png_byte)(255 - i), (png_byte)(i * i) };
}
static png_byte palette_alpha(int i) { return (png_byte)(i % 3 ? 255 - 11 * (i % 20) : 0); }

static void pack_row(const kind *k, int y, uint8_t *row) {
    const int channels = channels_of(k->colour);
    memset(row, 0, (size_t)WIDTH * 8);
    for (int x = 0; x < WIDTH; x++) {
        for (int c = 0; c < channels; c++) {
            const unsigned v = sample(k, x, y, c);
            const int bit = (x * channels + c) * k->depth;
            if (k->depth == 16) {
                row[bit / 8] = (uint8_t)(v >> 8);
                row[bit / 8 + 1] = (uint8_t)v;
            } else {
                row[bit / 8] = (uint8_t)(row[bit / 8] | v << (8 - k->depth - bit % 8));
            }
        }
    }
}

static void set_palette(png_structp png, png_infop info, const kind *k) {
    png_color palette[256];
    png_byte alpha[256];
    for (int i = 0; i < 1 << k->depth; i++) {
        palette[i] = palette_entry(i);
        alpha[i] = palette_alpha(i);
    }
    png_set_PLTE(png, info, palette, 1 << k->depth);
    if (k->transparent_key) png_set_tRNS(png, info, alpha, 1 << k->depth, NULL);
}

/* The transparent key of grey and RGB files is the first pixel's colour. */
static void set_key(png_structp png, png_infop info, const kind *k) {
    png_color_16 key = { .gray = (png_uint_16)sample(k, 0, 0, 0) };
    key.red = key.gray;
    key.green = (png_uint_16)sample(k, 0, 0, 1);
    key.blue = (png_uint_16)sample(k, 0, 0, 2);
    png_set_tRNS(png, info, NULL, 0, &key);
}

static void make(made *m, const kind *k) {
    static uint8_t rows[HEIGHT][WIDTH * 8];
    png_bytep pointers[HEIGHT];
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    m->size = 0;
    cr_assert_eq(setjmp(png_jmpbuf(png)), 0, "cannot make the file");
    png_set_write_fn(png, m, on_write, on_flush);
    png_set_IHDR(png, info, WIDTH, HEIGHT, k->depth, k->colour, k->interlace, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (k->colour == PNG_COLOR_TYPE_PALETTE) set_palette(png, info, k);
    else if (k->transparent_key) set_key(png, info, k);
    for (int y = 0; y < HEIGHT; y++) {
        pack_row(k, y, rows[y]);
        pointers[y] = rows[y];
    }
    png_write_info(png, info);
    png_write_image(png, pointers);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
}

/* ---- what must come out ------------------------------------------------------------------------------------------ */

static int to_eight_bits(const kind *k, unsigned v) {
    return k->depth == 16 ? (int)(v >> 8) : (int)(v * 255 / ((1u << k->depth) - 1));
}

static int on_white(int value, int alpha) { return (value * alpha + 255 * (255 - alpha) + 127) / 255; }

static void expected_pixel(const kind *k, int x, int y, int rgb[3]) {
    int alpha = 255;
    unsigned v[4] = { 0 };
    bool is_key = k->transparent_key;
    for (int c = 0; c < channels_of(k->colour); c++) {
        v[c] = sample(k, x, y, c);
        is_key = is_key && v[c] == sample(k, 0, 0, c);
    }
    if (k->colour == PNG_COLOR_TYPE_PALETTE) {
        const png_color entry = palette_entry((int)v[0]);
        rgb[0] = entry.red, rgb[1] = entry.green, rgb[2] = entry.blue;
        if (k->transparent_key) alpha = palette_alpha((int)v[0]);
    } else {
        const bool grey = !(k->colour & PNG_COLOR_MASK_COLOR);
        for (int c = 0; c < 3; c++) rgb[c] = to_eight_bits(k, v[grey ? 0 : c]);
        if (k->colour & PNG_COLOR_MASK_ALPHA) alpha = to_eight_bits(k, v[grey ? 1 : 3]);
        else if (is_key) alpha = 0;
    }
    for (int c = 0; c < 3; c++) rgb[c] = on_white(rgb[c], alpha);
}

static void check_kind(const kind *k) {
    static made m;
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    unclip_error err = { 0 };
    make(&m, k);
    cr_assert_eq(uc_png_read(m.bytes, m.size, &rgb, &width, &height, &err), UNCLIP_OK, "colour %d depth %d: %s",
                 k->colour, k->depth, err.message);
    cr_assert(width == WIDTH && height == HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
        int want[3];
        expected_pixel(k, i / 3 % WIDTH, i / 3 / WIDTH, want);
        cr_assert_eq(rgb[i], want[i % 3], "colour %d depth %d interlace %d key %d: sample %d is %d, expected %d",
                     k->colour, k->depth, k->interlace, k->transparent_key, i, rgb[i], want[i % 3]);
    }
    free(rgb);
}

Test(image_png_read, every_kind_of_file) {
    static const int types[][2] = {
        { PNG_COLOR_TYPE_GRAY, 1 },        { PNG_COLOR_TYPE_GRAY, 2 },    { PNG_COLOR_TYPE_GRAY, 4 },
        { PNG_COLOR_TYPE_GRAY, 8 },        { PNG_COLOR_TYPE_GRAY, 16 },   { PNG_COLOR_TYPE_PALETTE, 1 },
        { PNG_COLOR_TYPE_PALETTE, 2 },     { PNG_COLOR_TYPE_PALETTE, 4 }, { PNG_COLOR_TYPE_PALETTE, 8 },
        { PNG_COLOR_TYPE_RGB, 8 },         { PNG_COLOR_TYPE_RGB, 16 },    { PNG_COLOR_TYPE_GRAY_ALPHA, 8 },
        { PNG_COLOR_TYPE_GRAY_ALPHA, 16 }, { PNG_COLOR_TYPE_RGBA, 8 },    { PNG_COLOR_TYPE_RGBA, 16 }
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int variant = 0; variant < 4; variant++) {
            const kind k = { .colour = types[i][0],
                             .depth = types[i][1],
                             .interlace = variant & 1 ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                             .transparent_key = variant & 2 && !(types[i][0] & PNG_COLOR_MASK_ALPHA) };
            check_kind(&k);
        }
    }
}

/* ---- files that are not right ------------------------------------------------------------------------------------ */

static const kind palette_kind = { .colour = PNG_COLOR_TYPE_PALETTE, .depth = 4, .transparent_key = true };
static const kind interlaced_kind = { .colour = PNG_COLOR_TYPE_RGBA, .depth = 8, .interlace = PNG_INTERLACE_ADAM7 };

static unclip_status read_copy(const uint8_t *bytes, size_t size, unclip_error *err) {
    uint8_t *copy = malloc(size + 1), *rgb = (uint8_t *)1; /* exactly as long, so that a sanitizer sees an overrun */
    int width, height;
    uint8_t *exact = realloc(copy, size ? size : 1);
    memcpy(exact, bytes, size);
    const unclip_status status = uc_png_read(exact, size, &rgb, &width, &height, err);
    cr_assert(status == UNCLIP_OK ? rgb != NULL : rgb == NULL);
    free(rgb);
    free(exact);
    return status;
}

static void expect_every_cut_refused(const kind *k) {
    static made m;
    make(&m, k);
    cr_assert_eq(read_copy(m.bytes, m.size, NULL), UNCLIP_OK);
    for (size_t size = 0; size < m.size; size++) {
        unclip_error err = { 0 };
        cr_assert_eq(read_copy(m.bytes, size, &err), UNCLIP_ERR_IMAGE, "cut to %zu of %zu bytes", size, m.size);
        cr_assert_neq(err.message[0], '\0');
    }
}

Test(image_png_read, every_truncation_is_refused) {
    expect_every_cut_refused(&palette_kind);
    expect_every_cut_refused(&interlaced_kind);
}

/* A flipped bit is caught by a checksum, except where it makes an optional chunk one that is skipped. */
static void flip_every_bit(const kind *k) {
    static made m;
    make(&m, k);
    for (size_t i = 0; i < m.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            m.bytes[i] = (uint8_t)(m.bytes[i] ^ 1u << bit);
            const unclip_status status = read_copy(m.bytes, m.size, NULL);
            cr_assert(status == UNCLIP_ERR_IMAGE || (status == UNCLIP_OK && k->transparent_key && i > 33),
                      "byte %zu bit %d: %s", i, bit, unclip_status_name(status));
            m.bytes[i] = (uint8_t)(m.bytes[i] ^ 1u << bit);
        }
        const uint8_t before = m.bytes[i];
        m.bytes[i] = (uint8_t)~before;
        read_copy(m.bytes, m.size, NULL);
        m.bytes[i] = before;
    }
}

Test(image_png_read, every_flipped_bit_is_survived, .timeout = 120) {
    flip_every_bit(&palette_kind);
    flip_every_bit(&interlaced_kind);
}

static void expect_message(const uint8_t *bytes, size_t size, const char *message) {
    unclip_error err = { 0 };
    cr_expect_eq(read_copy(bytes, size, &err), UNCLIP_ERR_IMAGE);
    cr_expect_str_eq(err.message, message);
}

/* A changed header with its checksum put right. */
static void set_size(made *m, uint32_t width, uint32_t height) {
    uc_png_put32(m->bytes + 16, width);
    uc_png_put32(m->bytes + 20, height);
    uc_png_put32(m->bytes + 29, uc_png_crc(m->bytes + 12, 17));
}

Test(image_png_read, messages_name_the_fault) {
    static made m;
    make(&m, &interlaced_kind);
    expect_message(m.bytes, 0, "the picture is not a PNG file");
    expect_message((const uint8_t *)"GIF89a..........", 16, "the picture is not a PNG file");
    expect_message(m.bytes, m.size - 1, "the picture is a damaged PNG file: the file ends early");
    set_size(&m, 4097, 1);
    expect_message(m.bytes, m.size, "the picture has 4097 x 1 pixels; at most 4096 x 4096 are accepted");
    set_size(&m, 8, 0xFFFFFFFFu);
    expect_message(m.bytes, m.size, "the picture has 8 x 4294967295 pixels; at most 4096 x 4096 are accepted");
    set_size(&m, 0, 5);
    expect_message(m.bytes, m.size, "the picture is a damaged PNG file: Invalid IHDR data");
    set_size(&m, 4096, 4096); /* a promise of 16 million pixels in 700 bytes */
    cr_expect_eq(read_copy(m.bytes, m.size, NULL), UNCLIP_ERR_IMAGE);
}

Test(image_png_read, what_follows_the_end_is_ignored) {
    static made m;
    make(&m, &interlaced_kind);
    memset(m.bytes + m.size, 0xAB, 100);
    cr_expect_eq(read_copy(m.bytes, m.size + 100, NULL), UNCLIP_OK);
}

/* Optional chunks are not even looked at: a colour profile with a wrong checksum, a megabyte of text. */
static void insert_chunk(made *m, const char *type, const uint8_t *data, size_t length, bool right) {
    const size_t at = 33;
    memmove(m->bytes + at + length + 12, m->bytes + at, m->size - at);
    uc_png_put32(m->bytes + at, (uint32_t)length);
    memcpy(m->bytes + at + 4, type, 4);
    memcpy(m->bytes + at + 8, data, length);
    uc_png_put32(m->bytes + at + 8 + length, uc_png_crc(m->bytes + at + 4, length + 4) ^ (right ? 0u : 1u));
    m->size += length + 12;
}

Test(image_png_read, optional_chunks_are_skipped) {
    static made m;
    static uint8_t junk[8192];
    make(&m, &interlaced_kind);
    memset(junk, 'x', sizeof junk);
    insert_chunk(&m, "iCCP", junk, 300, false);
    insert_chunk(&m, "zTXt", junk, sizeof junk, true);
    insert_chunk(&m, "gAMA", (const uint8_t *)"\0\0\0\1", 4, true);
    insert_chunk(&m, "prVt", junk, 10, true);
    cr_expect_eq(read_copy(m.bytes, m.size, NULL), UNCLIP_OK);
    insert_chunk(&m, "CRIT", junk, 10, true);
    cr_expect_eq(read_copy(m.bytes, m.size, NULL), UNCLIP_ERR_IMAGE, "an unknown chunk that must be understood");
}

/* ---- stored text ------------------------------------------------------------------------------------------------- */

static void expect_text(const made *m, const char *keyword, unclip_status status, const char *expected) {
    char *text = (char *)1;
    unclip_error err = { 0 };
    cr_assert_eq(uc_png_text_read(m->bytes, m->size, keyword, &text, &err), status, "%s: %s", keyword, err.message);
    if (status == UNCLIP_OK) cr_expect_str_eq(text, expected);
    else cr_expect(text == NULL && strcmp(err.message, expected) == 0, "%s: %s", keyword, err.message);
    free(text);
}

#define CHUNK(m, type, data, right) insert_chunk(m, type, (const uint8_t *)data, sizeof data - 1, right)

Test(image_png_read, text_chunks) {
    static made m;
    make(&m, &palette_kind);
    expect_text(&m, "unclip", UNCLIP_ERR_IMAGE, "the picture has no text stored under \"unclip\"");
    CHUNK(&m, "tEXt", "latin\0caf\xe9", true);
    CHUNK(&m, "iTXt", "utf\0\0\0\0\0caf\xc3\xa9", true);
    CHUNK(&m, "iTXt", "tagged\0\0\0en-GB\0titre\0words", true);
    CHUNK(&m, "tEXt", "empty\0", true);
    CHUNK(&m, "tEXt", "no separator", true);
    expect_text(&m, "latin", UNCLIP_OK, "caf\u00e9");
    expect_text(&m, "utf", UNCLIP_OK, "caf\u00e9");
    expect_text(&m, "tagged", UNCLIP_OK, "words");
    expect_text(&m, "empty", UNCLIP_OK, "");
    expect_text(&m, "lati", UNCLIP_ERR_IMAGE, "the picture has no text stored under \"lati\"");
    expect_text(&m, "no separator", UNCLIP_ERR_IMAGE, "the picture has no text stored under \"no separator\"");
    cr_expect_eq(read_copy(m.bytes, m.size, NULL), UNCLIP_OK);
}

Test(image_png_read, malformed_text_chunks) {
    static made m;
    make(&m, &palette_kind);
    CHUNK(&m, "tEXt", "crc\0text", false);
    CHUNK(&m, "tEXt", "zero\0a\0b", true);
    CHUNK(&m, "iTXt", "packed\0\1\0\0\0data", true);
    CHUNK(&m, "iTXt", "short\0\0", true);
    CHUNK(&m, "iTXt", "shorter\0\0\0en", true);
    CHUNK(&m, "iTXt", "bytes\0\0\0\0\0\xff", true);
    expect_text(&m, "crc", UNCLIP_ERR_IMAGE, "the picture's stored text: the checksum is wrong");
    expect_text(&m, "zero", UNCLIP_ERR_IMAGE, "the picture's stored text: a tEXt chunk has a zero byte in its text");
    expect_text(&m, "packed", UNCLIP_ERR_IMAGE, "the picture's stored text: a compressed iTXt chunk is not supported");
    expect_text(&m, "short", UNCLIP_ERR_IMAGE, "the picture's stored text: an iTXt chunk is cut short");
    expect_text(&m, "shorter", UNCLIP_ERR_IMAGE, "the picture's stored text: an iTXt chunk is cut short");
    expect_text(&m, "bytes", UNCLIP_ERR_IMAGE, "the picture's stored text: an iTXt chunk is not UTF-8");
}

/* A chunk that is the keyword and nothing else, whose checksum begins with the zero byte that should end the keyword. */
Test(image_png_read, keyword_that_ends_in_its_checksum) {
    static made m;
    char data[24] = "tEXt";
    int number = 0;
    do snprintf(data + 4, sizeof data - 4, "k%d", number++);
    while (uc_png_crc((const uint8_t *)data, strlen(data)) >> 24 != 0);
    make(&m, &palette_kind);
    insert_chunk(&m, "tEXt", (const uint8_t *)data + 4, strlen(data + 4), true);
    char message[80];
    snprintf(message, sizeof message, "the picture has no text stored under \"%s\"", data + 4);
    expect_text(&m, data + 4, UNCLIP_ERR_IMAGE, message);
}

Test(image_png_read, text_of_a_cut_or_bent_file) {
    static made m;
    make(&m, &palette_kind);
    CHUNK(&m, "iTXt", "key\0\0\0\0\0value", true);
    for (size_t size = 0; size < m.size; size++) {
        char *text;
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, m.bytes, size);
        const unclip_status status = uc_png_text_read(exact, size, "other", &text, NULL);
        cr_assert_eq(status, UNCLIP_ERR_IMAGE, "cut to %zu", size);
        free(exact);
    }
    for (size_t i = 0; i < m.size * 8; i++) {
        char *text = NULL;
        m.bytes[i / 8] = (uint8_t)(m.bytes[i / 8] ^ 1u << i % 8);
        if (uc_png_text_read(m.bytes, m.size, "key", &text, NULL) == UNCLIP_OK) cr_assert_str_eq(text, "value");
        free(text);
        m.bytes[i / 8] = (uint8_t)(m.bytes[i / 8] ^ 1u << i % 8);
    }
}

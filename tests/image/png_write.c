/* png_write.c - pixels -> PNG: what is written is read back with its texts, and a file is replaced whole or not at all. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/image/png_chunk.h"
#include "host/image/png_read.h"
#include "host/image/png_write.h"

static uint8_t *picture(int width, int height) {
    uint8_t *rgb = malloc((size_t)(width * height * 3));
    uint32_t state = (uint32_t)(width * 65537 + height);
    for (int i = 0; i < width * height * 3; i++) {
        state = state * 1664525u + 1013904223u;
        rgb[i] = (uint8_t)(i % 7 == 0 ? state >> 24 : (unsigned)i / 3u);
    }
    return rgb;
}

Test(image_png_write, pixels_come_back) {
    static const int sizes[][2] = { { 1, 1 }, { 3, 5 }, { 64, 64 }, { 257, 3 }, { 1, 300 }, { 255, 255 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int width = sizes[i][0], height = sizes[i][1];
        uint8_t *rgb = picture(width, height), *png, *back;
        size_t size;
        int got_width, got_height;
        unclip_error err = { 0 };
        cr_assert_eq(uc_png_encode(&png, &size, rgb, width, height, NULL, 0, &err), UNCLIP_OK, "%s", err.message);
        cr_assert_eq(uc_png_read(png, size, &back, &got_width, &got_height, &err), UNCLIP_OK, "%s", err.message);
        cr_assert(got_width == width && got_height == height);
        cr_assert_arr_eq(back, rgb, (size_t)(width * height * 3));
        free(rgb);
        free(png);
        free(back);
    }
}

static const uc_png_text texts[] = { { "parameters", "a red cube\nSteps: 25" },
                                     { "unclip", "{\"prompt\": \"caf\u00e9 \u65e5\u672c \U0001f642\"}" },
                                     { "Software", "" } };

Test(image_png_write, texts_stand_before_the_pixels_and_come_back) {
    static const char *const order[] = { "IHDR", "tEXt", "iTXt", "tEXt", "IDAT" };
    uint8_t *rgb = picture(9, 4), *png, *again;
    size_t size, again_size, at = UC_PNG_SIGNATURE;
    cr_assert_eq(uc_png_encode(&png, &size, rgb, 9, 4, texts, 3, NULL), UNCLIP_OK);
    for (size_t i = 0; i < 5; i++) {
        const size_t length = uc_png_get32(png + at);
        cr_expect_eq(memcmp(png + at + 4, order[i], 4), 0, "chunk %zu is %.4s", i, (const char *)png + at + 4);
        cr_expect_eq(uc_png_crc(png + at + 4, length + 4), uc_png_get32(png + at + 8 + length));
        at += length + UC_PNG_CHUNK_FRAME;
    }
    for (size_t i = 0; i < 3; i++) {
        char *text;
        cr_assert_eq(uc_png_text_read(png, size, texts[i].keyword, &text, NULL), UNCLIP_OK);
        cr_expect_str_eq(text, texts[i].text);
        free(text);
    }
    cr_assert_eq(uc_png_encode(&again, &again_size, rgb, 9, 4, texts, 3, NULL), UNCLIP_OK);
    cr_expect(size == again_size && memcmp(png, again, size) == 0, "the same input gives the same bytes");
    free(rgb);
    free(png);
    free(again);
}

static void expect_refused(uc_png_text text, int width, int height, const char *message) {
    const uint8_t rgb[3] = { 0 };
    uint8_t *png;
    size_t size;
    unclip_error err = { 0 };
    cr_expect_eq(uc_png_encode(&png, &size, rgb, width, height, &text, 1, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect_null(png);
    cr_expect_str_eq(err.message, message);
}

Test(image_png_write, impossible_requests_are_refused) {
    static const char keyword[] = "a PNG keyword has 1 to 79 printable ASCII characters";
    char longest[82];
    memset(longest, 'k', sizeof longest);
    longest[80] = '\0';
    expect_refused((uc_png_text){ "", "t" }, 1, 1, keyword);
    expect_refused((uc_png_text){ longest, "t" }, 1, 1, keyword);
    expect_refused((uc_png_text){ "a\nb", "t" }, 1, 1, keyword);
    expect_refused((uc_png_text){ "k", "ab\xff" }, 1, 1, "the PNG text \"k\" is not UTF-8 at byte 2");
    expect_refused((uc_png_text){ "k", "t" }, 0, 1, "a picture of 0 x 1 pixels cannot be a PNG file");
    expect_refused((uc_png_text){ "k", "t" }, 1, -1, "a picture of 1 x -1 pixels cannot be a PNG file");
    expect_refused((uc_png_text){ "k", "t" }, 65536, 65536, "a picture of 65536 x 65536 pixels cannot be a PNG file");
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static char folder[64], path[96];

static void make_folder(void) {
    strcpy(folder, "/tmp/unclip-png-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.png", folder);
}

static int files_in_folder(void) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void remove_folder(void) {
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

static void expect_content(const char *file, const char *content) {
    char got[64] = "";
    FILE *f = fopen(file, "rb");
    cr_assert_not_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    cr_expect_str_eq(got, content);
}

static unclip_status write_text(const char *file, const char *content, unclip_error *err) {
    return uc_png_write_file(file, (const uint8_t *)content, strlen(content), err);
}

Test(image_png_write, a_file_is_created_and_replaced, .init = make_folder, .fini = remove_folder) {
    struct stat info;
    char link[96];
    cr_expect_eq(write_text(path, "first", NULL), UNCLIP_OK);
    expect_content(path, "first");
    cr_assert_eq(chmod(path, 0640), 0);
    cr_expect_eq(write_text(path, "second", NULL), UNCLIP_OK);
    expect_content(path, "second");
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0640, "the permissions stay");
    snprintf(link, sizeof link, "%s/link.png", folder);
    cr_assert_eq(symlink("out.png", link), 0);
    cr_expect_eq(write_text(link, "through", NULL), UNCLIP_OK);
    expect_content(path, "through");
    cr_assert_eq(lstat(link, &info), 0);
    cr_expect(S_ISLNK(info.st_mode), "a symbolic link stays one");
    cr_expect_eq(files_in_folder(), 2, "nothing else is left");
}

Test(image_png_write, a_name_without_a_folder, .init = make_folder, .fini = remove_folder) {
    cr_assert_eq(chdir(folder), 0);
    cr_expect_eq(write_text("out.png", "here", NULL), UNCLIP_OK);
    expect_content(path, "here");
}

static void expect_unwritable(const char *file, const char *reason) {
    unclip_error err = { 0 };
    char message[256];
    snprintf(message, sizeof message, "%s: %s", file, reason);
    cr_expect_eq(write_text(file, "data", &err), UNCLIP_ERR_WRITE);
    cr_expect_str_eq(err.message, message);
}

Test(image_png_write, what_cannot_be_written_is_named, .init = make_folder, .fini = remove_folder) {
    char missing[96];
    snprintf(missing, sizeof missing, "%s/no/out.png", folder);
    expect_unwritable(missing, "No such file or directory");
    expect_unwritable(folder, "Is a directory");
    expect_unwritable("", "No such file or directory");
    expect_unwritable("/dev/full", "No space left on device");
    cr_expect_eq(write_text("/dev/null", "data", NULL), UNCLIP_OK, "a device is written to, not replaced");
    struct stat info;
    cr_assert_eq(stat("/dev/null", &info), 0);
    cr_expect(S_ISCHR(info.st_mode));
    cr_expect_eq(files_in_folder(), 0);
}

/* A disk that fills up half way: the old file stays as it was, and nothing new is left. */
Test(image_png_write, a_failed_write_changes_nothing, .init = make_folder, .fini = remove_folder) {
    static uint8_t big[100000];
    unclip_error err = { 0 };
    char message[256];
    cr_assert_eq(write_text(path, "old", NULL), UNCLIP_OK);
    struct rlimit before, small = { 4096, 4096 };
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    const unclip_status status = uc_png_write_file(path, big, sizeof big, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_expect_eq(status, UNCLIP_ERR_WRITE);
    snprintf(message, sizeof message, "%s: File too large", path);
    cr_expect_str_eq(err.message, message);
    expect_content(path, "old");
    cr_expect_eq(files_in_folder(), 1);
}

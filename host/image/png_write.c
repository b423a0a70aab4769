/* png_write.c - pixels -> PNG, the last arrow of the flow: settings as text chunks behind the header, and the file onto
 * the disk so that a reader sees all of it or nothing. */
#include "png_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../engine/models/unicode.h"
#include "png_chunk.h"
#include "png_pixels.h"

/* ---- in memory --------------------------------------------------------------------------------------------------- */

enum { LONGEST_KEYWORD = 79, HEADER_END = UC_PNG_SIGNATURE + UC_PNG_CHUNK_FRAME + 13 };

static bool is_ascii(const char *text) {
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80) return false;
    }
    return true;
}

static unclip_status check_text(const uc_png_text *t, unclip_error *err) {
    const size_t key = strlen(t->keyword), length = strlen(t->text);
    bool printable = key >= 1 && key <= LONGEST_KEYWORD;
    for (size_t i = 0; i < key && printable; i++) printable = t->keyword[i] >= 0x20 && t->keyword[i] < 0x7F;
    if (!printable) {
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "a PNG keyword has 1 to %d printable ASCII characters",
                       (int)LONGEST_KEYWORD);
    }
    if (length > INT_MAX / 4) return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the PNG text \"%s\" is too long", t->keyword);
    for (size_t i = 0; i < length;) {
        uint32_t c;
        const size_t n = uc_utf8_decode((const uint8_t *)t->text + i, length - i, &c);
        if (n == 0) {
            return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the PNG text \"%s\" is not UTF-8 at byte %zu", t->keyword, i);
        }
        i += n;
    }
    return UNCLIP_OK;
}

/* keyword 0 text, or keyword 0 (flag, method, language, translated keyword: all empty) text */
static size_t chunk_length(const uc_png_text *t) {
    return strlen(t->keyword) + 1 + (is_ascii(t->text) ? 0 : 4) + strlen(t->text);
}

static uint8_t *put_text(uint8_t *out, const uc_png_text *t) {
    const size_t length = chunk_length(t), key = strlen(t->keyword) + 1;
    const bool ascii = is_ascii(t->text);
    uc_png_put32(out, (uint32_t)length);
    memcpy(out + 4, ascii ? "tEXt" : "iTXt", 4);
    memcpy(out + 8, t->keyword, key);
    if (!ascii) memset(out + 8 + key, 0, 4);
    const size_t text_length = strlen(t->text);
    memcpy(out + 8 + length - text_length, t->text, text_length);
    uc_png_put32(out + 8 + length, uc_png_crc(out + 4, length + 4));
    return out + UC_PNG_CHUNK_FRAME + length;
}

unclip_status uc_png_encode(uint8_t **png, size_t *size, const uint8_t *rgb, int width, int height,
                            const uc_png_text *texts, size_t text_count, unclip_error *err) {
    size_t extra = 0, plain_size = 0;
    *png = NULL;
    *size = 0;
    if (width < 1 || height < 1 || width > INT_MAX / 16 / height) {
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "a picture of %d x %d pixels cannot be a PNG file", width, height);
    }
    for (size_t i = 0; i < text_count; i++) {
        const unclip_status status = check_text(&texts[i], err);
        if (status) return status;
        extra += chunk_length(&texts[i]) + UC_PNG_CHUNK_FRAME;
    }
    uint8_t *plain = uc_png_pixels(rgb, width, height, &plain_size);
    uint8_t *whole = plain ? malloc(plain_size + extra) : NULL;
    if (!whole) {
        free(plain);
        return uc_fail_memory(err, plain_size + extra, "a PNG file");
    }
    memcpy(whole, plain, HEADER_END);
    uint8_t *at = whole + HEADER_END;
    for (size_t i = 0; i < text_count; i++) at = put_text(at, &texts[i]);
    memcpy(at, plain + HEADER_END, plain_size - HEADER_END);
    free(plain);
    *png = whole;
    *size = plain_size + extra;
    return UNCLIP_OK;
}

/* ---- on the disk ------------------------------------------------------------------------------------------------- */

static unclip_status fail_write(const char *path, int reason, unclip_error *err) {
    return uc_fail(err, UNCLIP_ERR_WRITE, "%s: %s", path, strerror(reason));
}

/* 0 or errno. */
static int write_all(int file, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        const ssize_t n = write(file, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Opens a file beside target that did not exist. Returns its descriptor, or -1 with errno. */
static int open_beside(const char *target, char *name, size_t capacity) {
    for (int attempt = 0; attempt < 1000; attempt++) {
        snprintf(name, capacity, "%s.%ld-%d.part", target, (long)getpid(), attempt);
        const int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST) return file;
    }
    return -1;
}

/* A rename is on the disk when its folder is. File systems that cannot force a folder say so. */
static int sync_folder(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = '\0';
    const int folder = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return errno == EACCES ? 0 : errno;
    const int reason = fsync(folder) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP ? 0 : errno;
    close(folder);
    return reason;
}

/* 0 or errno. mode is what the file had before, or 0. */
static int replace(const char *target, mode_t mode, const uint8_t *bytes, size_t size) {
    const size_t capacity = strlen(target) + 48;
    char *name = malloc(capacity);
    if (!name) return ENOMEM;
    const int file = open_beside(target, name, capacity);
    int reason = file < 0 ? errno : write_all(file, bytes, size);
    if (file >= 0) {
        if (!reason && mode && fchmod(file, mode) != 0) reason = errno;
        if (!reason && fsync(file) != 0) reason = errno;
        if (close(file) != 0 && !reason) reason = errno;
        if (!reason && rename(name, target) != 0) reason = errno;
        if (reason) unlink(name);
    }
    if (!reason) reason = sync_folder(name);
    free(name);
    return reason;
}

static int write_directly(const char *path, const uint8_t *bytes, size_t size) {
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return errno;
    int reason = write_all(file, bytes, size);
    if (close(file) != 0 && !reason) reason = errno;
    return reason;
}

unclip_status uc_png_write_file(const char *path, const uint8_t *png, size_t size, unclip_error *err) {
    struct stat before;
    const bool exists = stat(path, &before) == 0;
    if (exists && S_ISDIR(before.st_mode)) return fail_write(path, EISDIR, err);
    int reason;
    if (exists && !S_ISREG(before.st_mode)) {
        reason = write_directly(path, png, size);
    } else {
        char *followed = exists ? realpath(path, NULL) : NULL;
        reason = replace(followed ? followed : path, exists ? before.st_mode & 07777 : 0, png, size);
        free(followed);
    }
    return reason ? fail_write(path, reason, err) : UNCLIP_OK;
}

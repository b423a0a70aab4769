/* file.c - see file.h. Before the first arrow of the flow: how the bytes of a model come in. */
#define _POSIX_C_SOURCE 200809L
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *uc_path_join(const char *dir, const char *name) {
    const size_t a = strlen(dir), b = strlen(name);
    const int slash = a > 0 && dir[a - 1] != '/';
    char *path = malloc(a + b + 2);
    if (!path) return NULL;
    memcpy(path, dir, a);
    if (slash) path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    return path;
}

int uc_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int uc_directory_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

unclip_status uc_fail_errno(unclip_error *err, unclip_status status, const char *path, const char *what, int number) {
    char reason[128];
    if (strerror_r(number, reason, sizeof reason)) reason[0] = 0;
    return uc_fail(err, status, "%s: %s: %s", path, what, reason);
}

unclip_status uc_file_open(const char *path, int *descriptor, uint64_t *size, unclip_error *err) {
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return uc_fail_errno(err, UNCLIP_ERR_MODEL_MISSING, path, "cannot be opened", errno);
    if (fstat(fd, &st)) {
        const int number = errno;
        close(fd);
        return uc_fail_errno(err, UNCLIP_ERR_MODEL_MISSING, path, "cannot be examined", number);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return uc_fail(err, UNCLIP_ERR_MODEL_MISSING, "%s: is %s, expected a file", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    }
    *descriptor = fd;
    *size = (uint64_t)st.st_size;
    return UNCLIP_OK;
}

unclip_status uc_file_read_at(int descriptor, const char *path, uint64_t offset, void *out, size_t size,
                              unclip_error *err) {
    size_t done = 0;
    while (done < size) {
        const ssize_t n = pread(descriptor, (char *)out + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return uc_fail_errno(err, UNCLIP_ERR_MODEL_DATA, path, "cannot be read", errno);
        if (n == 0) return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: became shorter while it was read", path);
        done += (size_t)n;
    }
    return UNCLIP_OK;
}

unclip_status uc_file_read_text(const char *path, size_t limit, char **text, size_t *size, unclip_error *err) {
    int fd;
    uint64_t bytes;
    unclip_status status = uc_file_open(path, &fd, &bytes, err);
    if (status) return status;
    *text = NULL;
    if (bytes > limit) {
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: has %llu bytes, at most %zu are allowed", path,
                         (unsigned long long)bytes, limit);
    } else if (!(*text = malloc((size_t)bytes + 1))) {
        status = uc_fail_memory(err, (size_t)bytes + 1, path);
    } else {
        status = uc_file_read_at(fd, path, 0, *text, (size_t)bytes, err);
    }
    close(fd);
    if (status) {
        free(*text);
        *text = NULL;
        return status;
    }
    (*text)[bytes] = 0;
    *size = (size_t)bytes;
    return UNCLIP_OK;
}

const char *uc_printable(const char *text, char buf[UC_PRINTABLE]) {
    size_t n = 0;
    for (; text[n] && n < UC_PRINTABLE - 4; n++) {
        const unsigned char c = (unsigned char)text[n];
        buf[n] = c < 0x20 || c == 0x7F ? '?' : text[n];
    }
    if (text[n]) { /* cut: not inside a character, and visibly */
        while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--;
        memcpy(buf + n, "...", 3);
        n += 3;
    }
    buf[n] = 0;
    return buf;
}

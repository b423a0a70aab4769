/* safetensors_write.c - the writer of safetensors.h: what tests and conversions leave for the flow to read. */
#define _POSIX_C_SOURCE 200809L
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static uint64_t item_bytes(const uc_param *item) {
    uint64_t bytes = uc_dtype_size(item->dtype);
    for (int d = 0; d < item->rank; d++) bytes *= (uint64_t)item->dim[d];
    return bytes;
}

/* Wide types first, so that every tensor is aligned to its type; names within a type. */
static int by_width_and_name(const void *a, const void *b) {
    const uc_param *x = *(const uc_param *const *)a, *y = *(const uc_param *const *)b;
    const size_t width_x = uc_dtype_size(x->dtype), width_y = uc_dtype_size(y->dtype);
    if (width_x != width_y) return width_x > width_y ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The header as text, padded with spaces to a multiple of 8; NULL when memory runs out. */
static char *make_header(const uc_param *const *order, size_t count, const char *key, const char *value) {
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    if (key) json_object_set_new(json_object_get(header, "__metadata__"), key, json_string(value));
    uint64_t offset = 0;
    for (size_t i = 0; header && i < count; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < order[i]->rank; d++) json_array_append_new(shape, json_integer(order[i]->dim[d]));
        const uint64_t end = offset + item_bytes(order[i]);
        json_t *info = json_pack("{s:s,s:o,s:[I,I]}", "dtype", uc_dtype_name(order[i]->dtype), "shape", shape,
                                 "data_offsets", (json_int_t)offset, (json_int_t)end);
        if (!info || json_object_set_new(header, order[i]->name, info)) {
            json_decref(header);
            return NULL;
        }
        offset = end;
    }
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (!text) return NULL;
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    char *out = malloc(padded + 1);
    if (out) {
        memcpy(out, text, length);
        memset(out + length, ' ', padded - length);
        out[padded] = 0;
    }
    free(text);
    return out;
}

static int write_all(int fd, const void *data, uint64_t size) {
    const char *at = data;
    while (size > 0) {
        const ssize_t n = write(fd, at, size > (1u << 30) ? (1u << 30) : (size_t)size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        at += n;
        size -= (uint64_t)n;
    }
    return 0;
}

static int write_content(int fd, const char *header, const uc_param *const *order, size_t count) {
    const uint64_t length = strlen(header);
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)(length >> (8 * i));
    int number = write_all(fd, prefix, sizeof prefix);
    if (!number) number = write_all(fd, header, length);
    for (size_t i = 0; i < count && !number; i++) number = write_all(fd, order[i]->data, item_bytes(order[i]));
    if (!number && fsync(fd)) number = errno;
    return number;
}

/* The rename itself is on disk only once the folder is. */
static int sync_folder(const char *path) {
    char *folder = strdup(path);
    if (!folder) return ENOMEM;
    char *slash = strrchr(folder, '/');
    if (slash == folder) slash[1] = 0;
    else if (slash) *slash = 0;
    const int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0) return errno;
    const int number = fsync(fd) ? errno : 0;
    close(fd);
    return number;
}

/* Creates "PATH.PID.N.tmp", which did not exist before; its name goes to *temporary. */
static int create_beside(const char *path, char **temporary) {
    const size_t size = strlen(path) + 48;
    int fd = -1;
    char *name = malloc(size);
    if (!name) return errno = ENOMEM, -1;
    for (unsigned n = 0; n < 100 && fd < 0; n++) {
        snprintf(name, size, "%s.%ld.%u.tmp", path, (long)getpid(), n);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    const int number = errno;
    if (fd < 0) free(name);
    else *temporary = name;
    errno = number;
    return fd;
}

static unclip_status write_beside_and_rename(const char *path, const char *header, const uc_param *const *order,
                                             size_t count, unclip_error *err) {
    char *temporary = NULL;
    const int fd = create_beside(path, &temporary);
    if (fd < 0) return uc_fail_errno(err, UNCLIP_ERR_WRITE, path, "cannot be created", errno);
    int number = write_content(fd, header, order, count);
    if (close(fd) && !number) number = errno;
    if (!number && rename(temporary, path)) number = errno;
    if (number) unlink(temporary);
    else number = sync_folder(path);
    free(temporary);
    return number ? uc_fail_errno(err, UNCLIP_ERR_WRITE, path, "cannot be written", number) : UNCLIP_OK;
}

unclip_status uc_safetensors_write(const char *path, const uc_param *items, size_t count, unclip_error *err) {
    return uc_safetensors_write_with(path, items, count, NULL, NULL, err);
}

unclip_status uc_safetensors_write_with(const char *path, const uc_param *items, size_t count, const char *key,
                                        const char *value, unclip_error *err) {
    const uc_param **order = malloc((count + 1) * sizeof *order);
    if (!order) return uc_fail_memory(err, (count + 1) * sizeof *order, path);
    for (size_t i = 0; i < count; i++) order[i] = &items[i];
    if (count) qsort(order, count, sizeof *order, by_width_and_name);
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i + 1 < count && !status; i++)
        for (size_t j = i + 1; j < count && uc_dtype_size(order[j]->dtype) == uc_dtype_size(order[i]->dtype); j++) {
            if (strcmp(order[i]->name, order[j]->name)) break;
            status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s: two tensors are named %s", path, order[i]->name);
        }
    char *header = status ? NULL : make_header(order, count, key, value);
    if (!status && !header) status = uc_fail_memory(err, count, path);
    if (!status) status = write_beside_and_rename(path, header, order, count, err);
    free(header);
    free(order);
    return status;
}

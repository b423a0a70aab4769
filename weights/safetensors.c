/* safetensors.c - the reader of safetensors.h. Before the first arrow of the flow: every network's numbers come from here,
 * and the file may be hostile, so nothing in it is believed before it was checked. */
#define _POSIX_C_SOURCE 200809L
#include "safetensors.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "json.h"

/* Where one tensor lies, while the header is being checked. */
typedef struct extent {
    const char *name; /* in the JSON object */
    uc_dtype dtype;
    int rank;
    int64_t dim[8];
    uint64_t begin, end; /* from the end of the header */
} extent;

/* Everything that reading one header needs. */
typedef struct reading {
    const char *path;
    unclip_error *err;
    int fd;
    uint64_t file_size, header_size, data_size;
    json_t *header;
    size_t count;
    extent *extents;
} reading;

__attribute__((format(printf, 3, 4))) static unclip_status bad_tensor(const reading *r, const char *name,
                                                                      const char *format, ...) {
    char text[400], printable[UC_PRINTABLE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: tensor %s: %s", r->path, uc_printable(name, printable), text);
}

/* Reads the header's bytes and parses them. */
static unclip_status read_header(reading *r) {
    unsigned char prefix[8];
    if (r->file_size < 8)
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: has %llu bytes, a safetensors file has at least 8", r->path,
                       (unsigned long long)r->file_size);
    unclip_status status = uc_file_read_at(r->fd, r->path, 0, prefix, sizeof prefix, r->err);
    if (status) return status;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | prefix[i];
    if (length > UC_SAFETENSORS_HEADER_LIMIT)
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: header length is %llu, at most %d is allowed", r->path,
                       (unsigned long long)length, UC_SAFETENSORS_HEADER_LIMIT);
    if (length > r->file_size - 8)
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: header length is %llu, but only %llu bytes follow", r->path,
                       (unsigned long long)length, (unsigned long long)(r->file_size - 8));
    r->header_size = 8 + length;
    r->data_size = r->file_size - r->header_size;

    char *text = malloc((size_t)length + 1);
    if (!text) return uc_fail_memory(r->err, (size_t)length + 1, r->path);
    status = uc_file_read_at(r->fd, r->path, 8, text, (size_t)length, r->err);
    size_t used = (size_t)length;
    while (used > 0 && text[used - 1] == ' ') used--;
    if (!status && (used == 0 || text[0] != '{'))
        status = uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: the header does not begin with '{'", r->path);
    if (!status && text[used - 1] != '}')
        status = uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: the header does not end with '}' and spaces", r->path);
    if (!status) {
        json_error_t why;
        r->header = json_loadb(text, used, JSON_REJECT_DUPLICATES, &why);
        /* jansson's text may quote the file's bytes; the position says enough. */
        if (!r->header && json_error_code(&why) == json_error_out_of_memory)
            status = uc_fail_memory(r->err, used, r->path);
        else if (!r->header)
            status = uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: the header is not valid JSON at byte %d: %s", r->path,
                             why.position,
                             json_error_code(&why) == json_error_duplicate_key  ? "a key occurs twice"
                             : json_error_code(&why) == json_error_invalid_utf8 ? "not UTF-8"
                                                                                : "syntax error");
    }
    free(text);
    return status;
}

static unclip_status check_metadata(const reading *r, json_t *metadata) {
    const char *key;
    json_t *value;
    char printable[UC_PRINTABLE];
    if (!json_is_object(metadata))
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: __metadata__ is %s, expected an object", r->path,
                       uc_json_kind(metadata));
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return uc_fail(
        r->err, UNCLIP_ERR_MODEL_DATA, "%s: __metadata__: %s is %s, expected a string", r->path,
        uc_printable(key, printable), uc_json_kind(value));
    return UNCLIP_OK;
}

static unclip_status check_dtype(const reading *r, extent *e, json_t *value) {
    char printable[UC_PRINTABLE];
    if (!value) return bad_tensor(r, e->name, "dtype is missing");
    if (!json_is_string(value)) return bad_tensor(r, e->name, "dtype is %s, expected a string", uc_json_kind(value));
    for (int d = 0; d < UC_DTYPE_COUNT; d++)
        if (!strcmp(uc_dtype_name((uc_dtype)d), json_string_value(value))) {
            e->dtype = (uc_dtype)d;
            return UNCLIP_OK;
        }
    return bad_tensor(r, e->name, "dtype \"%s\" is not known", uc_printable(json_string_value(value), printable));
}

/* Fills rank and dim, and the number of bytes that they make. */
static unclip_status check_shape(const reading *r, extent *e, json_t *value, uint64_t *bytes) {
    if (!value) return bad_tensor(r, e->name, "shape is missing");
    if (!json_is_array(value)) return bad_tensor(r, e->name, "shape is %s, expected a list", uc_json_kind(value));
    const size_t most = sizeof e->dim / sizeof e->dim[0];
    if (json_array_size(value) > most)
        return bad_tensor(r, e->name, "has %zu dimensions, at most %zu are allowed", json_array_size(value), most);
    e->rank = (int)json_array_size(value);
    uint64_t total = uc_dtype_size(e->dtype);
    for (int i = 0; i < e->rank; i++) {
        const json_t *size = json_array_get(value, (size_t)i);
        if (!json_is_integer(size))
            return bad_tensor(r, e->name, "shape[%d] is %s, expected a non-negative integer", i, uc_json_kind(size));
        if (json_integer_value(size) < 0)
            return bad_tensor(r, e->name, "shape[%d] is %lld, expected a non-negative integer", i,
                              (long long)json_integer_value(size));
        e->dim[i] = json_integer_value(size);
        if (__builtin_mul_overflow(total, (uint64_t)e->dim[i], &total) || total > INT64_MAX)
            return bad_tensor(r, e->name, "the product of its sizes overflows");
    }
    *bytes = total;
    return UNCLIP_OK;
}

static unclip_status check_offsets(const reading *r, extent *e, json_t *value) {
    if (!value) return bad_tensor(r, e->name, "data_offsets is missing");
    if (!json_is_array(value))
        return bad_tensor(r, e->name, "data_offsets is %s, expected a list", uc_json_kind(value));
    if (json_array_size(value) != 2)
        return bad_tensor(r, e->name, "data_offsets has %zu numbers, expected 2", json_array_size(value));
    uint64_t offset[2];
    for (int i = 0; i < 2; i++) {
        const json_t *number = json_array_get(value, (size_t)i);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            return bad_tensor(r, e->name, "data_offsets[%d] is %s, expected a non-negative integer", i,
                              json_is_integer(number) ? "negative" : uc_json_kind(number));
        offset[i] = (uint64_t)json_integer_value(number);
    }
    e->begin = offset[0];
    e->end = offset[1];
    if (e->end < e->begin)
        return bad_tensor(r, e->name, "data_offsets end at %llu before they begin at %llu", (unsigned long long)e->end,
                          (unsigned long long)e->begin);
    if (e->end > r->data_size)
        return bad_tensor(r, e->name, "data_offsets end at %llu, but the file has only %llu bytes of data (truncated?)",
                          (unsigned long long)e->end, (unsigned long long)r->data_size);
    return UNCLIP_OK;
}

static unclip_status check_tensor(const reading *r, extent *e, json_t *info) {
    const char *key;
    json_t *value;
    char printable[UC_PRINTABLE];
    if (!e->name[0]) return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: a tensor has an empty name", r->path);
    for (const char *c = e->name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F) return bad_tensor(r, e->name, "a control character is in its name");
    if (!json_is_object(info)) return bad_tensor(r, e->name, "is %s, expected an object", uc_json_kind(info));
    json_object_foreach(info, key,
                        value) if (strcmp(key, "dtype") && strcmp(key, "shape") &&
                                   strcmp(key, "data_offsets")) return bad_tensor(r, e->name, "unknown key \"%s\"",
                                                                                  uc_printable(key, printable));
    uint64_t bytes = 0;
    unclip_status status = check_dtype(r, e, json_object_get(info, "dtype"));
    if (!status) status = check_shape(r, e, json_object_get(info, "shape"), &bytes);
    if (!status) status = check_offsets(r, e, json_object_get(info, "data_offsets"));
    if (!status && e->end - e->begin != bytes)
        status = bad_tensor(r, e->name, "has %llu bytes, its shape and dtype make %llu",
                            (unsigned long long)(e->end - e->begin), (unsigned long long)bytes);
    return status;
}

static int by_offset(const void *a, const void *b) {
    const extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const extent *)a)->name, ((const extent *)b)->name);
}

/* The tensors must tile the data: sorted by offset, each begins where the one before ends. */
static unclip_status check_tiling(const reading *r) {
    uint64_t expected = 0;
    if (r->count) qsort(r->extents, r->count, sizeof *r->extents, by_offset);
    for (size_t i = 0; i < r->count; i++) {
        const extent *e = &r->extents[i];
        if (e->begin != expected)
            return bad_tensor(r, e->name, "begins at %llu, expected %llu: the tensors %s", (unsigned long long)e->begin,
                              (unsigned long long)expected, e->begin < expected ? "overlap" : "leave a hole");
        expected = e->end;
    }
    if (expected != r->data_size)
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: %llu bytes follow the last tensor", r->path,
                       (unsigned long long)(r->data_size - expected));
    return UNCLIP_OK;
}

static unclip_status check_header(reading *r) {
    const char *key;
    json_t *value;
    r->extents = calloc(json_object_size(r->header) + 1, sizeof *r->extents);
    if (!r->extents) return uc_fail_memory(r->err, json_object_size(r->header) * sizeof *r->extents, r->path);
    json_object_foreach(r->header, key, value) {
        unclip_status status;
        if (!strcmp(key, "__metadata__")) {
            status = check_metadata(r, value);
        } else {
            r->extents[r->count].name = key;
            status = check_tensor(r, &r->extents[r->count++], value);
        }
        if (status) return status;
    }
    return check_tiling(r);
}

/* A tensor whose address in the mapping would not suit its type. */
static unclip_status copy_aligned(const reading *r, const extent *e, void **copy) {
    const size_t bytes = (size_t)(e->end - e->begin);
    *copy = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!*copy) return uc_fail_memory(r->err, bytes, r->path);
    return uc_file_read_at(r->fd, r->path, r->header_size + e->begin, *copy, bytes, r->err);
}

/* Maps the file and turns the extents into items. */
static unclip_status fill(const reading *r, uc_safetensors *file) {
    static const uint64_t empty = 0; /* what tensors without elements point to */
    size_t name_bytes = 1;
    if (r->count) qsort(r->extents, r->count, sizeof *r->extents, by_name);
    for (size_t i = 0; i < r->count; i++) name_bytes += strlen(r->extents[i].name) + 1;
    file->items = calloc(r->count + 1, sizeof *file->items);
    file->copies = calloc(r->count + 1, sizeof *file->copies);
    file->names = malloc(name_bytes);
    if (!file->items || !file->copies || !file->names)
        return uc_fail_memory(r->err, name_bytes + r->count * sizeof *file->items, r->path);
    if (r->data_size) {
        void *map = mmap(NULL, (size_t)r->file_size, PROT_READ, MAP_SHARED, r->fd, 0);
        if (map == MAP_FAILED) return uc_fail(r->err, UNCLIP_ERR_MEMORY, "%s: cannot be mapped", r->path);
        file->map = map;
        file->map_size = (size_t)r->file_size;
    }
    char *name = file->names;
    for (; file->count < r->count; file->count++) {
        const extent *e = &r->extents[file->count];
        uc_param *item = &file->items[file->count];
        *item = (uc_param){ .name = strcpy(name, e->name), .dtype = e->dtype, .rank = e->rank, .data = &empty };
        memcpy(item->dim, e->dim, sizeof item->dim);
        name += strlen(name) + 1;
        if (e->begin == e->end) continue;
        const uint64_t offset = r->header_size + e->begin;
        item->data = (const char *)file->map + offset;
        item->mapped = offset % uc_dtype_size(e->dtype) == 0;
        if (item->mapped) continue;
        const unclip_status status = copy_aligned(r, e, &file->copies[file->count]);
        if (status) return file->count++, status;
        item->data = file->copies[file->count];
    }
    return UNCLIP_OK;
}

static unclip_status remember_state(const reading *r, uc_safetensors *file) {
    struct stat st;
    if (fstat(r->fd, &st) || (uint64_t)st.st_size != r->file_size)
        return uc_fail(r->err, UNCLIP_ERR_MODEL_DATA, "%s: changed while it was opened", r->path);
    file->size = r->file_size;
    file->mtime_s = (int64_t)st.st_mtim.tv_sec;
    file->mtime_ns = (int64_t)st.st_mtim.tv_nsec;
    return UNCLIP_OK;
}

static unclip_status remember_metadata(const reading *r, uc_safetensors *file) {
    const json_t *metadata = json_object_get(r->header, "__metadata__");
    if (!metadata) return UNCLIP_OK;
    file->metadata = json_dumps(metadata, JSON_COMPACT);
    return file->metadata ? UNCLIP_OK : uc_fail_memory(r->err, 4096, r->path);
}

unclip_status uc_safetensors_open(uc_safetensors *file, const char *path, unclip_error *err) {
    *file = (uc_safetensors){ .descriptor = -1 };
    reading r = { .path = path, .err = err };
    unclip_status status = uc_file_open(path, &r.fd, &r.file_size, err);
    if (status) return status;
    file->path = strdup(path);
    if (!file->path) status = uc_fail_memory(err, strlen(path) + 1, path);
    if (!status) status = read_header(&r);
    if (!status) status = check_header(&r);
    if (!status) status = fill(&r, file);
    if (!status) status = remember_state(&r, file);
    if (!status) status = remember_metadata(&r, file);
    free(r.extents);
    json_decref(r.header);
    file->descriptor = r.fd;
    if (status) uc_safetensors_close(file);
    return status;
}

void uc_safetensors_close(uc_safetensors *file) {
    for (size_t i = 0; file->copies && i < file->count; i++) free(file->copies[i]);
    if (file->map) munmap(file->map, file->map_size);
    free(file->copies);
    free(file->items);
    free(file->names);
    free(file->metadata);
    free(file->path);
    if (file->descriptor >= 0) close(file->descriptor);
    *file = (uc_safetensors){ .descriptor = -1 };
}

unclip_status uc_safetensors_unchanged(const uc_safetensors *file, unclip_error *err) {
    struct stat st;
    if (fstat(file->descriptor, &st) || (uint64_t)st.st_size != file->size ||
        (int64_t)st.st_mtim.tv_sec != file->mtime_s || (int64_t)st.st_mtim.tv_nsec != file->mtime_ns)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: changed on disk since it was opened", file->path);
    return UNCLIP_OK;
}

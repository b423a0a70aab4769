/* files.c - see files.h. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "files.h"

#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char current[512];

const char *folder(void) {
    if (!current[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(current, sizeof current, "%s/unclip-weights-XXXXXX", base && base[0] ? base : P_tmpdir);
        cr_assert_not_null(mkdtemp(current), "cannot create a folder like %s", current);
    }
    return current;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

void remove_folder(void) {
    if (current[0]) nftw(current, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    current[0] = 0;
}

const char *path_in(const char *format, ...) {
    static char rotating[64][1024];
    static unsigned next;
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    char *path = rotating[next++ % 64];
    snprintf(path, sizeof rotating[0], "%s/%s", folder(), name);
    return path;
}

void make_folder(const char *path) { cr_assert(mkdir(path, 0777) == 0, "cannot create %s", path); }

void write_bytes(const char *path, const void *data, size_t size) {
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f, "cannot write %s", path);
    cr_assert_eq(fwrite(data, 1, size, f), size);
    cr_assert_eq(fclose(f), 0);
}

void write_text(const char *path, const char *text) { write_bytes(path, text, strlen(text)); }

void write_raw_tensors(const char *path, const char *header, size_t header_size, size_t data_size) {
    const size_t size = 8 + header_size + data_size;
    unsigned char *bytes = malloc(size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)header_size >> (8 * i));
    memcpy(bytes + 8, header, header_size);
    for (size_t i = 0; i < data_size; i++) bytes[8 + header_size + i] = (unsigned char)(i + 1);
    write_bytes(path, bytes, size);
    free(bytes);
}

void write_tensors(const char *path, const char *const *names) {
    static const float one = 1;
    uc_param items[16] = { 0 };
    size_t count = 0;
    unclip_error err = { 0 };
    for (; names[count]; count++)
        items[count] = (uc_param){ .name = names[count], .dtype = UC_F32, .rank = 1, .dim = { 1 }, .data = &one };
    cr_assert_eq(uc_safetensors_write(path, items, count, &err), UNCLIP_OK, "%s", err.message);
}

static void link_folder(const char *from, const char *to) {
    char source[1024], target[1024];
    struct stat st;
    DIR *dir = opendir(from);
    cr_assert_not_null(dir, "cannot list %s", from);
    make_folder(to);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        snprintf(source, sizeof source, "%s/%s", from, e->d_name);
        snprintf(target, sizeof target, "%s/%s", to, e->d_name);
        cr_assert_eq(stat(source, &st), 0);
        if (S_ISDIR(st.st_mode)) link_folder(source, target);
        else cr_assert_eq(symlink(source, target), 0, "cannot link %s", target);
    }
    closedir(dir);
}

void link_model(const char *path) { link_folder(UC_SOURCE_DIR "/weights/solids", path); }

void replace_text(const char *path, const char *text) {
    unlink(path);
    write_text(path, text);
}

void edit_json(const char *path, const char *key, const char *value) {
    json_error_t why;
    char first[128];
    json_t *root = json_load_file(path, 0, &why), *at = root;
    cr_assert_not_null(root, "%s: %s", path, why.text);
    const char *dot = strchr(key, '.');
    if (dot) {
        snprintf(first, sizeof first, "%.*s", (int)(dot - key), key);
        at = json_object_get(root, first);
        cr_assert(json_is_object(at), "%s has no object %s", path, first);
        key = dot + 1;
    }
    if (value) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, &why);
        cr_assert_not_null(parsed, "%s: %s", value, why.text);
        json_object_set_new(at, key, parsed);
    } else {
        cr_assert_eq(json_object_del(at, key), 0, "%s has no key %s", path, key);
    }
    char *text = json_dumps(root, JSON_INDENT(1));
    replace_text(path, text);
    free(text);
    json_decref(root);
}

/* text.c - the edges of the flow that are text: files in, JSON lines out. */
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_stream(FILE *stream, const char *name, size_t limit, char **data, size_t *size, cli_error *err) {
    size_t capacity = 1u << 16, used = 0;
    char *bytes = malloc(capacity);
    while (bytes) {
        used += fread(bytes + used, 1, capacity - used - 1, stream);
        if (used < capacity - 1 || used > limit) break;
        capacity *= 2;
        char *grown = realloc(bytes, capacity);
        if (!grown) free(bytes);
        bytes = grown;
    }
    if (!bytes) return cli_fail(err, CLI_TRY_AGAIN, "%s: out of memory", name);
    if (ferror(stream)) {
        int error_number = errno;
        free(bytes);
        return cli_fail(err, CLI_NO_INPUT, "%s: cannot read: %s", name, strerror(error_number));
    }
    if (used > limit) {
        free(bytes);
        return cli_fail(err, CLI_DATA, "%s: larger than %zu bytes", name, limit);
    }
    bytes[used] = '\0';
    *data = bytes;
    *size = used;
    return CLI_OK;
}

int cli_read_file(const char *path, size_t limit, char **data, size_t *size, cli_error *err) {
    if (strcmp(path, "-") == 0) return read_stream(stdin, "standard input", limit, data, size, err);
    FILE *stream = fopen(path, "rb");
    if (!stream) return cli_fail(err, CLI_NO_INPUT, "%s: cannot open: %s", path, strerror(errno));
    int code = read_stream(stream, path, limit, data, size, err);
    fclose(stream);
    return code;
}

static bool write_stream(FILE *stream, const char *data, size_t size) {
    return fwrite(data, 1, size, stream) == size && fflush(stream) == 0;
}

/* A new file beside target, with the permissions that one made by open would have. */
static FILE *open_beside(const char *target, char *name, size_t capacity) {
    snprintf(name, capacity, "%s.%ld.part", target, (long)getpid());
    const int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    FILE *stream = file < 0 ? NULL : fdopen(file, "wb");
    if (file >= 0 && !stream) close(file);
    return stream;
}

int cli_write_file(const char *path, const char *data, size_t size, cli_error *err) {
    struct stat about;
    const bool exists = stat(path, &about) == 0, special = exists && !S_ISREG(about.st_mode);
    char *followed = exists && !special ? realpath(path, NULL) : NULL;
    const char *target = followed ? followed : path;
    const size_t capacity = strlen(target) + 32;
    char *part = malloc(capacity);
    errno = part ? 0 : ENOMEM;
    FILE *stream = !part ? NULL : special ? fopen(path, "wb") : open_beside(target, part, capacity);
    bool written = stream && write_stream(stream, data, size) && (special || fsync(fileno(stream)) == 0);
    int reason = written ? 0 : errno ? errno : EIO;
    if (stream && fclose(stream) != 0 && written) reason = errno;
    if (!reason && !special && rename(part, target) != 0) reason = errno;
    if (reason && stream && !special) unlink(part);
    free(part);
    free(followed);
    return reason ? cli_fail_write(err, path, reason) : CLI_OK;
}

/* Length of the UTF-8 sequence at s, 0 when it is not one (overlong forms and surrogates included). */
static size_t sequence_length(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool outside = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || outside ? 0 : length;
}

void cli_write_json_string(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t length = sequence_length(s);
        if (length == 0) fputs("\\ufffd", stream);
        else if (*s == '"' || *s == '\\') fprintf(stream, "\\%c", *s);
        else if (*s < 0x20 || *s == 0x7f) fprintf(stream, "\\u%04x", *s);
        else fwrite(s, 1, length, stream);
        s += length ? length : 1;
    }
    fputc('"', stream);
}

int cli_flush_results(cli_error *err) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
    return cli_fail_write(err, "standard output", errno ? errno : EIO);
}

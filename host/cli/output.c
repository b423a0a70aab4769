/* output.c - the last arrow: pictures become files, with names decided and folders tried before any work is done. */
#include "output.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static char *join(const char *a, size_t a_length, const char *b) {
    char *text = malloc(a_length + strlen(b) + 1);
    if (!text) return NULL;
    memcpy(text, a, a_length);
    strcpy(text + a_length, b);
    return text;
}

int cli_output_plan(cli_output *output, const char *path, size_t count, bool stdout_is_pipe, cli_error *err) {
    *output = (cli_output){ .count = count };
    output->to_stdout = path ? strcmp(path, "-") == 0 : stdout_is_pipe && count == 1;
    if (output->to_stdout) {
        if (count == 1) return CLI_OK;
        return cli_fail(err, CLI_USAGE, "--output -: standard output takes one picture, not %zu; give a folder, DIR/",
                        count);
    }
    if (!path) path = "out.png";
    size_t length = strlen(path);
    if (path[length - 1] == '/') output->prefix = join(path, length, "");
    else if (is_folder(path)) output->prefix = join(path, length, "/");
    else if (count == 1) output->path = join(path, length, "");
    else {
        bool png = length > 4 && strcasecmp(path + length - 4, ".png") == 0 && path[length - 5] != '/';
        output->prefix = join(path, png ? length - 4 : length, "-");
    }
    if (output->path || output->prefix) return CLI_OK;
    return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
}

void cli_output_free(cli_output *output) {
    free(output->path);
    free(output->prefix);
    *output = (cli_output){ 0 };
}

char *cli_output_name(const cli_output *output, size_t index) {
    if (output->path) return join(output->path, strlen(output->path), "");
    char number[32];
    snprintf(number, sizeof number, "%04zu.png", index);
    return join(output->prefix, strlen(output->prefix), number);
}

/* ---- before the work --------------------------------------------------------------------------------------------- */

/* Permission bits do not tell all (read-only mounts, /proc, quotas), so a file is really made, and removed. */
static int try_folder(const char *path, cli_error *err) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = length ? join(path, length, "") : join(".", 1, "");
    char *probe = join(path, length, ".unclip-cuda-XXXXXX");
    int code = CLI_OK;
    if (!folder || !probe) code = cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    else if (!is_folder(folder)) code = cli_fail(err, CLI_CANT_WRITE, "%s: there is no folder %s", path, folder);
    else {
        int file = mkstemp(probe);
        if (file < 0) code = cli_fail_write(err, path, errno);
        else {
            close(file);
            unlink(probe);
        }
    }
    free(folder);
    free(probe);
    return code;
}

int cli_check_writable(const char *path, cli_error *err) {
    struct stat about;
    if (stat(path, &about) != 0) {
        if (errno != ENOENT) return cli_fail_write(err, path, errno);
        return try_folder(path, err);
    }
    if (S_ISDIR(about.st_mode)) return cli_fail_write(err, path, EISDIR);
    if (access(path, W_OK) != 0) return cli_fail_write(err, path, errno);
    return S_ISREG(about.st_mode) ? try_folder(path, err) : CLI_OK;
}

int cli_output_check(const cli_output *output, cli_error *err) {
    if (output->to_stdout) {
        if (isatty(STDOUT_FILENO)) {
            return cli_fail(err, CLI_USAGE, "--output -: standard output is a terminal; redirect it or name a file");
        }
        return CLI_OK;
    }
    char *last = cli_output_name(output, output->count - 1);
    if (!last) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    int code = cli_check_writable(last, err);
    free(last);
    return code;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int write_stream(const unclip_image *image, FILE *stream, const char *name, cli_error *err) {
    unclip_error error = { .status = UNCLIP_OK };
    uint8_t *png = NULL;
    size_t size = 0;
    unclip_status status = unclip_image_encode_png(image, &png, &size, &error);
    if (status) return cli_fail_status(err, status, &error);
    errno = 0;
    bool written = fwrite(png, 1, size, stream) == size && fflush(stream) == 0;
    int error_number = errno ? errno : EIO;
    unclip_free(png);
    return written ? CLI_OK : cli_fail_write(err, name, error_number);
}

int cli_write_image_to_stdout(const unclip_image *image, cli_error *err) {
    return write_stream(image, stdout, "standard output", err);
}

int cli_write_image(const unclip_image *image, const char *path, cli_error *err) {
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        FILE *stream = fopen(path, "wb");
        if (!stream) return cli_fail_write(err, path, errno);
        int code = write_stream(image, stream, path, err);
        if (fclose(stream) != 0 && !code) code = cli_fail_write(err, path, errno);
        return code;
    }
    unclip_error error = { .status = UNCLIP_OK };
    errno = 0;
    unclip_status status = unclip_image_write_png(image, path, &error);
    if (!status) return CLI_OK;
    bool full = status == UNCLIP_ERR_WRITE && (errno == ENOSPC || errno == EDQUOT);
    cli_fail_status(err, status, &error);
    if (full) err->code = CLI_TRY_AGAIN;
    return err->code;
}

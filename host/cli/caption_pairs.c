/* caption_pairs.c - see caption_pairs.h. */
#include "caption_pairs.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { LARGEST_LIST = 256 << 20 };

/* The list's folder and the path, unless that stands for itself. */
static char *path_beside(const char *list, const char *path) {
    const char *slash = strrchr(list, '/');
    const size_t folder = path[0] == '/' || !slash ? 0 : (size_t)(slash - list) + 1, length = strlen(path);
    char *out = malloc(folder + length + 1);
    if (!out) return NULL;
    memcpy(out, list, folder);
    memcpy(out + folder, path, length + 1);
    return out;
}

static int add_pair(cli_caption_pairs *pairs, const char *list, char *caption, const char *image, cli_error *err) {
    char **captions = realloc(pairs->captions, (pairs->count + 1) * sizeof *captions);
    if (captions) pairs->captions = captions;
    char **images = realloc(pairs->images, (pairs->count + 1) * sizeof *images);
    if (images) pairs->images = images;
    char *path = path_beside(list, image);
    if (!captions || !images || !caption || !path) {
        free(caption);
        free(path);
        return cli_fail(err, CLI_TRY_AGAIN, "out of memory while reading pairs");
    }
    pairs->captions[pairs->count] = caption;
    pairs->images[pairs->count++] = path;
    return CLI_OK;
}

static int parse_line(cli_caption_pairs *pairs, const char *list, size_t number, const char *line, size_t length,
                      cli_error *err) {
    if (line[0] == '{') {
        json_t *root = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
        const char *caption = json_string_value(json_object_get(root, "caption"));
        const char *image = json_string_value(json_object_get(root, "image"));
        const int code = caption && image && *image
                             ? add_pair(pairs, list, strdup(caption), image, err)
                             : cli_fail(err, CLI_DATA, "%s: line %zu is not a JSON object with the texts "
                                        "\"caption\" and \"image\"", list, number);
        json_decref(root);
        return code;
    }
    const char *tab = memchr(line, '\t', length);
    const size_t caption = tab ? (size_t)(tab - line) : 0, image = tab ? length - caption - 1 : 0;
    if (!image)
        return cli_fail(err, CLI_DATA, "%s: line %zu is neither a JSON object nor caption, tab, path", list, number);
    char *path = strndup(tab + 1, image);
    const int code = path ? add_pair(pairs, list, strndup(line, caption), path, err)
                          : cli_fail(err, CLI_TRY_AGAIN, "out of memory while reading pairs");
    free(path);
    return code;
}

int cli_caption_pairs_read(cli_caption_pairs *pairs, const char *path, cli_error *err) {
    char *text = NULL;
    size_t size = 0, number = 0;
    *pairs = (cli_caption_pairs){ 0 };
    int code = cli_read_file(path, LARGEST_LIST, &text, &size, err);
    if (code) return code;
    if (strlen(text) != size) code = cli_fail(err, CLI_DATA, "%s: a zero byte in the list", path);
    for (const char *line = text; !code && *line;) {
        const size_t span = strcspn(line, "\n"), length = span && line[span - 1] == '\r' ? span - 1 : span;
        number++;
        if (length) code = parse_line(pairs, path, number, line, length, err);
        line += span + (line[span] == '\n');
    }
    free(text);
    if (!code && !pairs->count) code = cli_fail(err, CLI_DATA, "%s: no pair in it", path);
    if (code) cli_caption_pairs_free(pairs);
    return code;
}

void cli_caption_pairs_free(cli_caption_pairs *pairs) {
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->captions[i]);
        free(pairs->images[i]);
    }
    free(pairs->captions);
    free(pairs->images);
    *pairs = (cli_caption_pairs){ 0 };
}

/* prompts.c - where the flow begins: prompts. */
#include "prompts.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

enum { LARGEST_TEXT = 64 << 20 };

int cli_prompts_add(cli_prompts *prompts, const char *text, size_t length, cli_error *err) {
    const char **grown = realloc(prompts->items, (prompts->count + 1) * sizeof *grown);
    if (grown) prompts->items = grown;
    char *copy = grown ? strndup(text, length) : NULL;
    if (!copy) return cli_fail(err, CLI_TRY_AGAIN, "out of memory while reading prompts");
    grown[prompts->count++] = copy;
    return CLI_OK;
}

/* A prompt is a C string further on: a zero byte would silently cut it. */
static int read_text(const char *path, char **text, size_t *size, cli_error *err) {
    int code = cli_read_file(path, LARGEST_TEXT, text, size, err);
    if (code || strlen(*text) == *size) return code;
    free(*text);
    return cli_fail(err, CLI_DATA, "%s: a zero byte in a prompt", strcmp(path, "-") == 0 ? "standard input" : path);
}

static int add_stdin(cli_prompts *prompts, cli_error *err) {
    char *text = NULL;
    size_t size = 0;
    int code = read_text("-", &text, &size, err);
    if (code) return code;
    if (size && text[size - 1] == '\n') size--;
    if (size && text[size - 1] == '\r') size--;
    code = cli_prompts_add(prompts, text, size, err);
    free(text);
    return code;
}

int cli_prompts_add_lines(cli_prompts *prompts, const char *text, cli_error *err) {
    int code = CLI_OK;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) text += 3; /* the byte order mark of some editors */
    while (!code && *text) {
        size_t span = strcspn(text, "\n");
        size_t length = span && text[span - 1] == '\r' ? span - 1 : span;
        if (length) code = cli_prompts_add(prompts, text, length, err);
        text += span + (text[span] == '\n');
    }
    return code;
}

int cli_prompts_gather(cli_prompts *prompts, const cli_args *args, cli_error *err) {
    const cli_list *given = &args->flag[CLI_FLAG_PROMPT].list, *files = &args->flag[CLI_FLAG_PROMPT_FILE].list;
    *prompts = (cli_prompts){ 0 };
    int code = CLI_OK, stdin_uses = 0;
    for (size_t i = 0; i < given->count; i++) stdin_uses += strcmp(given->items[i], "-") == 0;
    for (size_t i = 0; i < files->count; i++) stdin_uses += strcmp(files->items[i], "-") == 0;
    if (stdin_uses > 1) return cli_fail(err, CLI_USAGE, "--prompt: standard input (-) can be read once only");
    for (size_t i = 0; !code && i < given->count; i++) {
        const char *text = given->items[i];
        code = strcmp(text, "-") == 0 ? add_stdin(prompts, err) : cli_prompts_add(prompts, text, strlen(text), err);
    }
    for (size_t i = 0; !code && i < files->count; i++) {
        char *text = NULL;
        size_t size = 0, before = prompts->count;
        code = read_text(files->items[i], &text, &size, err);
        if (code) break;
        code = cli_prompts_add_lines(prompts, text, err);
        if (!code && prompts->count == before) code = cli_fail(err, CLI_DATA, "%s: no prompt in it", files->items[i]);
        free(text);
    }
    if (code) cli_prompts_free(prompts);
    return code;
}

void cli_prompts_free(cli_prompts *prompts) {
    for (size_t i = 0; i < prompts->count; i++) free((void *)(uintptr_t)prompts->items[i]);
    free(prompts->items);
    *prompts = (cli_prompts){ 0 };
}

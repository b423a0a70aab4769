/* labels.c - see labels.h. */
#include "labels.h"

#include <stdlib.h>
#include <string.h>

static int add(cli_labels *labels, const char *text, size_t length, cli_error *err) {
    if (!length) return cli_fail(err, CLI_USAGE, "--labels: label %zu is empty", labels->count + 1);
    unclip_label *grown = realloc(labels->items, (labels->count + 1) * sizeof *grown);
    if (grown) labels->items = grown;
    char *copy = grown ? strndup(text, length) : NULL;
    if (!copy) return cli_fail(err, CLI_TRY_AGAIN, "out of memory while reading labels");
    grown[labels->count++] = (unclip_label){ .text = copy };
    return CLI_OK;
}

int cli_labels_split(cli_labels *labels, const cli_list *given, cli_error *err) {
    *labels = (cli_labels){ 0 };
    int code = CLI_OK;
    for (size_t i = 0; given->count > 1 && i < given->count && !code; i++)
        code = add(labels, given->items[i], strlen(given->items[i]), err);
    const char *at = given->count == 1 ? given->items[0] : NULL;
    while (at && !code) {
        const size_t span = strcspn(at, ",");
        const char *begin = at + strspn(at, " \t");
        size_t length = begin < at + span ? (size_t)(at + span - begin) : 0;
        while (length && (begin[length - 1] == ' ' || begin[length - 1] == '\t')) length--;
        code = add(labels, begin, length, err);
        at = at[span] ? at + span + 1 : NULL;
    }
    if (code) cli_labels_free(labels);
    return code;
}

void cli_labels_free(cli_labels *labels) {
    for (size_t i = 0; i < labels->count; i++) free((void *)(uintptr_t)labels->items[i].text);
    free(labels->items);
    *labels = (cli_labels){ 0 };
}

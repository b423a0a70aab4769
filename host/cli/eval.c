/* eval.c - beside the flow: how good a model is; the first word says what is measured. */
#include "eval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "text.h"

static const struct eval_kind {
    const char *name;
    int (*run)(const cli_args *args, cli_log *log, cli_error *err);
} kinds[] = {
    { "prior", cli_eval_prior },
    { "pairs", cli_eval_pairs },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

int cli_eval_print(json_t *result, cli_error *err) {
    char *text = json_dumps(result, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(result);
    if (!text) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    puts(text);
    free(text);
    return cli_flush_results(err);
}

int cli_eval(const cli_args *args, cli_log *log, cli_error *err) {
    const char *word = args->operands.count ? args->operands.items[0] : NULL;
    for (size_t i = 0; word && i < KINDS; i++)
        if (strcmp(word, kinds[i].name) == 0) return kinds[i].run(args, log, err);
    char names[128] = "";
    for (size_t i = 0; i < KINDS; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", kinds[i].name);
    if (!word) return cli_fail(err, CLI_USAGE, "eval: say what is measured: %s", names);
    return cli_fail(err, CLI_USAGE, "eval: \"%.80s\" is unknown; known are: %s", word, names);
}

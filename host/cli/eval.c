/* eval.c - see eval.h. */
#include "eval.h"

#include <stdio.h>
#include <stdlib.h>

#include "signals.h"
#include "text.h"

int cli_eval_progress(void *user, const unclip_progress *progress) {
    (void)user;
    (void)progress;
    return cli_signal_received() != 0;
}

int cli_eval_print(json_t *result, cli_error *err) {
    char *text = json_dumps(result, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(result);
    if (!text) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    puts(text);
    free(text);
    return cli_flush_results(err);
}

/* eval.h - what the kinds of `unclip-cuda eval KIND` have in common. One file each: eval_prior.c, eval_pairs.c. */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include <jansson.h>

#include "exit.h"

/* unclip_progress_fn: stops when a signal came. */
int cli_eval_progress(void *user, const unclip_progress *progress);

/* Prints a result, which it frees, on standard output. */
int cli_eval_print(json_t *result, cli_error *err);

#endif

/* eval.h - the kinds of `unclip-cuda eval KIND`: what is measured about a model. One file each. */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include <jansson.h>

#include "args.h"
#include "log.h"

/* Priors over captions and their pictures. */
int cli_eval_prior(const cli_args *args, cli_log *log, cli_error *err);

/* Pictures that become pairs and are drawn again. */
int cli_eval_pairs(const cli_args *args, cli_log *log, cli_error *err);

/* Prints a result, which it frees, on standard output. */
int cli_eval_print(json_t *result, cli_error *err);

#endif

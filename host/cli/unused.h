/* unused.h - flags that would do nothing, which are refused or said: nobody gives one without wanting what it does. Only
 * of the command line; the environment may hold flags for a whole session. */
#ifndef CLI_UNUSED_H
#define CLI_UNUSED_H

#include "args.h"
#include "log.h"

/* Of the prior: which of its flags the chosen one reads, if any runs at all. */
int cli_refuse_unused_prior(const cli_args *args, const unclip_generate_options *options, cli_error *err);

/* Of inversion, when no picture is inverted. */
int cli_refuse_unused_inversion(const cli_args *args, bool inverts, cli_error *err);

/* What only the model could tell: stages that did not run, and --eta where none is sampled by DDIM. parameters_json: of a
 * picture of the run. */
void cli_warn_of_unused(const cli_args *args, const char *parameters_json, cli_log *log);

#endif

/* commands.h - one function per subcommand. Each returns the exit code and, unless that is 0, fills *err. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "args.h"
#include "log.h"

int cli_generate(const cli_args *args, cli_log *log, cli_error *err);
int cli_vary(const cli_args *args, cli_log *log, cli_error *err);
int cli_interp(const cli_args *args, cli_log *log, cli_error *err);
int cli_textdiff(const cli_args *args, cli_log *log, cli_error *err);
int cli_probe(const cli_args *args, cli_log *log, cli_error *err);
int cli_fit_pca(const cli_args *args, cli_log *log, cli_error *err);
int cli_upscale(const cli_args *args, cli_log *log, cli_error *err);
int cli_embed(const cli_args *args, cli_log *log, cli_error *err);
int cli_eval_prior(const cli_args *args, cli_log *log, cli_error *err);
int cli_eval_pairs(const cli_args *args, cli_log *log, cli_error *err);
int cli_inspect(const cli_args *args, cli_log *log, cli_error *err);
int cli_devices(const cli_args *args, cli_log *log, cli_error *err);

/* --estimate: the table of one launch, and of the inversions before it unless that is NULL. */
int cli_print_estimate(const unclip_estimate *inversion, const unclip_estimate *drawing, cli_error *err);

#endif

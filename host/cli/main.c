/* main.c - unclip-cuda: reads the command line, runs one subcommand, prints the one message of a failure. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "help.h"
#include "signals.h"
#include "text.h"

extern char **environ;

static int run_command(const cli_args *args, cli_log *log, cli_error *err) {
    switch (args->command) {
    case CLI_VARY: return cli_vary(args, log, err);
    case CLI_INTERP: return cli_interp(args, log, err);
    case CLI_TEXTDIFF: return cli_textdiff(args, log, err);
    case CLI_PROBE: return cli_probe(args, log, err);
    case CLI_FIT_PCA: return cli_fit_pca(args, log, err);
    case CLI_UPSCALE: return cli_upscale(args, log, err);
    case CLI_EMBED: return cli_embed(args, log, err);
    case CLI_EVAL: return cli_fail(err, CLI_USAGE, "eval: say what is measured: eval prior, eval pairs");
    case CLI_EVAL_PRIOR: return cli_eval_prior(args, log, err);
    case CLI_EVAL_PAIRS: return cli_eval_pairs(args, log, err);
    case CLI_INSPECT: return cli_inspect(args, log, err);
    case CLI_DEVICES: return cli_devices(args, log, err);
    default: return cli_generate(args, log, err);
    }
}

/* --help, --version and --completion: texts that need no model. */
static bool answer_text(const cli_args *args, int argc, int *code, cli_error *err) {
    if (args->flag[CLI_FLAG_HELP].on) {
        bool named = argc > 2 || args->command != CLI_GENERATE;
        cli_print_help(stdout, args->command, !named);
    } else if (args->flag[CLI_FLAG_VERSION].on) {
        printf("unclip-cuda %s\n", unclip_version());
    } else if (args->flag[CLI_FLAG_COMPLETION].given) {
        cli_print_completion(stdout, args->flag[CLI_FLAG_COMPLETION].text);
    } else {
        return false;
    }
    *code = cli_flush_results(err);
    return true;
}

/* OpenMP threads that spin while they wait make a picture eight times slower when something else wants the processor.
 * The runtime reads its policy when it is loaded, before main, so the program starts itself once more. */
static void wait_without_spinning(char *argv[]) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
}

int main(int argc, char *argv[]) {
    wait_without_spinning(argv);
    cli_args args;
    cli_log log;
    cli_error err = { 0 };
    int code = cli_args_parse(&args, argc, argv, environ, &err);
    cli_log_init(&log, stderr, code ? NULL : &args);
    if (!code && !answer_text(&args, argc, &code, &err)) {
        cli_signals_install();
        code = run_command(&args, &log, &err);
    }
    if (code) cli_say(&log, CLI_ERROR, "%s", err.message);
    if (code == CLI_USAGE && !log.json) cli_say(&log, CLI_INFO, "unclip-cuda --help lists subcommands and flags");
    cli_args_free(&args);
    return code;
}

/* unused.c - see unused.h. */
#include "unused.h"

#include <jansson.h>
#include <string.h>

enum { MOST_IDS = 12, END = -1 };

/* The first of the flags that the command line gives, or END. */
static int first_typed(const cli_args *args, const int *ids) {
    while (*ids != END && !args->flag[*ids].typed) ids++;
    return *ids;
}

static int refuse(const cli_args *args, const int *ids, const char *why, cli_error *err) {
    const int id = first_typed(args, ids);
    return id == END ? CLI_OK : cli_fail(err, CLI_USAGE, "--%s would do nothing: %s", cli_flags[id].name, why);
}

int cli_refuse_unused_prior(const cli_args *args, const unclip_generate_options *options, cli_error *err) {
    static const int diffusion[] = { CLI_FLAG_PRIOR_STEPS, CLI_FLAG_PRIOR_SAMPLER, CLI_FLAG_PRIOR_RESPACING, END };
    static const int ar[] = { CLI_FLAG_PRIOR_TEMPERATURE, CLI_FLAG_PRIOR_DOT_PERCENTILE, END };
    static const int both[] = { CLI_FLAG_PRIOR, CLI_FLAG_PRIOR_CFG_SCALE, CLI_FLAG_PRIOR_CANDIDATES, END };
    const char *none = options->prior_input ? "--prior-input leaves the prior out"
                     : options->condition   ? "--condition leaves the prior out"
                                            : NULL;
    int code = CLI_OK;
    if (none) code = refuse(args, both, none, err);
    if (!code && (none || options->prior == UNCLIP_PRIOR_AUTOREGRESSIVE))
        code = refuse(args, diffusion, none ? none : "--prior ar takes a step a token", err);
    if (!code && (none || options->prior == UNCLIP_PRIOR_DIFFUSION))
        code = refuse(args, ar, none ? none : "it is for --prior ar", err);
    return code;
}

int cli_refuse_unused_inversion(const cli_args *args, bool inverts, cli_error *err) {
    static const int ids[] = { CLI_FLAG_INVERT_STEPS, CLI_FLAG_INVERT_CFG_SCALE, CLI_FLAG_INVERT_REFINEMENTS, END };
    if (inverts) return CLI_OK;
    return refuse(args, ids, "no picture is inverted here (new noise needs no inversion, a pair file has had it)", err);
}

void cli_warn_of_unused(const cli_args *args, const char *parameters_json, cli_log *log) {
    static const struct { const char *stage; int ids[MOST_IDS]; } stages[] = {
        { "sr256", { CLI_FLAG_SR256_STEPS, CLI_FLAG_SR256_SAMPLER, CLI_FLAG_SR256_RESPACING,
                     CLI_FLAG_SR256_THRESHOLD, END } },
        { "sr1024", { CLI_FLAG_SR1024_STEPS, CLI_FLAG_SR1024_SAMPLER, CLI_FLAG_SR1024_RESPACING,
                      CLI_FLAG_SR1024_THRESHOLD, END } },
    };
    json_t *root = json_loads(parameters_json, 0, NULL), *ran = json_object_get(root, "stages"), *stage;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        const int id = first_typed(args, stages[i].ids);
        if (id == END || json_object_get(ran, stages[i].stage)) continue;
        cli_say(log, CLI_WARNING, "--%s did nothing: no %s ran", cli_flags[id].name, stages[i].stage);
    }
    bool ddim = false;
    const char *name;
    json_object_foreach(ran, name, stage) {
        const char *sampler = json_string_value(json_object_get(stage, "sampler"));
        ddim = ddim || (sampler && strcmp(sampler, "ddim") == 0);
    }
    if (args->flag[CLI_FLAG_ETA].typed && !ddim)
        cli_say(log, CLI_WARNING, "--eta did nothing: no stage was sampled by ddim");
    json_decref(root);
}

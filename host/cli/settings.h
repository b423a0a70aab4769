/* settings.h - the library's options from flags, presets and the settings stored in a picture. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "args.h"

/* What --params-from read out of a picture. Texts belong to it. */
typedef struct cli_replay {
    void *json;         /* keeps the texts alive */
    const char *prompt; /* NULL when there is none */
    bool has_seed;
    uint64_t seed;
    unclip_type type;
    int size, prior_candidates;
    bool has_prior;
    unclip_prior prior;
    float prior_temperature, prior_dot_low, prior_dot_high;
    unclip_condition condition;
    bool given_embedding; /* it was drawn from --prior-input, which no picture keeps */
    bool has_rng;
    unclip_rng rng;
    unclip_stage_options stage[UNCLIP_STAGE_COUNT];
    float threshold[UNCLIP_STAGE_COUNT];
} cli_replay;

/* The JSON that is stored in the PNG file at path (unclip_png_parameters), to be given to unclip_free. */
int cli_stored_settings(char **json, const char *path, cli_error *err);

/* The settings in the PNG file at path. */
int cli_replay_load(cli_replay *replay, const char *path, cli_error *err);

/* The same from unclip_png_parameters' text; name is for messages. */
int cli_replay_parse(cli_replay *replay, const char *json, const char *name, cli_error *err);
void cli_replay_free(cli_replay *replay);

/* The index of --sampling. */
enum { CLI_SAMPLING_FAST, CLI_SAMPLING_DEFAULT, CLI_SAMPLING_PAPER };

/* Fills everything but prompts and callbacks. A flag beats a preset, a preset beats the replay (NULL for none), and what
 * nobody says stays the model's default. */
int cli_settings_fill(unclip_generate_options *options, const cli_args *args, const cli_replay *replay, cli_error *err);

/* The inversion's options from its flags. */
unclip_invert_options cli_inversion(const cli_args *args);

#endif

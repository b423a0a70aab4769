/* settings.c - beside the flow: with which steps, guidance, samplers and seed each arrow runs. */
#include "settings.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "text.h"

/* ---- what a picture says ------------------------------------------------------------------------------------------ */

int cli_stored_settings(char **json, const char *path, cli_error *err) {
    char *png = NULL;
    size_t size = 0;
    *json = NULL;
    const int code = cli_read_file(path, CLI_LARGEST_PNG, &png, &size, err);
    if (code) return code;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_png_parameters((const uint8_t *)png, size, json, &error);
    free(png);
    return status ? cli_fail(err, cli_exit_code(status), "%s: %s", path, error.message) : CLI_OK;
}

int cli_replay_load(cli_replay *replay, const char *path, cli_error *err) {
    *replay = (cli_replay){ 0 };
    char *json = NULL;
    int code = cli_stored_settings(&json, path, err);
    if (!code) code = cli_replay_parse(replay, json, path, err);
    unclip_free(json);
    return code;
}

static int bad_value(cli_error *err, const char *name, const char *key) {
    return cli_fail(err, CLI_DATA, "%s: the stored setting \"%s\" has an unknown value", name, key);
}

/* A number too large for JSON's usual integers is kept as a string. */
static bool read_seed(const json_t *value, uint64_t *seed) {
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *seed = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    char *end = NULL;
    if (!text || *text < '0' || *text > '9') return false;
    *seed = strtoull(text, &end, 10);
    return *end == '\0';
}

static unclip_sampler sampler_of_name(const char *name) {
    for (int i = UNCLIP_SAMPLER_DEFAULT; name && i <= UNCLIP_SAMPLER_DPMPP_2M; i++) {
        if (strcmp(unclip_sampler_name((unclip_sampler)i), name) == 0) return (unclip_sampler)i;
    }
    return UNCLIP_SAMPLER_DEFAULT;
}

/* As people write it, 0 is none; in the library's options 0 is what the model says. */
static float threshold_option(double ratio) { return ratio > 0 ? (float)ratio : -1; }

static void read_stage(unclip_stage_options *stage, float *threshold, const json_t *from) {
    const json_t *value = NULL;
    if (json_is_integer(value = json_object_get(from, "steps"))) stage->steps = (int)json_integer_value(value);
    if (json_is_number(value = json_object_get(from, "guidance"))) stage->guidance = (float)json_number_value(value);
    if (json_is_number(value = json_object_get(from, "eta"))) stage->eta = (float)json_number_value(value);
    if (json_is_number(value = json_object_get(from, "threshold")))
        *threshold = threshold_option(json_number_value(value));
    stage->sampler = sampler_of_name(json_string_value(json_object_get(from, "sampler")));
    stage->respacing = json_string_value(json_object_get(from, "respacing"));
}

/* The autoregressive prior's settings; pictures of the diffusion prior have none. The bad one's name, or NULL. */
static const char *read_prior(cli_replay *replay, const json_t *root) {
    const json_t *prior = json_object_get(root, "prior");
    if (!prior) return NULL;
    const char *name = json_string_value(prior);
    const int index = name ? cli_choice_index(cli_flags[CLI_FLAG_PRIOR].choices, name, strlen(name)) : -1;
    const json_t *temperature = json_object_get(root, "prior_temperature");
    const json_t *dot = json_object_get(root, "prior_dot_percentile");
    const json_t *low = json_array_get(dot, 0), *high = json_array_get(dot, 1);
    if (index < 0) return "prior";
    if (!json_is_number(temperature)) return "prior_temperature";
    if (!json_is_number(low) || !json_is_number(high)) return "prior_dot_percentile";
    replay->has_prior = true;
    replay->prior = (unclip_prior)index;
    replay->prior_temperature = (float)json_number_value(temperature);
    replay->prior_dot_low = (float)json_number_value(low);
    replay->prior_dot_high = (float)json_number_value(high);
    return NULL;
}

int cli_replay_parse(cli_replay *replay, const char *json, const char *name, cli_error *err) {
    *replay = (cli_replay){ 0 };
    unclip_generate_options defaults;
    unclip_generate_options_init(&defaults);
    memcpy(replay->stage, defaults.stage, sizeof replay->stage);
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return cli_fail(err, CLI_DATA, "%s: the stored settings are not a JSON object", name);
    }
    replay->json = root;
    replay->prompt = json_string_value(json_object_get(root, "prompt"));
    const json_t *seed = json_object_get(root, "seed"), *size = json_object_get(root, "size");
    replay->has_seed = seed != NULL;
    const char *bad = seed && !read_seed(seed, &replay->seed) ? "seed" : NULL;
    if (size && !json_is_integer(size)) bad = "size";
    else if (size) replay->size = (int)json_integer_value(size);
    const json_t *candidates = json_object_get(root, "prior_candidates");
    if (json_is_integer(candidates)) replay->prior_candidates = (int)json_integer_value(candidates);
    const char *condition = json_string_value(json_object_get(root, "condition"));
    replay->given_embedding = condition && strcmp(condition, "given") == 0;
    int condition_index = 0;
    if (condition && !replay->given_embedding)
        condition_index = cli_choice_index(cli_flags[CLI_FLAG_CONDITION].choices, condition, strlen(condition));
    const char *rng = json_string_value(json_object_get(root, "rng"));
    const char *type = json_string_value(json_object_get(root, "type"));
    replay->has_rng = rng != NULL;
    int rng_index = rng ? cli_choice_index(cli_flags[CLI_FLAG_RNG].choices, rng, strlen(rng)) : 0;
    int type_index = type ? cli_choice_index(cli_flags[CLI_FLAG_TYPE].choices, type, strlen(type)) : 0;
    const char *bad_prior = read_prior(replay, root);
    if (bad_prior) bad = bad_prior;
    if (condition_index < 0) bad = "condition";
    if (rng_index < 0) bad = "rng";
    if (type_index < 0) bad = "type";
    if (bad) {
        cli_replay_free(replay);
        return bad_value(err, name, bad);
    }
    replay->condition = (unclip_condition)condition_index;
    replay->rng = (unclip_rng)rng_index;
    replay->type = (unclip_type)type_index;
    const json_t *stages = json_object_get(root, "stages");
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        const json_t *stage = json_object_get(stages, unclip_stage_name((unclip_stage)i));
        if (json_is_object(stage)) read_stage(&replay->stage[i], &replay->threshold[i], stage);
    }
    return CLI_OK;
}

void cli_replay_free(cli_replay *replay) {
    json_decref(replay->json);
    *replay = (cli_replay){ 0 };
}

/* ---- presets ------------------------------------------------------------------------------------------------------ */

static void set_steps(unclip_stage_options *stage, int steps) {
    stage->steps = steps;
    stage->respacing = NULL;
}

/* Karlo's "fast" template; it has no third stage, whose steps stay the model's. */
static void preset_fast(unclip_generate_options *options) {
    set_steps(&options->stage[UNCLIP_STAGE_PRIOR], 25);
    set_steps(&options->stage[UNCLIP_STAGE_DECODER], 25);
    set_steps(&options->stage[UNCLIP_STAGE_SR256], 7);
}

/* Table 3 of the paper, but for the prior's analytic variance, which needs a model that has the table. */
static void preset_paper(unclip_generate_options *options) {
    unclip_stage_options *stage = options->stage;
    set_steps(&stage[UNCLIP_STAGE_PRIOR], 64);
    set_steps(&stage[UNCLIP_STAGE_DECODER], 250);
    set_steps(&stage[UNCLIP_STAGE_SR256], 27);
    stage[UNCLIP_STAGE_SR256].respacing = "fast27";
    set_steps(&stage[UNCLIP_STAGE_SR1024], 15);
    for (int i = UNCLIP_STAGE_SR256; i <= UNCLIP_STAGE_SR1024; i++) {
        stage[i].sampler = UNCLIP_SAMPLER_DDIM;
        stage[i].eta = 0;
    }
    options->prior_candidates = 2;
}

/* ---- flags -------------------------------------------------------------------------------------------------------- */

typedef struct stage_flags {
    int steps, guidance, sampler, respacing, threshold; /* cli_flag_id; -1 where the stage has none */
} stage_flags;

static const stage_flags flags_of_stage[UNCLIP_STAGE_COUNT] = {
    [UNCLIP_STAGE_PRIOR] = { CLI_FLAG_PRIOR_STEPS, CLI_FLAG_PRIOR_CFG_SCALE, CLI_FLAG_PRIOR_SAMPLER,
                             CLI_FLAG_PRIOR_RESPACING, -1 },
    [UNCLIP_STAGE_DECODER] = { CLI_FLAG_STEPS, CLI_FLAG_CFG_SCALE, CLI_FLAG_SAMPLER, CLI_FLAG_RESPACING,
                               CLI_FLAG_THRESHOLD },
    [UNCLIP_STAGE_SR256] = { CLI_FLAG_SR256_STEPS, -1, CLI_FLAG_SR256_SAMPLER, CLI_FLAG_SR256_RESPACING,
                             CLI_FLAG_SR256_THRESHOLD },
    [UNCLIP_STAGE_SR1024] = { CLI_FLAG_SR1024_STEPS, -1, CLI_FLAG_SR1024_SAMPLER, CLI_FLAG_SR1024_RESPACING,
                              CLI_FLAG_SR1024_THRESHOLD },
};

static int fill_stage(unclip_stage_options *stage, float *threshold, const stage_flags *ids, const cli_value *flag,
                      cli_error *err) {
    if (flag[ids->steps].given && flag[ids->respacing].given) {
        return cli_fail(err, CLI_USAGE, "--%s and --%s both say which steps are taken; give one",
                        cli_flags[ids->steps].name, cli_flags[ids->respacing].name);
    }
    if (flag[ids->steps].given) set_steps(stage, (int)flag[ids->steps].integer);
    if (flag[ids->respacing].given) stage->respacing = flag[ids->respacing].text;
    if (ids->guidance >= 0 && flag[ids->guidance].given) stage->guidance = (float)flag[ids->guidance].real;
    if (flag[ids->sampler].given) stage->sampler = (unclip_sampler)flag[ids->sampler].integer;
    if (ids->threshold >= 0 && flag[ids->threshold].given) *threshold = threshold_option(flag[ids->threshold].real);
    if (flag[CLI_FLAG_ETA].given) stage->eta = (float)flag[CLI_FLAG_ETA].real;
    return CLI_OK;
}

static int fill_seed(uint64_t *seed, const cli_value *flag, const cli_replay *replay, cli_error *err) {
    if (flag->given && !flag->seed_random) *seed = flag->seed;
    else if (!flag->given && replay && replay->has_seed) *seed = replay->seed;
    else {
        uint32_t random = 0; /* 32 bits: easy to type again */
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
            return cli_fail(err, CLI_INTERNAL, "the system gives no random seed; give one with --seed");
        }
        *seed = random;
    }
    return CLI_OK;
}

static void start_from_replay(unclip_generate_options *options, const cli_replay *replay) {
    memcpy(options->stage, replay->stage, sizeof options->stage);
    memcpy(options->threshold, replay->threshold, sizeof options->threshold);
    if (replay->size) options->size = replay->size;
    if (replay->prior_candidates) options->prior_candidates = replay->prior_candidates;
    if (replay->has_rng) options->rng = replay->rng;
    options->condition = replay->condition;
    if (!replay->has_prior) return;
    options->prior = replay->prior;
    options->prior_temperature = replay->prior_temperature;
    options->prior_dot_low = replay->prior_dot_low;
    options->prior_dot_high = replay->prior_dot_high;
}

/* "50..100", or "85" for both. */
static bool read_percentiles(const char *text, float *low, float *high) {
    char first[32], *end = NULL;
    const char *dots = strstr(text, "..");
    const size_t length = dots ? (size_t)(dots - text) : strlen(text);
    if (length == 0 || length >= sizeof first) return false;
    memcpy(first, text, length); /* apart, because strtof would take the first dot of 50..100 for its own */
    first[length] = '\0';
    *low = *high = strtof(first, &end);
    if (*end != '\0') return false;
    if (dots) {
        *high = strtof(dots + 2, &end);
        if (end == dots + 2 || *end != '\0') return false;
    }
    return *low >= 0 && *low <= *high && *high <= 100;
}

static int fill_prior(unclip_generate_options *options, const cli_value *flag, cli_error *err) {
    if (flag[CLI_FLAG_PRIOR].given) options->prior = (unclip_prior)flag[CLI_FLAG_PRIOR].integer;
    if (flag[CLI_FLAG_PRIOR_TEMPERATURE].given)
        options->prior_temperature = (float)flag[CLI_FLAG_PRIOR_TEMPERATURE].real;
    const cli_value *dot = &flag[CLI_FLAG_PRIOR_DOT_PERCENTILE];
    if (dot->given && !read_percentiles(dot->text, &options->prior_dot_low, &options->prior_dot_high))
        return cli_fail(err, CLI_USAGE, "--prior-dot-percentile is \"%s\", expected LO or LO..HI, 0 to 100", dot->text);
    return CLI_OK;
}

int cli_settings_fill(unclip_generate_options *options, const cli_args *args, const cli_replay *replay,
                      cli_error *err) {
    const cli_value *flag = args->flag;
    unclip_generate_options_init(options);
    if (replay) start_from_replay(options, replay);
    if (flag[CLI_FLAG_SAMPLING].given) {
        unclip_generate_options defaults;
        unclip_generate_options_init(&defaults);
        if (flag[CLI_FLAG_SAMPLING].integer == CLI_SAMPLING_FAST) preset_fast(options);
        if (flag[CLI_FLAG_SAMPLING].integer == CLI_SAMPLING_DEFAULT) {
            memcpy(options->stage, defaults.stage, sizeof defaults.stage);
            memcpy(options->threshold, defaults.threshold, sizeof defaults.threshold);
        }
        if (flag[CLI_FLAG_SAMPLING].integer == CLI_SAMPLING_PAPER) preset_paper(options);
    }
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        int code = fill_stage(&options->stage[i], &options->threshold[i], &flags_of_stage[i], flag, err);
        if (code) return code;
    }
    if (flag[CLI_FLAG_SIZE].given) options->size = (int)flag[CLI_FLAG_SIZE].integer;
    if (flag[CLI_FLAG_BATCH_COUNT].given) options->images_per_prompt = (size_t)flag[CLI_FLAG_BATCH_COUNT].integer;
    if (flag[CLI_FLAG_BATCH_SIZE].given) options->batch_size = (size_t)flag[CLI_FLAG_BATCH_SIZE].integer;
    if (flag[CLI_FLAG_RNG].given) options->rng = (unclip_rng)flag[CLI_FLAG_RNG].integer;
    if (flag[CLI_FLAG_PRIOR_CANDIDATES].given) options->prior_candidates = (int)flag[CLI_FLAG_PRIOR_CANDIDATES].integer;
    if (flag[CLI_FLAG_CONDITION].given) options->condition = (unclip_condition)flag[CLI_FLAG_CONDITION].integer;
    const int bad_prior = fill_prior(options, flag, err);
    if (bad_prior) return bad_prior;
    if (flag[CLI_FLAG_PREVIEW].given) options->preview_interval = 5;
    if (flag[CLI_FLAG_PREVIEW_INTERVAL].given) {
        if (!flag[CLI_FLAG_PREVIEW].given) {
            return cli_fail(err, CLI_USAGE, "--preview-interval needs --preview FILE");
        }
        options->preview_interval = (int)flag[CLI_FLAG_PREVIEW_INTERVAL].integer;
    }
    return fill_seed(&options->seed, &flag[CLI_FLAG_SEED], replay, err);
}

unclip_invert_options cli_inversion(const cli_args *args) {
    const cli_value *flag = args->flag;
    unclip_invert_options o;
    unclip_invert_options_init(&o);
    if (flag[CLI_FLAG_INVERT_STEPS].given) o.steps = (int)flag[CLI_FLAG_INVERT_STEPS].integer;
    if (flag[CLI_FLAG_INVERT_CFG_SCALE].given) o.guidance = (float)flag[CLI_FLAG_INVERT_CFG_SCALE].real;
    if (flag[CLI_FLAG_INVERT_REFINEMENTS].given) o.refinements = (int)flag[CLI_FLAG_INVERT_REFINEMENTS].integer;
    return o;
}

/* What flags, presets and stored settings make of the library's options; prompts; the default model; JSON strings. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cli/help.h"
#include "host/cli/model.h"
#include "host/cli/prompts.h"
#include "host/cli/settings.h"
#include "host/cli/text.h"

static cli_args parsed(int argc, const char *const words[]) {
    cli_args args;
    cli_error err = { 0 };
    int code = cli_args_parse(&args, argc, (char *const *)(uintptr_t)words, NULL, &err);
    cr_assert_eq(code, 0, "%s", err.message);
    return args;
}
#define ARGS(...)                                                                               \
    parsed((int)(sizeof((const char *[]){ "unclip-cuda", __VA_ARGS__ }) / sizeof(char *)),      \
           (const char *[]){ "unclip-cuda", __VA_ARGS__, NULL })

static unclip_generate_options filled(cli_args args, const cli_replay *replay) {
    unclip_generate_options options;
    cli_error err = { 0 };
    int code = cli_settings_fill(&options, &args, replay, &err);
    cr_assert_eq(code, 0, "%s", err.message);
    cli_args_free(&args);
    return options;
}

static const char stored[] =
    "{\"prompt\": \"a ring\", \"seed\": \"18446744073709551615\", \"size\": 256, \"rng\": \"torch-cpu\", \"type\": "
    "\"bf16\", \"prior_candidates\": 2, \"stages\": {\"decoder\": {\"steps\": 11, \"guidance\": 3.5, \"sampler\": "
    "\"ddim\", \"eta\": 0.25}, \"sr256\": {\"steps\": 27, \"respacing\": \"fast27\"}}}";

Test(cli_settings, without_flags_everything_is_the_models) {
    unclip_generate_options defaults, options = filled(ARGS("x"), NULL);
    unclip_generate_options_init(&defaults);
    cr_assert_arr_eq(options.stage, defaults.stage, sizeof defaults.stage);
    cr_assert_eq(options.images_per_prompt, 1);
    cr_assert_eq(options.size, 0);
}

Test(cli_settings, each_flag_reaches_its_option) {
    unclip_generate_options o =
        filled(ARGS("x", "--steps=2", "--prior-steps=3", "--sr256-steps=4", "--sr1024-steps=5", "--cfg-scale=6",
                    "--prior-cfg-scale=7", "--sampler=ddim", "--prior-sampler=analytic", "--sr256-sampler=ddpm",
                    "--sr1024-sampler=dpm++", "--eta=0.5", "--threshold=0.75", "--sr256-threshold=0.5",
                    "--sr1024-threshold=0"), NULL);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].steps, 2);
    cr_assert_eq(o.stage[UNCLIP_STAGE_PRIOR].steps, 3);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR256].steps, 4);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR1024].steps, 5);
    cr_assert_float_eq(o.stage[UNCLIP_STAGE_DECODER].guidance, 6, 0);
    cr_assert_float_eq(o.stage[UNCLIP_STAGE_PRIOR].guidance, 7, 0);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].sampler, UNCLIP_SAMPLER_DDIM);
    cr_assert_eq(o.stage[UNCLIP_STAGE_PRIOR].sampler, UNCLIP_SAMPLER_ANALYTIC);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR256].sampler, UNCLIP_SAMPLER_DDPM);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR1024].sampler, UNCLIP_SAMPLER_DPMPP_2M);
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) cr_assert_float_eq(o.stage[i].eta, 0.5, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_PRIOR], 0, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_DECODER], 0.75, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_SR256], 0.5, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_SR1024], -1, 0, "0 says none, where the library's 0 is the model's");
    o = filled(ARGS("x", "--size=64", "-b", "5", "--batch-size=3", "-s", "9", "--rng=torch-cpu", "--prior-candidates=2",
                    "--preview=p.png", "--preview-interval=2", "--prior-respacing=10,5", "--prior=ar",
                    "--prior-temperature=0.5", "--prior-dot-percentile=70..95.5"), NULL);
    cr_assert_eq(o.size, 64);
    cr_assert_eq(o.images_per_prompt, 5);
    cr_assert_eq(o.batch_size, 3);
    cr_assert_eq(o.seed, 9);
    cr_assert_eq(o.rng, UNCLIP_RNG_TORCH_CPU);
    cr_assert_eq(o.prior_candidates, 2);
    cr_assert_eq(o.preview_interval, 2);
    cr_assert_eq(o.prior, UNCLIP_PRIOR_AUTOREGRESSIVE);
    cr_assert_float_eq(o.prior_temperature, 0.5, 0);
    cr_assert_float_eq(o.prior_dot_low, 70, 0);
    cr_assert_float_eq(o.prior_dot_high, 95.5, 0);
    o = filled(ARGS("x", "--prior-dot-percentile=85"), NULL);
    cr_assert_eq(o.prior, UNCLIP_PRIOR_DIFFUSION);
    cr_assert(o.prior_dot_low >= 85 && o.prior_dot_high <= 85, "one percentile stands for both");
}

Test(cli_settings, percentiles_are_checked) {
    static const char *const bad[] = { "x", "50..", "..50", "60..50", "-1", "50..101", "50..60x", "nan", "50-60" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char flag[64];
        unclip_generate_options options;
        cli_error err = { 0 };
        snprintf(flag, sizeof flag, "--prior-dot-percentile=%s", bad[i]);
        cli_args args = ARGS("x", flag);
        cr_expect_eq(cli_settings_fill(&options, &args, NULL, &err), CLI_USAGE, "\"%s\"", bad[i]);
        cli_args_free(&args);
    }
}

Test(cli_settings, replay_has_the_autoregressive_prior) {
    cli_replay replay;
    cli_error err = { 0 };
    const char *json = "{\"prior\":\"ar\",\"prior_temperature\":0.75,\"prior_dot_percentile\":[60,90]}";
    cr_assert_eq(cli_replay_parse(&replay, json, "p.png", &err), 0, "%s", err.message);
    unclip_generate_options o = filled(ARGS("x"), &replay);
    cr_assert_eq(o.prior, UNCLIP_PRIOR_AUTOREGRESSIVE);
    cr_assert_float_eq(o.prior_temperature, 0.75, 0);
    cr_assert_float_eq(o.prior_dot_low, 60, 0);
    cr_assert_float_eq(o.prior_dot_high, 90, 0);
    o = filled(ARGS("x", "--prior=diffusion"), &replay);
    cr_assert_eq(o.prior, UNCLIP_PRIOR_DIFFUSION);
    cli_replay_free(&replay);
    cr_assert_eq(cli_replay_parse(&replay, "{\"prior\":\"magic\"}", "p.png", &err), CLI_DATA);
    cr_assert_eq(cli_replay_parse(&replay, "{\"prior\":\"ar\"}", "p.png", &err), CLI_DATA);
}

Test(cli_settings, replay_has_thresholds) {
    cli_replay replay;
    cli_error err = { 0 };
    const char *json = "{\"stages\":{\"decoder\":{\"threshold\":0.5},\"sr256\":{\"threshold\":0},\"sr1024\":{}}}";
    cr_assert_eq(cli_replay_parse(&replay, json, "p.png", &err), 0, "%s", err.message);
    unclip_generate_options o = filled(ARGS("x"), &replay);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_DECODER], 0.5, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_SR256], -1, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_SR1024], 0, 0);
    o = filled(ARGS("x", "--sampling=default", "--sr256-threshold=0.25"), &replay);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_DECODER], 0, 0);
    cr_assert_float_eq(o.threshold[UNCLIP_STAGE_SR256], 0.25, 0);
    cli_replay_free(&replay);
}

Test(cli_settings, presets_yield_to_flags) {
    unclip_generate_options o = filled(ARGS("x", "--sampling", "paper", "--sr256-steps", "9", "--steps", "30"), NULL);
    cr_assert_eq(o.stage[UNCLIP_STAGE_PRIOR].steps, 64);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].steps, 30);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR256].steps, 9);
    cr_assert_null(o.stage[UNCLIP_STAGE_SR256].respacing, "the flag's steps beat the preset's list");
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR256].sampler, UNCLIP_SAMPLER_DDIM);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR1024].steps, 15);
    cr_assert_eq(o.prior_candidates, 2);
    o = filled(ARGS("x", "--sampling", "fast"), NULL);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].steps, 25);
    cr_assert_eq(o.stage[UNCLIP_STAGE_SR256].steps, 7);
}

Test(cli_settings, conditions_come_from_flags_and_from_pictures) {
    cli_replay replay;
    cli_error err = { 0 };
    cr_assert_eq(filled(ARGS("x", "--condition=text_embedding"), NULL).condition, UNCLIP_CONDITION_TEXT_EMBEDDING);
    cr_assert_eq(cli_replay_parse(&replay, "{\"condition\": \"caption\"}", "p.png", &err), 0, "%s", err.message);
    cr_assert_eq(filled(ARGS("x"), &replay).condition, UNCLIP_CONDITION_CAPTION);
    cr_assert_eq(filled(ARGS("x", "--condition=prior"), &replay).condition, UNCLIP_CONDITION_PRIOR);
    cr_assert_not(replay.given_embedding);
    cli_replay_free(&replay);
    cr_assert_eq(cli_replay_parse(&replay, "{\"condition\": \"given\"}", "p.png", &err), 0, "%s", err.message);
    cr_assert(replay.given_embedding);
    cli_replay_free(&replay);
    cr_assert_eq(cli_replay_parse(&replay, "{\"condition\": \"dreams\"}", "p.png", &err), CLI_DATA);
}

Test(cli_settings, random_seeds_differ) {
    unclip_generate_options a = filled(ARGS("x"), NULL), b = filled(ARGS("x", "--seed=-1"), NULL);
    cr_assert_neq(a.seed, b.seed, "two draws of 32 bits were equal; run again before believing it");
}

Test(cli_settings, contradictions_are_refused) {
    unclip_generate_options options;
    cli_error err = { 0 };
    cli_args args = ARGS("x", "--steps=3", "--respacing=fast27");
    cr_assert_eq(cli_settings_fill(&options, &args, NULL, &err), CLI_USAGE);
    cli_args_free(&args);
    args = ARGS("x", "--preview-interval=3");
    cr_assert_eq(cli_settings_fill(&options, &args, NULL, &err), CLI_USAGE);
    cli_args_free(&args);
}

Test(cli_settings, replay_is_the_base_and_flags_win) {
    cli_replay replay;
    cli_error err = { 0 };
    cr_assert_eq(cli_replay_parse(&replay, stored, "p.png", &err), 0, "%s", err.message);
    cr_assert_str_eq(replay.prompt, "a ring");
    cr_assert_eq(replay.type, UNCLIP_TYPE_BF16);
    unclip_generate_options o = filled(ARGS("x", "--cfg-scale", "9"), &replay);
    cr_assert_eq(o.seed, UINT64_MAX);
    cr_assert_eq(o.size, 256);
    cr_assert_eq(o.rng, UNCLIP_RNG_TORCH_CPU);
    cr_assert_eq(o.prior_candidates, 2);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].steps, 11);
    cr_assert_float_eq(o.stage[UNCLIP_STAGE_DECODER].guidance, 9, 0);
    cr_assert_eq(o.stage[UNCLIP_STAGE_DECODER].sampler, UNCLIP_SAMPLER_DDIM);
    cr_assert_float_eq(o.stage[UNCLIP_STAGE_DECODER].eta, 0.25, 0);
    cr_assert_str_eq(o.stage[UNCLIP_STAGE_SR256].respacing, "fast27");
    o = filled(ARGS("x", "--seed", "5", "--sr256-steps", "3"), &replay);
    cr_assert_eq(o.seed, 5);
    cr_assert_null(o.stage[UNCLIP_STAGE_SR256].respacing);
    cli_replay_free(&replay);
}

Test(cli_settings, broken_stored_settings_are_data_errors) {
    static const char *const broken[] = { "", "[]", "{", "{\"seed\": -1}", "{\"seed\": \"x\"}", "{\"rng\": \"dice\"}",
                                          "{\"type\": \"int8\"}", "{\"size\": \"large\"}" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        cli_replay replay;
        cli_error err = { 0 };
        cr_assert_eq(cli_replay_parse(&replay, broken[i], "p.png", &err), CLI_DATA, "%s", broken[i]);
        cr_assert(strstr(err.message, "p.png"), "%s", err.message);
    }
}

Test(cli_prompts, lines) {
    cli_prompts prompts = { 0 };
    cli_error err = { 0 };
    cr_assert_eq(cli_prompts_add_lines(&prompts, "\xef\xbb\xbf" "a cube\r\n\n a ball \nlast", &err), 0);
    cr_assert_eq(prompts.count, 3);
    cr_assert_str_eq(prompts.items[0], "a cube");
    cr_assert_str_eq(prompts.items[1], " a ball ");
    cr_assert_str_eq(prompts.items[2], "last");
    cli_prompts_free(&prompts);
}

Test(cli_prompts, standard_input_is_read_once) {
    cli_args args = ARGS("-p", "-", "-f", "-");
    cli_prompts prompts;
    cli_error err = { 0 };
    cr_assert_eq(cli_prompts_gather(&prompts, &args, &err), CLI_USAGE);
    cli_args_free(&args);
}

static void touch(const char *folder, const char *rest) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, rest);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert(file, "%s", path);
    fclose(file);
}

Test(cli_model, the_shipped_model_is_found_from_a_build_tree_and_from_a_prefix) {
    char folder[] = "/tmp/unclip-model-XXXXXX", program[128], command[160], *path = NULL;
    cli_error err = { 0 };
    cr_assert(mkdtemp(folder));
    touch(folder, "build/release/bin/unclip-cuda");
    snprintf(program, sizeof program, "%s/build/release/bin/unclip-cuda", folder);
    cr_assert_eq(cli_shipped_model(&path, program, NULL, &err), CLI_NO_INPUT);
    touch(folder, "weights/solids/model_index.json");
    cr_assert_eq(cli_shipped_model(&path, program, NULL, &err), 0, "%s", err.message);
    cr_assert(strstr(path, "weights/solids"));
    free(path);

    touch(folder, "deep/er/root/usr/bin/unclip-cuda");
    snprintf(program, sizeof program, "%s/deep/er/root/usr/bin/unclip-cuda", folder);
    cr_assert_eq(cli_shipped_model(&path, program, NULL, &err), CLI_NO_INPUT);
    touch(folder, "data/solids/model_index.json");
    char data[128];
    snprintf(data, sizeof data, "%s/data", folder);
    cr_assert_eq(cli_shipped_model(&path, program, data, &err), 0, "%s", err.message);
    free(path);
    touch(folder, "deep/er/root/usr/share/unclip-cuda/solids/model_index.json");
    cr_assert_eq(cli_shipped_model(&path, program, data, &err), 0, "%s", err.message);
    cr_assert(strstr(path, "share/unclip-cuda"), "%s", path);
    free(path);
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

static void assert_json(const char *text, const char *expected) {
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    cli_write_json_string(stream, text);
    fclose(stream);
    cr_assert_str_eq(out, expected);
    free(out);
}

Test(cli_text, json_strings) {
    assert_json("plain", "\"plain\"");
    assert_json("q\"b\\n\n", "\"q\\\"b\\\\n\\u000a\"");
    assert_json("\xc3\xa9 \xf0\x9f\x98\x80", "\"\xc3\xa9 \xf0\x9f\x98\x80\"");
    assert_json("\xff|\xc0\x80|\xed\xa0\x80|\xe2\x82", "\"\\ufffd|\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\"");
}

/* The manual page and the help speak of every flag; the completions offer them. */
static char *whole_file(const char *path) {
    char *text = NULL;
    size_t size = 0;
    cli_error err = { 0 };
    cr_assert_eq(cli_read_file(path, 1 << 20, &text, &size, &err), 0, "%s", err.message);
    return text;
}

static char *printed(const char *what, int command) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (command) cli_print_help(stream, command, false);
    else cli_print_completion(stream, what);
    fclose(stream);
    return text;
}

Test(cli_help, the_manual_page_has_every_flag) {
    char *manual = whole_file(UC_SOURCE_DIR "/host/cli/unclip-cuda.1");
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        char escaped[96] = "\\-\\-";
        size_t used = strlen(escaped);
        for (const char *c = cli_flags[i].name; *c; c++) {
            if (*c == '-') escaped[used++] = '\\';
            escaped[used++] = *c;
        }
        escaped[used] = '\0';
        cr_expect(strstr(manual, escaped), "unclip-cuda.1 lacks %s", escaped);
    }
    free(manual);
}

Test(cli_help, help_lists_what_the_subcommand_accepts_and_nothing_else) {
    for (size_t c = 0; c < cli_command_count; c++) {
        char *text = printed(NULL, cli_commands[c].id);
        for (int i = 0; i < CLI_FLAG_COUNT; i++) {
            char flag[64];
            snprintf(flag, sizeof flag, " --%s%s", cli_flags[i].name, *cli_flags[i].value ? " " : "");
            bool accepted = cli_flags[i].commands & cli_commands[c].id;
            cr_expect_eq(strstr(text, flag) != NULL, accepted, "%s --help and%s", cli_commands[c].name, flag);
        }
        free(text);
    }
}

Test(cli_help, completions_offer_every_flag) {
    static const char *const shells[] = { "bash", "zsh", "fish" };
    for (size_t s = 0; s < 3; s++) {
        char *text = printed(shells[s], 0);
        for (int i = 0; i < CLI_FLAG_COUNT; i++) {
            char flag[64];
            snprintf(flag, sizeof flag, s == 2 ? "-l %s" : "--%s", cli_flags[i].name);
            cr_expect(strstr(text, flag), "%s: %s", shells[s], flag);
        }
        free(text);
    }
}

Test(cli_exit, codes_of_the_librarys_answers) {
    static const struct { unclip_status status; int code; } cases[] = {
        { UNCLIP_OK, 0 },               { UNCLIP_ERR_ARGUMENT, 64 },      { UNCLIP_ERR_UTF8, 65 },
        { UNCLIP_ERR_UNSUPPORTED, 64 }, { UNCLIP_ERR_CANCELLED, 130 },    { UNCLIP_ERR_IMAGE, 65 },
        { UNCLIP_ERR_MODEL_MISSING, 66 }, { UNCLIP_ERR_MODEL_DATA, 65 },  { UNCLIP_ERR_WRITE, 73 },
        { UNCLIP_ERR_NO_DEVICE, 69 },   { UNCLIP_ERR_MEMORY, 75 },        { UNCLIP_ERR_DEVICE, 75 },
        { UNCLIP_ERR_NOT_FINITE, 65 },  { UNCLIP_ERR_INTERNAL, 70 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(cli_exit_code(cases[i].status), cases[i].code, "%s", unclip_status_name(cases[i].status));
    }
}

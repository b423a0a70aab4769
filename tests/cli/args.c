/* The command line: every way to write a flag, every way to write it wrongly, and the environment beneath it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "host/cli/args.h"

enum { MOST_WORDS = 16 };

/* Parses a NULL-terminated list of words. */
static int parse(cli_args *args, cli_error *err, char *const environment[], const char *const words[]) {
    char *argv[MOST_WORDS + 2] = { (char *)(uintptr_t) "unclip-cuda" };
    int argc = 1;
    for (; words[argc - 1]; argc++) argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return cli_args_parse(args, argc, argv, environment, err);
}
#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* The message of a refusal, which must be a usage error. */
static const char *refusal(const char *const words[]) {
    static cli_error err;
    cli_args args;
    err = (cli_error){ 0 };
    cr_assert_eq(parse(&args, &err, NULL, words), CLI_USAGE, "%s ... was not refused", words[0]);
    return err.message;
}
#define REFUSED_NAMING(what, ...)                                                                \
    do {                                                                                         \
        const char *message = refusal(WORDS(__VA_ARGS__));                                       \
        cr_assert(strstr(message, what), "\"%s\" does not name %s", message, what);              \
    } while (0)

static cli_args parsed(char *const environment[], const char *const words[]) {
    cli_args args;
    cli_error err = { 0 };
    int code = parse(&args, &err, environment, words);
    cr_assert_eq(code, 0, "refused: %s", err.message);
    return args;
}

Test(cli_args, generate_is_the_default_and_words_are_prompts_in_order) {
    cli_args args = parsed(NULL, WORDS("a cube", "-p", "a ball", "a ring"));
    cr_assert_eq(args.command, CLI_GENERATE);
    const cli_list *prompts = &args.flag[CLI_FLAG_PROMPT].list;
    cr_assert_eq(prompts->count, 3);
    cr_assert_str_eq(prompts->items[0], "a cube");
    cr_assert_str_eq(prompts->items[1], "a ball");
    cr_assert_str_eq(prompts->items[2], "a ring");
    cli_args_free(&args);
}

Test(cli_args, every_subcommand_by_name) {
    for (size_t i = 0; i < cli_command_count; i++) {
        char first[32], *second = NULL;
        snprintf(first, sizeof first, "%s", cli_commands[i].name);
        if ((second = strchr(first, ' ')) != NULL) *second++ = '\0';
        cli_args args = parsed(NULL, WORDS(first, second)); /* a NULL ends the list */
        cr_assert_eq(args.command, cli_commands[i].id, "%s", cli_commands[i].name);
        cli_args_free(&args);
    }
}

Test(cli_args, all_spellings_of_a_value) {
    const char *const *spellings[] = { WORDS("--batch-count", "4"), WORDS("--batch-count=4"), WORDS("--batch_count=4"),
                                       WORDS("--num_images_per_prompt", "4"), WORDS("-b", "4"), WORDS("-b4"),
                                       WORDS("-b=4"), WORDS("-b", "9", "-b", "4"), WORDS("-vb4") };
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        cli_args args = parsed(NULL, spellings[i]);
        cr_assert_eq(args.flag[CLI_FLAG_BATCH_COUNT].integer, 4, "spelling %zu", i);
        cli_args_free(&args);
    }
}

Test(cli_args, aliases_of_the_neighbours) {
    cli_args args = parsed(NULL, WORDS("--guidance-scale", "7.5", "--num_inference_steps=30", "--prior_guidance_scale=3"));
    cr_assert_float_eq(args.flag[CLI_FLAG_CFG_SCALE].real, 7.5, 0);
    cr_assert_eq(args.flag[CLI_FLAG_STEPS].integer, 30);
    cr_assert_float_eq(args.flag[CLI_FLAG_PRIOR_CFG_SCALE].real, 3.0, 0);
    cli_args_free(&args);
}

Test(cli_args, choices_seeds_and_switches) {
    cli_args args = parsed(NULL, WORDS("--sampler", "dpm++", "-s", "18446744073709551615", "-vq", "--rng=torch_cpu"));
    cr_assert_eq(args.flag[CLI_FLAG_SAMPLER].integer, UNCLIP_SAMPLER_DPMPP_2M);
    cr_assert_eq(args.flag[CLI_FLAG_SEED].seed, UINT64_MAX);
    cr_assert(args.flag[CLI_FLAG_VERBOSE].on && args.flag[CLI_FLAG_QUIET].on);
    cr_assert_eq(args.flag[CLI_FLAG_RNG].integer, UNCLIP_RNG_TORCH_CPU);
    cli_args_free(&args);
    args = parsed(NULL, WORDS("--seed", "-1", "--verbose=0"));
    cr_assert(args.flag[CLI_FLAG_SEED].seed_random);
    cr_assert_not(args.flag[CLI_FLAG_VERBOSE].on);
    cli_args_free(&args);
}

/* Choices become enum values of the library by their position. */
Test(cli_args, choices_stand_in_the_order_of_the_librarys_enums) {
    static const struct { int flag; const char *word; int value; } cases[] = {
        { CLI_FLAG_TYPE, "auto", UNCLIP_TYPE_AUTO },       { CLI_FLAG_TYPE, "f32", UNCLIP_TYPE_F32 },
        { CLI_FLAG_TYPE, "f16", UNCLIP_TYPE_F16 },         { CLI_FLAG_TYPE, "bf16", UNCLIP_TYPE_BF16 },
        { CLI_FLAG_MODE, "replay", UNCLIP_RUN_REPLAY },    { CLI_FLAG_MODE, "eager", UNCLIP_RUN_EAGER },
        { CLI_FLAG_MODE, "checked", UNCLIP_RUN_CHECKED },  { CLI_FLAG_MODE, "timed", UNCLIP_RUN_TIMED },
        { CLI_FLAG_RNG, "philox", UNCLIP_RNG_PHILOX },     { CLI_FLAG_RNG, "torch-cpu", UNCLIP_RNG_TORCH_CPU },
        { CLI_FLAG_DEGRADE, "none", UNCLIP_DEGRADE_NONE }, { CLI_FLAG_DEGRADE, "blur", UNCLIP_DEGRADE_BLUR },
        { CLI_FLAG_DEGRADE, "bsr", UNCLIP_DEGRADE_BSR },   { CLI_FLAG_CONDITION, "prior", UNCLIP_CONDITION_PRIOR },
        { CLI_FLAG_CONDITION, "text-embedding", UNCLIP_CONDITION_TEXT_EMBEDDING },
        { CLI_FLAG_CONDITION, "caption", UNCLIP_CONDITION_CAPTION },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *choices = cli_flags[cases[i].flag].choices;
        cr_assert_eq(cli_choice_index(choices, cases[i].word, strlen(cases[i].word)), cases[i].value, "%s", cases[i].word);
    }
    const int samplers[] = { CLI_FLAG_SAMPLER, CLI_FLAG_PRIOR_SAMPLER, CLI_FLAG_SR256_SAMPLER, CLI_FLAG_SR1024_SAMPLER };
    for (size_t f = 0; f < 4; f++) {
        for (int s = UNCLIP_SAMPLER_DEFAULT; s <= UNCLIP_SAMPLER_DPMPP_2M; s++) {
            const char *name = unclip_sampler_name((unclip_sampler)s);
            cr_assert_eq(cli_choice_index(cli_flags[samplers[f]].choices, name, strlen(name)), s, "%s", name);
        }
    }
}

Test(cli_args, a_prompt_may_begin_with_dashes) {
    cli_args args = parsed(NULL, WORDS("-p", "-- a dash", "--", "--steps", "-"));
    const cli_list *prompts = &args.flag[CLI_FLAG_PROMPT].list;
    cr_assert_eq(prompts->count, 3);
    cr_assert_str_eq(prompts->items[0], "-- a dash");
    cr_assert_str_eq(prompts->items[1], "--steps");
    cr_assert_not(args.flag[CLI_FLAG_STEPS].given);
    cli_args_free(&args);
}

Test(cli_args, an_empty_prompt_is_a_prompt) {
    cli_args args = parsed(NULL, WORDS("-p", ""));
    cr_assert_eq(args.flag[CLI_FLAG_PROMPT].list.count, 1);
    cli_args_free(&args);
}

Test(cli_args, unknown_flags_name_the_nearest) {
    REFUSED_NAMING("--steps", "--stesp", "3");
    REFUSED_NAMING("--prior-steps", "--priorsteps=3");
    REFUSED_NAMING("--batch-size", "--batch_sise", "2");
    REFUSED_NAMING("--guidance-scale", "--guidence-scale", "2");
    REFUSED_NAMING("-Z", "-Z");
    const char *message = refusal(WORDS("embed", "--stesp", "3"));
    cr_assert_not(strstr(message, "nearest is --steps"), "embed has no --steps: %s", message);
}

Test(cli_args, wrong_values_name_the_flag) {
    REFUSED_NAMING("--steps", "--steps", "0");
    REFUSED_NAMING("--steps", "--steps=-3");
    REFUSED_NAMING("--steps", "--steps", "many");
    REFUSED_NAMING("--steps", "--steps", "1001");
    REFUSED_NAMING("--steps", "--steps", "3.5");
    REFUSED_NAMING("--steps", "--steps", "99999999999999999999999");
    REFUSED_NAMING("--steps", "--steps=");
    REFUSED_NAMING("--steps", "--steps= 3");
    REFUSED_NAMING("-b", "-b", "0");
    REFUSED_NAMING("-b", "-b", "four");
    REFUSED_NAMING("--batch-size", "--batch-size", "0");
    REFUSED_NAMING("-t", "-t", "0");
    REFUSED_NAMING("--cfg-scale", "--cfg-scale", "-1");
    REFUSED_NAMING("--cfg-scale", "--cfg-scale", "strong");
    REFUSED_NAMING("--cfg-scale", "--cfg-scale", "nan");
    REFUSED_NAMING("--cfg-scale", "--cfg-scale", "inf");
    REFUSED_NAMING("--eta", "--eta", "1.5");
    REFUSED_NAMING("--size", "--size", "0");
    REFUSED_NAMING("--size", "--size", "large");
    REFUSED_NAMING("--sampler", "--sampler", "euler");
    REFUSED_NAMING("--type", "--type", "int8");
    REFUSED_NAMING("-s", "-s", "-2");
    REFUSED_NAMING("-s", "-s", "+2");
    REFUSED_NAMING("-s", "-s", "18446744073709551616");
    REFUSED_NAMING("--seed", "--seed", "lucky");
    REFUSED_NAMING("--model", "--model", "");
    REFUSED_NAMING("--verbose", "--verbose=perhaps");
    REFUSED_NAMING("--completion", "--completion", "tcsh");
}

Test(cli_args, the_ends_of_a_range_belong_to_it) {
    cli_args args = parsed(NULL, WORDS("--steps=1", "--prior-steps=1000", "--eta=0", "--cfg-scale=0", "-s", "0"));
    cr_assert_eq(args.flag[CLI_FLAG_STEPS].integer, 1);
    cr_assert_eq(args.flag[CLI_FLAG_PRIOR_STEPS].integer, 1000);
    cr_assert(args.flag[CLI_FLAG_ETA].given && args.flag[CLI_FLAG_CFG_SCALE].given);
    cr_assert_eq(args.flag[CLI_FLAG_SEED].seed, 0);
    cli_args_free(&args);
    args = parsed(NULL, WORDS("--eta=1", "--cfg-scale=1000"));
    cr_assert_float_eq(args.flag[CLI_FLAG_ETA].real, 1, 0);
    cli_args_free(&args);
}

Test(cli_args, missing_values_name_the_flag) {
    REFUSED_NAMING("--steps", "--steps");
    REFUSED_NAMING("--model", "--model", "--steps", "3");
    REFUSED_NAMING("-o", "a cube", "-o");
}

Test(cli_args, flags_of_other_subcommands_are_refused) {
    REFUSED_NAMING("--steps", "embed", "--steps", "3");
    REFUSED_NAMING("--init-img", "-i", "a.png");
    REFUSED_NAMING("--model", "devices", "-m", "x");
    REFUSED_NAMING("devices", "devices", "x");
    REFUSED_NAMING("inspect", "inspect", "a", "b");
    REFUSED_NAMING("--steps is not a flag of eval prior", "eval", "prior", "--steps", "3");
    REFUSED_NAMING("--seed is not a flag of eval pairs", "eval", "pairs", "--seed", "3");
    REFUSED_NAMING("say what is measured first", "eval", "--pairs", "list");
    REFUSED_NAMING("eval prior takes no", "eval", "prior", "pairs");
}

Test(cli_args, a_mistyped_subcommand_is_not_drawn) {
    REFUSED_NAMING("inspect", "inspct", "x");
    REFUSED_NAMING("embed", "embd");
    cli_args args = parsed(NULL, WORDS("inspector"));
    cr_assert_eq(args.command, CLI_GENERATE);
    cli_args_free(&args);
}

static char steps_nine[] = "UNCLIP_ARG_STEPS=9", prior[] = "UNCLIP_ARG_PRIOR_STEPS=8", quiet[] = "UNCLIP_ARG_QUIET=1",
            path[] = "PATH=/bin", model[] = "UNCLIP_MODEL=x", prompt[] = "UNCLIP_ARG_PROMPT=a cone",
            steps_word[] = "UNCLIP_ARG_STEPS=many", unknown[] = "UNCLIP_ARG_STESP=3";

Test(cli_args, environment_stands_in_for_flags_and_loses_to_them) {
    char *environment[] = { path, steps_nine, prior, quiet, model, prompt, NULL };
    cli_args args = parsed(environment, WORDS("--steps", "3"));
    cr_assert_eq(args.flag[CLI_FLAG_STEPS].integer, 3);
    cr_assert_eq(args.flag[CLI_FLAG_PRIOR_STEPS].integer, 8);
    cr_assert(args.flag[CLI_FLAG_QUIET].on);
    cr_assert_str_eq(args.flag[CLI_FLAG_PROMPT].list.items[0], "a cone");
    cli_args_free(&args);
    args = parsed(environment, WORDS("-p", "a cube"));
    cr_assert_eq(args.flag[CLI_FLAG_PROMPT].list.count, 1);
    cli_args_free(&args);
    args = parsed(environment, WORDS("devices"));
    cr_assert_not(args.flag[CLI_FLAG_STEPS].given, "devices has no --steps");
    cli_args_free(&args);
}

Test(cli_args, wrong_variables_are_named) {
    char *const *environments[] = { (char *[]){ steps_word, NULL }, (char *[]){ unknown, NULL } };
    const char *named[] = { "UNCLIP_ARG_STEPS", "UNCLIP_ARG_STESP" };
    for (size_t i = 0; i < 2; i++) {
        cli_args args;
        cli_error err = { 0 };
        cr_assert_eq(parse(&args, &err, environments[i], WORDS("a cube")), CLI_USAGE);
        cr_assert(strstr(err.message, named[i]), "%s", err.message);
    }
}

/* Every flag can be given under its long name, its letter and each alias, and by its variable. */
Test(cli_args, the_table_has_no_two_flags_of_one_name) {
    for (int i = 0; i < CLI_FLAG_COUNT; i++) {
        cr_assert(cli_flags[i].commands, "--%s: accepted nowhere", cli_flags[i].name);
        cr_assert_gt(strlen(cli_flags[i].help), 0, "--%s", cli_flags[i].name);
        cr_assert_eq(cli_flags[i].kind == CLI_KIND_CHOICE, *cli_flags[i].choices != '\0', "--%s", cli_flags[i].name);
        bool counted = cli_flags[i].kind == CLI_KIND_INT || cli_flags[i].kind == CLI_KIND_REAL;
        cr_assert_eq(counted, cli_flags[i].low < cli_flags[i].high, "--%s", cli_flags[i].name);
        for (int j = 0; j < CLI_FLAG_COUNT; j++) {
            if (j == i) continue;
            size_t length = strlen(cli_flags[i].name);
            cr_assert_neq(strcmp(cli_flags[i].name, cli_flags[j].name), 0, "--%s twice", cli_flags[i].name);
            cr_assert_lt(cli_choice_index(cli_flags[j].aliases, cli_flags[i].name, length), 0, "--%s", cli_flags[i].name);
            bool same_letter = cli_flags[i].letter && cli_flags[i].letter == cli_flags[j].letter;
            cr_assert_not(same_letter, "-%c twice", cli_flags[i].letter);
        }
    }
}

Test(cli_args, edit_distance) {
    cr_assert_eq(cli_edit_distance("", ""), 0);
    cr_assert_eq(cli_edit_distance("steps", "steps"), 0);
    cr_assert_eq(cli_edit_distance("", "abc"), 3);
    cr_assert_eq(cli_edit_distance("abc", ""), 3);
    cr_assert_eq(cli_edit_distance("stesp", "steps"), 1);
    cr_assert_eq(cli_edit_distance("step", "steps"), 1);
    cr_assert_eq(cli_edit_distance("stxps", "steps"), 1);
    cr_assert_eq(cli_edit_distance("kitten", "sitting"), 3);
}

/* The inputs of vary, interp, textdiff and probe: lists of components, pair files by their names, how many of which. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/pairs.h"

Test(cli_pairs, lists_of_whole_numbers) {
    int *list = NULL;
    size_t count = 0;
    cli_error err = { 0 };
    cr_assert_eq(cli_parse_counts("--components", "20,30,320", 0, 400, &list, &count, &err), 0, "%s", err.message);
    cr_assert_eq(count, 3);
    cr_assert(list[0] == 20 && list[1] == 30 && list[2] == 320);
    free(list);
    cr_assert_eq(cli_parse_counts("--components", "0", 0, 400, &list, &count, &err), 0, "%s", err.message);
    cr_assert(count == 1 && list[0] == 0);
    free(list);
    static const char *const wrong[] = { "",    ",",   "1,",    ",1",  "1,,2", "1;2", "-1", "+1", " 1",
                                         "401", "1 2", "1.5", "0x10", "99999999999999999999", "5,x" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(cli_parse_counts("--components", wrong[i], 0, 400, &list, &count, &err), CLI_USAGE, "\"%s\"",
                     wrong[i]);
        cr_expect(strstr(err.message, "--components"), "%s", err.message);
        cr_expect_null(list);
    }
}

Test(cli_pairs, pair_files_by_their_names) {
    cr_expect(cli_is_pair_file("a.safetensors"));
    cr_expect(cli_is_pair_file("folder/a.b.safetensors"));
    cr_expect_not(cli_is_pair_file("a.png"));
    cr_expect_not(cli_is_pair_file(".safetensors"));
    cr_expect_not(cli_is_pair_file("safetensors"));
    cr_expect_not(cli_is_pair_file("-"));
}

static int begun(int argc, const char *const words[], size_t least, size_t most, cli_error *err) {
    cli_args args;
    cli_log log = { .stream = stderr, .least = CLI_ERROR };
    int code = cli_args_parse(&args, argc, (char *const *)(uintptr_t)words, NULL, err);
    if (code) return code;
    cli_pairs p = { .drawing = { .args = &args, .log = &log, .err = err } };
    code = cli_pairs_begin(&p, least, most, 1, err);
    if (!code) {
        cr_expect_eq(p.base.prompt_count, p.prompts.count);
        cr_expect_eq(p.base.seed, 7);
    }
    cli_pairs_free(&p);
    cli_args_free(&args);
    return code;
}
#define BEGUN(least, most, ...)                                                                               \
    begun((int)(sizeof((const char *[]){ "unclip-cuda", __VA_ARGS__ }) / sizeof(char *)),                     \
          (const char *[]){ "unclip-cuda", __VA_ARGS__, NULL }, least, most, &err)

Test(cli_pairs, what_is_refused_before_the_model_is_read) {
    static const char picture[] = UC_TEST_DATA "/goldens/images/exact-rgb.png";
    cli_error err = { 0 };
    cr_expect_eq(BEGUN(1, 1, "vary", picture, "-s", "7"), 0, "%s", err.message);
    cr_expect_eq(BEGUN(1, 1, "vary", "-i", picture, "-s", "7", "-p", "a ring"), 0, "%s", err.message);
    cr_expect_eq(BEGUN(2, 9, "interp", picture, picture, "-s", "7"), 0, "%s", err.message);
    cr_expect_eq(BEGUN(1, 1, "vary", picture, picture), CLI_USAGE);
    cr_expect_str_eq(err.message, "vary takes one picture or pair file, not 2: unclip-cuda vary IMAGE");
    cr_expect_eq(BEGUN(2, 9, "interp", picture), CLI_USAGE);
    cr_expect_str_eq(err.message, "interp takes 2 to 9 pictures or pair files, not 1");
    cr_expect_eq(BEGUN(1, 1, "probe", picture, "-p", "a", "-p", "b"), CLI_USAGE);
    cr_expect_str_eq(err.message, "probe takes one caption for the decoder, not 2");
    cr_expect_eq(BEGUN(1, 1, "textdiff", "no-such.png"), CLI_NO_INPUT);
    cr_expect(strstr(err.message, "no-such.png: "), "%s", err.message);
    cr_expect_eq(BEGUN(1, 1, "vary", picture, "--keep-pair", "no-such-folder/p.safetensors"), CLI_CANT_WRITE);
    cr_expect_eq(BEGUN(1, 1, "vary", picture, "-o", "no-such-folder/p.png"), CLI_CANT_WRITE);
    cr_expect_eq(BEGUN(1, 1, "interp", picture, "--from-noise"), CLI_USAGE, "not a flag of interp");
    cr_expect_eq(BEGUN(1, 1, "vary", picture, "--invert-steps", "1"), CLI_USAGE);
}

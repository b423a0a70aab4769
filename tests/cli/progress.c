/* What the waiting person sees, for given reports. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/progress.h"

static unclip_progress report(int step, int steps, size_t first, size_t count) {
    return (unclip_progress){ .struct_size = sizeof(unclip_progress), .stage = UNCLIP_STAGE_DECODER, .step = step,
                              .steps = steps, .first_image = first, .image_count = count };
}

Test(cli_progress, bar) {
    char text[512];
    unclip_progress half = report(12, 24, 0, 4);
    cli_progress_bar(text, sizeof text, &half, 4.0, 8, 79);
    cr_assert_str_eq(text, "decoder [============>            ] 12/24  3.00 it/s  ETA 0:04  images 1-4 of 8");
    cr_assert_leq(strlen(text), 79);
}

Test(cli_progress, bar_before_the_first_step_has_no_eta) {
    char text[512];
    unclip_progress start = report(0, 25, 0, 1);
    cli_progress_bar(text, sizeof text, &start, 0.0, 1, 79);
    cr_assert_not(strstr(text, "ETA"), "%s", text);
    cr_assert_not(strstr(text, "image"), "%s", text);
}

Test(cli_progress, bar_never_exceeds_the_terminal) {
    char text[512];
    for (size_t columns = 1; columns < 200; columns++) {
        for (int step = 0; step <= 1000; step += 125) {
            unclip_progress now = report(step, 1000, 99990, 10);
            cli_progress_bar(text, sizeof text, &now, step * 100.0, 1000000, columns);
            cr_assert_leq(strlen(text), columns, "%zu columns: \"%s\"", columns, text);
        }
    }
}

Test(cli_progress, line) {
    char text[512];
    unclip_progress done = report(25, 25, 0, 1), one = report(1, 1, 2, 1);
    cli_progress_line(text, sizeof text, &done, 5.0, 1);
    cr_assert_str_eq(text, "decoder: 25 steps in 5.00 s (5.00 it/s)");
    cli_progress_line(text, sizeof text, &one, 0.5, 8);
    cr_assert_str_eq(text, "decoder: 1 step in 0.50 s (2.00 it/s), image 3 of 8");
}

/* Runs a whole stage through a log that writes into memory; *text is to be freed. */
static void say_stage(char **text, bool json, cli_level least) {
    size_t size = 0;
    cli_log log = { .stream = open_memstream(text, &size), .json = json, .least = least };
    cli_progress progress;
    cli_progress_init(&progress, &log, 1);
    for (int step = 0; step <= 3; step++) {
        unclip_progress now = report(step, 3, 0, 1);
        cli_progress_show(&progress, &now);
    }
    fclose(log.stream);
}

Test(cli_progress, one_line_per_stage_without_a_terminal) {
    char *text = NULL;
    say_stage(&text, false, CLI_INFO);
    cr_assert_eq(strchr(text, '\n') - text, (long)strlen(text) - 1, "one line: %s", text);
    cr_assert_not(strchr(text, '\r'), "no bar in a file");
    free(text);
}

Test(cli_progress, quiet_says_nothing) {
    char *text = NULL;
    say_stage(&text, false, CLI_NOTICE);
    cr_assert_str_eq(text, "");
    free(text);
}

Test(cli_progress, json_has_every_step) {
    char *text = NULL;
    say_stage(&text, true, CLI_INFO);
    size_t lines = 0;
    for (char *c = text; *c; c++) lines += *c == '\n';
    cr_assert_eq(lines, 4);
    cr_assert(strstr(text, "\"stage\": \"decoder\", \"step\": 3, \"steps\": 3"), "%s", text);
    free(text);
}

/* A line after a bar erases it, once. */
Test(cli_log, a_line_erases_the_bar_once) {
    char *text = NULL;
    size_t size = 0;
    cli_log log = { .stream = open_memstream(&text, &size), .least = CLI_INFO, .bar_drawn = true };
    cli_say(&log, CLI_INFO, "%s", "one");
    cli_say(&log, CLI_WARNING, "%s", "two");
    cli_say(&log, CLI_DEBUG, "%s", "unsaid");
    fclose(log.stream);
    cr_assert_str_eq(text, "\r\033[Kone\nunclip-cuda: warning: two\n");
    free(text);
}

/* On a terminal every step redraws one line, and the finished stage leaves a plain one. */
Test(cli_progress, a_terminal_gets_a_bar) {
    char *text = NULL;
    size_t size = 0;
    cli_log log = { .stream = open_memstream(&text, &size), .least = CLI_INFO, .terminal = true };
    cli_progress progress;
    cli_progress_init(&progress, &log, 1);
    for (int step = 0; step <= 2; step++) {
        unclip_progress now = report(step, 2, 0, 1);
        cli_progress_show(&progress, &now);
    }
    fclose(log.stream);
    const char *last = strrchr(text, '\r');
    cr_assert(last);
    cr_assert_eq(strncmp(last, "\r\033[Kdecoder: 2 steps in ", 24), 0, "%s", last);
    cr_assert_eq(strchr(text, '\n') - text, (long)strlen(text) - 1, "one line remains");
    free(text);
}

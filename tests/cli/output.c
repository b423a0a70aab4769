/* Names of outputs, and what is refused before any work. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cli/output.h"

static char *name_of(const char *path, size_t count, size_t index) {
    cli_output output;
    cli_error err = { 0 };
    int code = cli_output_plan(&output, path, count, false, &err);
    cr_assert_eq(code, 0, "%s: %s", path ? path : "default", err.message);
    char *name = cli_output_name(&output, index);
    cli_output_free(&output);
    return name;
}

Test(cli_output, names) {
    static const struct { const char *path; size_t count, index; const char *name; } cases[] = {
        { NULL, 1, 0, "out.png" },         { NULL, 3, 2, "out-0002.png" },  { "a.png", 1, 0, "a.png" },
        { "a.png", 2, 1, "a-0001.png" },   { "a.PNG", 2, 1, "a-0001.png" }, { "a", 1, 0, "a" },
        { "a", 2, 0, "a-0000.png" },       { "d/", 1, 0, "d/0000.png" },    { "d/", 2, 1, "d/0001.png" },
        { "/x/a.b.png", 2, 0, "/x/a.b-0000.png" }, { "a.jpg", 2, 0, "a.jpg-0000.png" },
        { "a", 20000, 12345, "a-12345.png" },      { "d/.png", 2, 0, "d/.png-0000.png" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *name = name_of(cases[i].path, cases[i].count, cases[i].index);
        cr_assert_str_eq(name, cases[i].name, "case %zu", i);
        free(name);
    }
}

Test(cli_output, a_folder_that_exists_needs_no_slash) {
    char *name = name_of("/tmp", 1, 0);
    cr_assert_str_eq(name, "/tmp/0000.png");
    free(name);
}

Test(cli_output, standard_output_takes_one_picture) {
    cli_output output;
    cli_error err = { 0 };
    cr_assert_eq(cli_output_plan(&output, "-", 1, false, &err), 0);
    cr_assert(output.to_stdout);
    cr_assert_eq(cli_output_plan(&output, "-", 2, false, &err), CLI_USAGE);
    cr_assert_eq(cli_output_plan(&output, NULL, 1, true, &err), 0);
    cr_assert(output.to_stdout, "a pipe gets the picture");
    cr_assert_eq(cli_output_plan(&output, NULL, 2, true, &err), 0);
    cr_assert_not(output.to_stdout, "two pictures do not go down a pipe");
    cli_output_free(&output);
    cr_assert_eq(cli_output_plan(&output, "a.png", 1, true, &err), 0);
    cr_assert_not(output.to_stdout, "a named file beats the pipe");
    cli_output_free(&output);
}

/* A fresh folder for one case. */
static char *new_folder(void) {
    char *folder = strdup("/tmp/unclip-cli-XXXXXX");
    cr_assert(mkdtemp(folder));
    return folder;
}

static int check(const char *folder, const char *rest, char *message, size_t size) {
    char path[512];
    cli_error err = { 0 };
    snprintf(path, sizeof path, "%s/%s", folder, rest);
    int code = cli_check_writable(path, &err);
    snprintf(message, size, "%s", err.message);
    return code;
}

Test(cli_output, checks_before_work) {
    char *folder = new_folder(), message[1200], path[600];
    cr_assert_eq(check(folder, "a.png", message, sizeof message), 0, "%s", message);
    snprintf(path, sizeof path, "%s/a.png", folder);
    cr_assert_neq(access(path, F_OK), 0, "the check left %s behind", path);
    cr_assert_eq(rmdir(folder), 0, "the check left something in the folder");
    cr_assert_eq(mkdir(folder, 0700), 0);

    cr_assert_eq(check(folder, "none/a.png", message, sizeof message), CLI_CANT_WRITE);
    cr_assert(strstr(message, "none"), "%s", message);
    cr_assert_eq(check(folder, "", message, sizeof message), CLI_CANT_WRITE, "a folder is no picture");
    char longest[400];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(check(folder, longest, message, sizeof message), CLI_CANT_WRITE, "a name that is too long");

    FILE *file = fopen(path, "w");
    cr_assert(file);
    fclose(file);
    cr_assert_eq(check(folder, "a.png", message, sizeof message), 0, "an old picture is replaced");
    cr_assert_eq(check(folder, "a.png/b.png", message, sizeof message), CLI_CANT_WRITE, "a file is no folder");
    unlink(path);
    rmdir(folder);
    free(folder);
}

Test(cli_output, proc_cannot_be_written_even_by_root) {
    cli_error err = { 0 };
    cr_assert_eq(cli_check_writable("/proc/a.png", &err), CLI_CANT_WRITE);
}

Test(cli_output, disk_full_may_be_tried_again) {
    cli_error err = { 0 };
    cr_assert_eq(cli_fail_write(&err, "x", 28 /* ENOSPC */), CLI_TRY_AGAIN);
    cr_assert_eq(cli_fail_write(&err, "x", 13 /* EACCES */), CLI_CANT_WRITE);
}

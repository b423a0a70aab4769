/* labels.c - how --labels is split. */
#include <criterion/criterion.h>
#include <string.h>

#include "host/cli/labels.h"

static cli_labels split(size_t count, const char *const items[], int code) {
    cli_labels labels;
    cli_error err = { 0 };
    const cli_list list = { (const char **)(uintptr_t)items, count };
    cr_assert_eq(cli_labels_split(&labels, &list, &err), code, "%s", err.message);
    return labels;
}

static void expect(cli_labels labels, size_t count, const char *const want[]) {
    cr_assert_eq(labels.count, count);
    for (size_t i = 0; i < count; i++) cr_expect_str_eq(labels.items[i].text, want[i]);
    cli_labels_free(&labels);
}

Test(cli_labels, one_is_split_at_its_commas_several_are_kept) {
    static const char *const one[] = { " a red cube,a ring ,\tb,c" }, *const two[] = { "left, right", " b" };
    expect(split(1, one, CLI_OK), 4, (const char *const[]){ "a red cube", "a ring", "b", "c" });
    expect(split(2, two, CLI_OK), 2, two);
    expect(split(1, two + 1, CLI_OK), 1, (const char *const[]){ "b" });
}

Test(cli_labels, empty_ones_are_refused) {
    static const char *const wrong[] = { "", ",", "a,", ",a", "a, ,b" }, *const two[] = { "a", "" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) cr_expect_eq(split(1, wrong + i, CLI_USAGE).count, 0);
    split(2, two, CLI_USAGE);
}

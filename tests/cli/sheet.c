/* sheet.c - contact sheets: layout, scaling, labels and order of the grid; and that the page is well-formed, escaped
 * and needs nothing from outside. Works on pictures made here: no model is run. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/font.h"
#include "host/cli/sheet.h"
#include "host/image/png_read.h"

enum { SIDE = 64 };
static const char nasty[] = "a <script>alert(1)</script> & \"b\" 'c' ]]> --> \xc3\xa9 \x01\n";

/* A picture of one level, which tells it from the others. */
static void add(cli_sheet *sheet, size_t index, const char *settings, double theta, int side) {
    uint8_t *rgb = malloc((size_t)side * (size_t)side * 3);
    memset(rgb, (int)(10 + 20 * index), (size_t)side * (size_t)side * 3);
    const unclip_image image = { .struct_size = sizeof image, .width = side, .height = side, .rgb = rgb, .index = index,
                                 .seed = 100 + index, .theta = theta, .cosine = 1 - theta / 4,
                                 .components = (int)(10 * index), .parameters_json = settings,
                                 .stage_seconds = { 0, 0.5, 0, 0 } };
    cli_error err = { 0 };
    cr_assert_eq(cli_sheet_add(sheet, &image, &err), CLI_OK, "%s", err.message);
    free(rgb);
}

static cli_sheet asked(void) {
    return (cli_sheet){ .png = "s.png", .html = "s.html", .command = "interp", .planned = 4 };
}

static const char path_settings[] = "{\"task\": \"interp\", \"theta\": 0.5}";

/* ---- parts ------------------------------------------------------------------------------------------------------- */

Test(cli_sheet, columns_leave_no_gaps_where_they_need_not) {
    static const size_t cases[][2] = { { 1, 1 }, { 5, 5 },  { 6, 6 },   { 7, 3 },   { 8, 4 },    { 9, 3 },    { 10, 5 },
                                       { 12, 4 }, { 15, 5 }, { 16, 4 }, { 100, 10 }, { 101, 11 }, { 400, 20 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(cli_sheet_columns(cases[i][0]), cases[i][1], "%zu pictures in %zu columns", cases[i][0],
                     cli_sheet_columns(cases[i][0]));
    for (size_t n = 1; n <= CLI_SHEET_MOST; n++) {
        const size_t columns = cli_sheet_columns(n);
        cr_assert(columns >= 1 && columns <= n && columns * columns <= 2 * n + 24, "%zu in %zu", n, columns);
    }
}

Test(cli_sheet, pictures_shrink_to_means_and_grow_by_repetition) {
    uint8_t in[6 * 6 * 3], out[12 * 12 * 3];
    for (int i = 0; i < 6 * 6 * 3; i++) in[i] = (uint8_t)(i * 37 % 256);
    cli_resize_square(in, 6, out, 2);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 2; x++)
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int k = 0; k < 9; k++) sum += in[((3 * y + k / 3) * 6 + 3 * x + k % 3) * 3 + c];
                cr_expect_float_eq(out[(y * 2 + x) * 3 + c], sum / 9, 1.01, "%d %d %d", y, x, c);
            }
    cli_resize_square(in, 6, out, 12);
    for (int i = 0; i < 12 * 12; i++) cr_expect_arr_eq(out + 3 * i, in + 3 * (i / 12 / 2 * 6 + i % 12 / 2), 3);
    memset(in, 77, sizeof in);
    cli_resize_square(in, 6, out, 5);
    for (int i = 0; i < 5 * 5 * 3; i++) cr_expect_eq(out[i], 77);
}

Test(cli_sheet, every_letter_has_its_own_dots) {
    for (int a = ' '; a <= '~'; a++)
        for (int b = ' '; b < a; b++) {
            bool same = true;
            for (int i = 0; i < CLI_FONT_WIDTH * CLI_FONT_HEIGHT && same; i++)
                same = cli_font_dot((unsigned char)a, i % CLI_FONT_WIDTH, i / CLI_FONT_WIDTH) ==
                       cli_font_dot((unsigned char)b, i % CLI_FONT_WIDTH, i / CLI_FONT_WIDTH);
            cr_expect(!same, "%c and %c look the same", a, b);
        }
    for (int y = 0; y < CLI_FONT_HEIGHT; y++)
        for (int x = 0; x < CLI_FONT_WIDTH; x++) {
            cr_expect_not(cli_font_dot(' ', x, y));
            cr_expect_eq(cli_font_dot(200, x, y), cli_font_dot('?', x, y));
        }
}

Test(cli_sheet, labels_say_what_differs) {
    cli_sheet sheet = asked();
    char text[256];
    add(&sheet, 1, path_settings, 0.25, SIDE);
    add(&sheet, 2, "{\"task\": \"probe\", \"theta\": 0}", 0, SIDE);
    add(&sheet, 3, "{\"prompt\": \"a cube\"}", 0, SIDE);
    add(&sheet, 4, "{\"task\": \"textdiff\", \"from\": \"red\", \"to\": \"blue\", \"theta\": 0}", 0, SIDE);
    static const char *const want[][2] = { { "theta 0.250", "cosine 0.938" }, { "20 components", "cosine 1.000" },
                                           { "seed 103", "" }, { "theta 0.000", "cosine 1.000" } };
    for (int i = 0; i < 8; i++) {
        cli_frame_label(&sheet, &sheet.frames[i / 2], i % 2, text, sizeof text);
        cr_expect_str_eq(text, want[i / 2][i % 2]);
    }
    cr_expect_str_eq(sheet.frames[3].prompt, "red to blue");
    cr_expect_str_eq(cli_sheet_title(&sheet), "interp", "the first frame has no words");
    cli_sheet_free(&sheet);
}

/* ---- the grid ---------------------------------------------------------------------------------------------------- */

static const uint8_t *pixel(const unclip_image *image, int x, int y) {
    return image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

/* Cells are 128 pixels, twice 64, 12 apart; found again by their levels. */
Test(cli_sheet, the_grid_has_each_picture_in_the_order_of_the_indices) {
    cli_sheet sheet = asked();
    static const size_t arrival[] = { 2, 0, 3, 1 };
    char folder[] = "/tmp/unclip-sheet-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s.png", folder);
    sheet.png = path;
    sheet.html = NULL;
    for (int i = 0; i < 4; i++) add(&sheet, arrival[i], path_settings, (double)arrival[i], SIDE);
    cli_error err = { 0 };
    cr_assert_eq(cli_sheet_finish(&sheet, &err), CLI_OK, "%s", err.message);
    unclip_image image;
    cr_assert(cli_sheet_grid(&sheet, &image));
    cr_assert_eq(image.width, 12 + 4 * 140);
    for (int k = 0; k < 4; k++)
        for (int dot = 0; dot < 2; dot++) {
            const uint8_t *p = pixel(&image, 12 + 140 * k + 127 * dot, 34 + 127 * dot);
            cr_expect_eq(p[0], 10 + 20 * k, "picture %d: level %d", k, p[0]);
        }
    int ink = 0;
    for (int y = 34 + 128; y < image.height; y++)
        for (int x = 0; x < image.width; x++) ink += *pixel(&image, x, y) < 200;
    cr_expect_gt(ink, 4 * 10 * 8, "the labels have %d dots", ink);
    uint8_t *rgb = NULL, png[1 << 16];
    int width = 0, height = 0;
    FILE *file = fopen(path, "rb");
    const size_t size = fread(png, 1, sizeof png, file);
    fclose(file);
    unclip_error error = { 0 };
    cr_assert_eq(uc_png_read(png, size, &rgb, &width, &height, &error), UNCLIP_OK, "%s", error.message);
    cr_assert(width == image.width && height == image.height);
    cr_expect_arr_eq(rgb, image.rgb, (size_t)width * (size_t)height * 3, "the file is the grid");
    remove(path);
    remove(folder);
    free(rgb);
    free((void *)(uintptr_t)image.rgb);
    cli_sheet_free(&sheet);
}

Test(cli_sheet, the_largest_grid_is_a_picture_that_can_be_read) {
    cli_sheet sheet = asked();
    sheet.planned = CLI_SHEET_MOST;
    for (size_t i = 0; i < CLI_SHEET_MOST; i++) add(&sheet, i, "{\"prompt\": \"a cube\"}", 0, 300);
    cr_expect_eq(sheet.frames[0].side, 256, "many large pictures are kept small");
    unclip_image image;
    cr_assert(cli_sheet_grid(&sheet, &image));
    cr_expect(image.width <= UC_PNG_MAX_SIDE && image.height <= UC_PNG_MAX_SIDE + 1024, "%d x %d", image.width,
              image.height);
    free((void *)(uintptr_t)image.rgb);
    cli_sheet_free(&sheet);
}

/* A title longer than the sheet, in letters of several bytes, beside a picture of one pixel. */
Test(cli_sheet, odd_sizes_and_long_titles_stay_inside) {
    cli_sheet sheet = asked();
    char settings[4096] = "{\"prompt\": \"";
    for (int i = 0; i < 500; i++) strcat(settings, "\xc3\xa9w");
    strcat(settings, "\"}");
    add(&sheet, 0, settings, 0, 1);
    unclip_image image;
    cr_assert(cli_sheet_grid(&sheet, &image));
    cr_expect_gt(image.width, 100);
    free((void *)(uintptr_t)image.rgb);
    cli_sheet_free(&sheet);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static char *page_of(const char *prompt_settings, int frames) {
    cli_sheet sheet = asked();
    for (int i = 0; i < frames; i++) add(&sheet, (size_t)i, prompt_settings, i / 4.0, SIDE);
    size_t size = 0;
    char *page = cli_sheet_page(&sheet, &size);
    cr_assert_not_null(page);
    cr_assert_eq(strlen(page), size);
    cli_sheet_free(&sheet);
    return page;
}

static char *json_settings(const char *prompt) {
    char *json = malloc(6 * strlen(prompt) + 64), *at = json;
    at += sprintf(at, "{\"theta\": 0, \"prompt\": \"");
    for (const char *c = prompt; *c; c++) {
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20) at += sprintf(at, "\\u%04x", *c);
        else *at++ = *c;
    }
    strcpy(at, "\"}");
    return json;
}

/* Reads the page as XML reads its elements: every tag closed in order, attributes quoted, no stray < or &. */
static void expect_well_formed(const char *page) {
    char open[64][16];
    int depth = 0;
    const char *at = page + strcspn(page, ">") + 1; /* behind the doctype */
    cr_assert_eq(strncmp(page, "<!DOCTYPE html>", 15), 0);
    while (*at) {
        if (*at == '&') {
            const size_t name = strspn(at + 1, "#abcdefghijklmnopqrstuvwxyz0123456789");
            cr_assert(name && at[1 + name] == ';', "a stray & in \"%.30s\"", at);
        }
        if (*at++ != '<') continue;
        const bool closing = *at == '/';
        at += closing;
        char name[16] = "";
        const size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789");
        cr_assert(length > 0 && length < sizeof name, "a stray < in \"%.30s\"", at - 1);
        memcpy(name, at, length);
        at += length;
        while (*at == ' ') {
            at += strspn(at, " ");
            if (*at == '/' || *at == '>') break;
            at += strcspn(at, "= />");
            cr_assert(at[0] == '=' && at[1] == '"', "%s: an attribute without a quoted value: %.30s", name, at);
            at += 2 + strcspn(at + 2, "\"<");
            cr_assert_eq(*at++, '"', "%s: an attribute that does not end", name);
        }
        const bool alone = *at == '/';
        at += alone;
        cr_assert_eq(*at++, '>', "%s: the tag does not end: %.30s", name, at - 1);
        if (closing) cr_assert(depth > 0 && !strcmp(open[--depth], name), "</%s> closes <%s>", name, open[depth]);
        else if (!alone) {
            cr_assert_lt(depth, 64);
            strcpy(open[depth++], name);
        }
    }
    cr_assert_eq(depth, 0, "%d elements are left open", depth);
}

Test(cli_sheet, the_page_is_well_formed_whatever_the_prompt_says) {
    static const char *const prompts[] = { nasty, "", "</title></style></pre>", "&amp;<!--", "\" onload=\"x" };
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        char *settings = json_settings(prompts[i]), *page = page_of(settings, 3);
        expect_well_formed(page);
        cr_expect_null(strstr(page, "<script"), "%s", prompts[i]);
        cr_expect_null(strstr(page, "\" onload"), "%s", prompts[i]);
        cr_expect_null(strchr(page, '\x01'), "control characters are left out");
        free(page);
        free(settings);
    }
    char *settings = json_settings(nasty), *page = page_of(settings, 1);
    cr_expect(strstr(page, "<h1>a &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;b&quot; &#39;c&#39; "), "%s",
              strstr(page, "<h1>"));
    free(page);
    free(settings);
}

Test(cli_sheet, the_page_names_frames_and_times_and_loads_nothing) {
    char *page = page_of(path_settings, 3);
    static const char *const wanted[] = { "<b>theta 0.000</b>", "<b>theta 0.500</b>", "cosine 0.938", "seed 102",
                                          "<th>decoder</th>", "<td>0.500</td>", "prefers-color-scheme: dark",
                                          "default-src 'none'; img-src data:", "3 pictures of 64 x 64 pixels" };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) cr_expect(strstr(page, wanted[i]), "%s", wanted[i]);
    cr_expect_null(strstr(page, "<th>prior</th>"), "a stage that did not run has no column");
    int pictures = 0;
    for (const char *at = page; (at = strstr(at, "src=\"")); at++) {
        cr_expect_eq(strncmp(at, "src=\"data:image/png;base64,iVBORw0KGgo", 37), 0, "%.40s", at);
        pictures++;
    }
    cr_expect_eq(pictures, 3);
    static const char *const outside[] = { "http:", "https:", "url(", "@import", "href", "<link", "<script" };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        cr_expect_null(strstr(page, outside[i]), "%s", outside[i]);
    free(page);
}

/* What a browser would make of the data: the PNG that was put in. */
Test(cli_sheet, the_pages_pictures_are_the_pictures) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *page = page_of(path_settings, 2), *at = page;
    for (int k = 0; k < 2; k++) {
        at = strstr(at, "base64,") + 7;
        const size_t length = strcspn(at, "\"");
        cr_assert_eq(length % 4, 0);
        uint8_t *png = malloc(length), *rgb = NULL;
        size_t size = 0;
        for (size_t i = 0; i < length; i += 4) {
            uint32_t bits = 0;
            for (int c = 0; c < 4; c++) {
                const char *digit = strchr(digits, at[i + (size_t)c]);
                cr_assert(digit || at[i + (size_t)c] == '=');
                bits = bits << 6 | (digit ? (uint32_t)(digit - digits) : 0);
            }
            for (int b = 0; b < 3 && at[i + 1 + (size_t)b] != '='; b++) png[size++] = (uint8_t)(bits >> (16 - 8 * b));
        }
        int width = 0, height = 0;
        unclip_error err = { 0 };
        cr_assert_eq(uc_png_read(png, size, &rgb, &width, &height, &err), UNCLIP_OK, "%s", err.message);
        cr_assert(width == SIDE && height == SIDE);
        for (int i = 0; i < SIDE * SIDE * 3; i++) cr_assert_eq(rgb[i], 10 + 20 * k);
        free(rgb);
        free(png);
    }
    free(page);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

static int begin(const char *flag, const char *path, size_t pictures, char *message) {
    const char *const words[] = { "unclip-cuda", "x", flag, path, NULL };
    cli_args args;
    cli_sheet sheet;
    cli_error err = { 0 };
    cr_assert_eq(cli_args_parse(&args, 4, (char *const *)(uintptr_t)words, NULL, &err), CLI_OK, "%s", err.message);
    const int code = cli_sheet_begin(&sheet, &args, pictures, &err);
    snprintf(message, 256, "%.250s", err.message);
    cli_sheet_free(&sheet);
    cli_args_free(&args);
    return code;
}

Test(cli_sheet, wrong_places_and_too_many_pictures_are_refused_by_name) {
    char message[256];
    cr_expect_eq(begin("--sheet", "/proc/s.png", 3, message), CLI_CANT_WRITE);
    cr_expect_eq(begin("--html", "no-such-folder/s.html", 3, message), CLI_CANT_WRITE);
    cr_expect(strstr(message, "no-such-folder"), "%s", message);
    cr_expect_eq(begin("--html", "/dev/null", CLI_SHEET_MOST, message), CLI_OK);
    cr_expect_eq(begin("--html", "/dev/null", CLI_SHEET_MOST + 1, message), CLI_USAGE);
    cr_expect(strstr(message, "--html") && strstr(message, "400"), "%s", message);
}

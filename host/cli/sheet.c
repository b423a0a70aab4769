/* sheet.c - see sheet.h: pictures are collected, then laid out by sheet_grid.c and sheet_page.c. */
#include "sheet.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "text.h"

/* Few pictures are kept large. */
enum { LARGE_SIDE = 512, SMALL_SIDE = 256, FEW = 16 };

int cli_sheet_begin(cli_sheet *sheet, const cli_args *args, size_t pictures, cli_error *err) {
    const cli_value *flag = args->flag;
    *sheet = (cli_sheet){ .png = flag[CLI_FLAG_SHEET].text,
                          .html = flag[CLI_FLAG_HTML].text,
                          .command = cli_command_name(args->command),
                          .planned = pictures };
    if (!sheet->png && !sheet->html) return CLI_OK;
    if (pictures > CLI_SHEET_MOST)
        return cli_fail(err, CLI_USAGE, "--%s: a contact sheet holds at most %d pictures, not %zu",
                        sheet->png ? "sheet" : "html", (int)CLI_SHEET_MOST, pictures);
    int code = sheet->png ? cli_check_writable(sheet->png, err) : CLI_OK;
    if (!code && sheet->html) code = cli_check_writable(sheet->html, err);
    return code;
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

/* Means over [i * from / to, (i + 1) * from / to), in units of 1 / to of a sample. */
static void resize_lines(const uint8_t *in, int from, int to, int64_t lines, int64_t line, int64_t step, uint8_t *out,
                         int64_t out_line, int64_t out_step) {
    for (int64_t l = 0; l < lines; l++)
        for (int i = 0; i < to; i++)
            for (int c = 0; c < 3; c++) {
                const int64_t begin = (int64_t)i * from, end = begin + from;
                int64_t sum = 0;
                for (int64_t k = begin / to; k * to < end; k++) {
                    const int64_t left = k * to > begin ? k * to : begin,
                                  right = (k + 1) * to < end ? (k + 1) * to : end;
                    sum += (right - left) * in[l * line + k * step + c];
                }
                out[l * out_line + i * out_step + c] = (uint8_t)((2 * sum + from) / (2 * from));
            }
}

void cli_resize_square(const uint8_t *rgb, int from, uint8_t *out, int to) {
    uint8_t *between = malloc((size_t)from * (size_t)to * 3);
    if (!between) { /* a sheet is worth less than the run: the nearest samples do */
        for (int64_t i = 0; i < (int64_t)to * to; i++)
            memcpy(out + 3 * i, rgb + 3 * (i / to * from / to * from + i % to * from / to), 3);
        return;
    }
    resize_lines(rgb, from, to, from, 3 * (int64_t)from, 3, between, 3 * (int64_t)to, 3);
    resize_lines(between, from, to, to, 3, 3 * (int64_t)to, out, 3, 3 * (int64_t)to);
    free(between);
}

/* The caption; of a text diff without one its two texts. */
static char *words_of(const json_t *settings) {
    const char *prompt = json_string_value(json_object_get(settings, "prompt"));
    const char *from = json_string_value(json_object_get(settings, "from"));
    const char *to = json_string_value(json_object_get(settings, "to"));
    if (prompt || !to) return strdup(prompt ? prompt : "");
    const size_t size = strlen(to) + (from ? strlen(from) : 0) + 8;
    char *words = malloc(size);
    if (words) snprintf(words, size, "%s%sto %s", from ? from : "", from ? " " : "", to);
    return words;
}

static bool read_settings(cli_frame *frame, const char *json) {
    json_t *root = json ? json_loads(json, 0, NULL) : NULL;
    const char *task = json_string_value(json_object_get(root, "task"));
    frame->prompt = words_of(root);
    frame->settings = root ? json_dumps(root, JSON_INDENT(1)) : strdup("{}");
    frame->has_components = task && strcmp(task, "probe") == 0;
    frame->on_path = json_object_get(root, "theta") != NULL;
    json_decref(root);
    return frame->prompt && frame->settings;
}

static void free_frame(cli_frame *frame) {
    free(frame->rgb);
    free(frame->prompt);
    free(frame->settings);
}

int cli_sheet_add(cli_sheet *sheet, const unclip_image *image, cli_error *err) {
    if (!sheet->png && !sheet->html) return CLI_OK;
    const int most = sheet->planned > FEW ? SMALL_SIDE : LARGE_SIDE;
    const int drawn = image->width < image->height ? image->width : image->height;
    cli_frame frame = { .side = drawn < most ? drawn : most,
                        .drawn_side = drawn,
                        .index = image->index,
                        .prompt_index = image->prompt_index,
                        .seed = image->seed,
                        .theta = image->theta,
                        .cosine = image->cosine,
                        .components = image->components };
    memcpy(frame.seconds, image->stage_seconds, sizeof frame.seconds);
    frame.rgb = malloc((size_t)frame.side * (size_t)frame.side * 3);
    cli_frame *grown = realloc(sheet->frames, (sheet->count + 1) * sizeof *grown);
    if (grown) sheet->frames = grown;
    if (!grown || !frame.rgb || !read_settings(&frame, image->parameters_json)) {
        free_frame(&frame);
        return cli_fail(err, CLI_TRY_AGAIN, "out of memory for a contact sheet");
    }
    cli_resize_square(image->rgb, drawn, frame.rgb, frame.side);
    grown[sheet->count++] = frame;
    return CLI_OK;
}

void cli_sheet_free(cli_sheet *sheet) {
    for (size_t i = 0; i < sheet->count; i++) free_frame(&sheet->frames[i]);
    free(sheet->frames);
    *sheet = (cli_sheet){ 0 };
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool one_prompt(const cli_sheet *sheet) {
    for (size_t i = 1; i < sheet->count; i++)
        if (sheet->frames[i].prompt_index != sheet->frames[0].prompt_index) return false;
    return true;
}

const char *cli_sheet_title(const cli_sheet *sheet) {
    return sheet->count && one_prompt(sheet) && sheet->frames[0].prompt[0] ? sheet->frames[0].prompt : sheet->command;
}

void cli_frame_label(const cli_sheet *sheet, const cli_frame *frame, int line, char *out, size_t size) {
    out[0] = '\0';
    if (line == 1 && frame->on_path) snprintf(out, size, "cosine %.3f", frame->cosine);
    else if (line == 1 && !one_prompt(sheet)) snprintf(out, size, "%s", frame->prompt);
    if (line == 1) return;
    if (frame->has_components)
        snprintf(out, size, "%d component%s", frame->components, frame->components == 1 ? "" : "s");
    else if (frame->on_path) snprintf(out, size, "theta %.3f", frame->theta);
    else snprintf(out, size, "seed %" PRIu64, frame->seed);
}

size_t cli_sheet_columns(size_t n) {
    size_t columns = 1;
    if (n <= 6) return n ? n : 1;
    while (columns * columns < n) columns++;
    for (size_t wider = columns; wider <= columns + 2; wider++)
        if (n % wider == 0) return wider;
    return columns;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b) {
    const cli_frame *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static int write_grid(const cli_sheet *sheet, cli_error *err) {
    unclip_image image;
    if (!cli_sheet_grid(sheet, &image)) return cli_fail(err, CLI_TRY_AGAIN, "%s: out of memory", sheet->png);
    const int code = cli_write_image(&image, sheet->png, err);
    free((void *)(uintptr_t)image.rgb);
    return code;
}

static int write_page(const cli_sheet *sheet, cli_error *err) {
    size_t size = 0;
    char *page = cli_sheet_page(sheet, &size);
    if (!page) return cli_fail(err, CLI_TRY_AGAIN, "%s: out of memory", sheet->html);
    const int code = cli_write_file(sheet->html, page, size, err);
    free(page);
    return code;
}

int cli_sheet_finish(cli_sheet *sheet, cli_error *err) {
    if (!sheet->count) return CLI_OK;
    qsort(sheet->frames, sheet->count, sizeof *sheet->frames, by_index);
    int code = sheet->png ? write_grid(sheet, err) : CLI_OK;
    if (!code && sheet->html) code = write_page(sheet, err);
    return code;
}

/* roofline.c - unclip-bench roofline RESULTS -o PICTURE.svg: every operation of a result file as a point, arithmetic
 * done a second over arithmetic a byte, under the limits that the same run measured. Both axes are logarithmic; a
 * point's area is its share of the launch's time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "results.h"

enum { WIDTH = 900, HEIGHT = 600, LEFT = 80, RIGHT = 20, TOP = 40, BOTTOM = 60 };

typedef struct picture {
    FILE *f;
    const char *type;         /* "f32": which rows */
    double band, peak;        /* limits */
    double low_x, high_x, low_y, high_y; /* powers of ten at the edges */
    double total;             /* seconds of all rows */
} picture;

static double x_of(const picture *p, double intensity) {
    return LEFT + (WIDTH - LEFT - RIGHT) * (log10(intensity) - p->low_x) / (p->high_x - p->low_x);
}

static double y_of(const picture *p, double rate) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(rate) - p->low_y) / (p->high_y - p->low_y);
}

static const char *colour_of(const char *op) {
    static const char *const table[][2] = { { "conv2d", "#1f77b4" },     { "matmul", "#ff7f0e" },
                                            { "group_norm", "#2ca02c" }, { "attention", "#d62728" },
                                            { "noise_step", "#9467bd" }, { "layer_norm", "#8c564b" } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(op, table[i][0])) return table[i][1];
    return "#7f7f7f";
}

/* Names are ours and need no more than this. */
static void put_escaped(FILE *f, const char *text) {
    for (; *text; text++) {
        if (*text == '<') fputs("&lt;", f);
        else if (*text == '>') fputs("&gt;", f);
        else if (*text == '&') fputs("&amp;", f);
        else fputc(*text, f);
    }
}

static bool is_point(const picture *p, const json_t *row) {
    return !strcmp(bench_text(row, "bench"), "ops") && !strcmp(bench_text(row, "part"), "plan") &&
           !strcmp(bench_text(row, "type"), p->type) && bench_number(row, "flops") > 0 &&
           bench_number(row, "bytes") > 0 && bench_number(row, "p50_s") > 0;
}

static void find_extent(picture *p, const json_t *rows) {
    p->low_x = -1, p->high_x = 3;
    p->high_y = ceil(log10(p->peak) + 0.2);
    p->low_y = p->high_y - 4;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!is_point(p, row)) continue;
        const double flops = bench_number(row, "flops"), seconds = bench_number(row, "p50_s");
        p->low_x = fmin(p->low_x, floor(log10(flops / bench_number(row, "bytes"))));
        p->high_x = fmax(p->high_x, ceil(log10(flops / bench_number(row, "bytes"))));
        p->low_y = fmin(p->low_y, floor(log10(flops / seconds)));
        p->high_y = fmax(p->high_y, ceil(log10(flops / seconds)));
        p->total += seconds * bench_number(row, "times");
    }
}

static void draw_axes(const picture *p) {
    for (int e = (int)p->low_x; e <= (int)p->high_x; e++) {
        const double x = x_of(p, pow(10, e));
        fprintf(p->f, "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#ddd'/>\n", x, TOP, x, HEIGHT - BOTTOM);
        fprintf(p->f, "<text x='%.1f' y='%d' text-anchor='middle'>%g</text>\n", x, HEIGHT - BOTTOM + 18, pow(10, e));
    }
    for (int e = (int)p->low_y; e <= (int)p->high_y; e++) {
        const double y = y_of(p, pow(10, e));
        fprintf(p->f, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/>\n", LEFT, y, WIDTH - RIGHT, y);
        fprintf(p->f, "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n", LEFT - 6, y + 4, pow(10, e - 9));
    }
    fprintf(p->f, "<text x='%d' y='%d' text-anchor='middle'>FLOP a byte</text>\n", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 20);
    fprintf(p->f, "<text x='20' y='%d' text-anchor='middle' transform='rotate(-90 20 %d)'>GFLOP/s</text>\n",
            HEIGHT / 2, HEIGHT / 2);
}

static void draw_roof(const picture *p) {
    const double ridge = p->peak / p->band, left = pow(10, p->low_x), right = pow(10, p->high_x);
    const double bottom = pow(10, p->low_y), begin = fmax(left, bottom / p->band);
    fprintf(p->f, "<polyline fill='none' stroke='black' stroke-width='2' points='%.1f,%.1f %.1f,%.1f %.1f,%.1f'/>\n",
            x_of(p, begin), y_of(p, begin * p->band), x_of(p, ridge), y_of(p, p->peak), x_of(p, right),
            y_of(p, p->peak));
}

static void draw_points(const picture *p, const json_t *rows) {
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (!is_point(p, row)) continue;
        const double flops = bench_number(row, "flops"), seconds = bench_number(row, "p50_s");
        const double part = p->total > 0 ? seconds * bench_number(row, "times") / p->total : 0;
        fprintf(p->f, "<circle cx='%.1f' cy='%.1f' r='%.1f' fill='%s' fill-opacity='0.6'><title>",
                x_of(p, flops / bench_number(row, "bytes")), y_of(p, flops / seconds), 2 + 40 * sqrt(part),
                colour_of(bench_text(row, "op")));
        put_escaped(p->f, bench_text(row, "name"));
        fprintf(p->f, ": %.3g ms, %.0f %% of the limit, %.1f %% of the time</title></circle>\n", 1e3 * seconds,
                100 * bench_number(row, "share"), 100 * part);
    }
}

static void draw(picture *p, const json_t *rows, const json_t *limits) {
    fprintf(p->f, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' "
            "font-size='12'>\n<rect width='100%%' height='100%%' fill='white'/>\n", WIDTH, HEIGHT);
    fprintf(p->f, "<text x='%d' y='22' font-size='14'>", LEFT);
    put_escaped(p->f, bench_text(json_object_get(json_object_get(limits, "context"), "machine"), "cpu"));
    fprintf(p->f, ", %s, %s, commit %s: %.1f GB/s, %.0f GFLOP/s</text>\n", bench_context_text(limits, "device"),
            p->type, bench_context_text(limits, "commit"), 1e-9 * p->band, 1e-9 * p->peak);
    draw_axes(p);
    draw_roof(p);
    draw_points(p, rows);
    fputs("</svg>\n", p->f);
}

static unclip_status write_picture(const bench_options *o, const json_t *rows, const json_t *limits,
                                   unclip_error *err) {
    char key[64];
    picture p = { .type = bench_type_name(bench_dtype(o->type)), .band = bench_number(limits, "bytes_per_second") };
    snprintf(key, sizeof key, "%s_flops_per_second", p.type);
    p.peak = bench_number(limits, key);
    if (p.band <= 0 || p.peak <= 0)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s has no limits of %s", o->operand[0], p.type);
    p.f = fopen(o->output, "w");
    if (!p.f) return uc_fail(err, UNCLIP_ERR_WRITE, "%s: cannot be written", o->output);
    find_extent(&p, rows);
    draw(&p, rows, limits);
    const bool good = !ferror(p.f);
    return fclose(p.f) == 0 && good ? UNCLIP_OK : uc_fail(err, UNCLIP_ERR_WRITE, "%s: cannot be written", o->output);
}

unclip_status bench_roofline(const bench_options *o, unclip_error *err) {
    json_t *rows = NULL;
    const json_t *limits = NULL;
    if (o->operands != 1 || !o->output)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "roofline wants one result file and --output PICTURE.svg");
    unclip_status status = bench_results_read(&rows, o->operand[0], err);
    for (size_t i = 0; !status && i < json_array_size(rows); i++)
        if (!strcmp(bench_text(json_array_get(rows, i), "name"), "limits")) limits = json_array_get(rows, i);
    if (!status && !limits) status = uc_fail(err, UNCLIP_ERR_ARGUMENT, "%s has no row of limits", o->operand[0]);
    if (!status) status = write_picture(o, rows, limits, err);
    json_decref(rows);
    return status;
}

/* sheet_page.c - the pictures of a run as one HTML page that loads nothing: what --html writes. Every text in it is
 * escaped, and its policy forbids scripts and the network besides. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sheet.h"
#include "text.h"

static const char style[] =
    ":root { color-scheme: light dark; --paper: #f7f6f3; --card: #fff; --ink: #1f2328; --faint: #6a737d;"
    " --line: #e3e1dc; --accent: #0b63ce; }\n"
    "@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1e2126; --ink: #e6e6e6;"
    " --faint: #9aa4af; --line: #32363d; --accent: #78b0ff; } }\n"
    "* { box-sizing: border-box; }\n"
    "body { margin: 0 auto; max-width: 90rem; padding: 2rem 1.5rem 4rem; background: var(--paper); color: var(--ink);"
    " font: 16px/1.5 system-ui, sans-serif; }\n"
    "h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }\n"
    "h2 { margin: 2.5rem 0 .75rem; font-size: 1.1rem; }\n"
    ".about { margin: .35rem 0 1.75rem; color: var(--faint); }\n"
    ".grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); }\n"
    "figure { margin: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line);"
    " border-radius: .6rem; }\n"
    "img { display: block; width: 100%; height: auto; }\n"
    "img.small { image-rendering: pixelated; }\n"
    "figcaption { padding: .6rem .8rem .7rem; }\n"
    "figcaption b { font-variant-numeric: tabular-nums; }\n"
    "figcaption span { display: block; color: var(--faint); font-size: .875rem; overflow-wrap: anywhere;"
    " font-variant-numeric: tabular-nums; }\n"
    ".scroll { overflow-x: auto; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { padding: .3rem .9rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }\n"
    "th { color: var(--faint); font-weight: 600; }\n"
    "th:first-child, td:first-child { padding-left: 0; text-align: left; }\n"
    "summary { cursor: pointer; color: var(--accent); }\n"
    "pre { overflow-x: auto; padding: 1rem; background: var(--card); border: 1px solid var(--line);"
    " border-radius: .6rem; font-size: .875rem; }\n";

/* Text between tags or in quotes. Control characters, which HTML forbids, become spaces; line ends stay. */
static void put_escaped(FILE *page, const char *text) {
    for (const char *c = text; *c; c++) {
        switch (*c) {
        case '&': fputs("&amp;", page); break;
        case '<': fputs("&lt;", page); break;
        case '>': fputs("&gt;", page); break;
        case '"': fputs("&quot;", page); break;
        case '\'': fputs("&#39;", page); break;
        default: fputc(((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7F ? ' ' : *c, page);
        }
    }
}

static void put_base64(FILE *page, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t three =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0u);
        fputc(digits[three >> 18], page);
        fputc(digits[three >> 12 & 63], page);
        fputc(left > 1 ? digits[three >> 6 & 63] : '=', page);
        fputc(left > 2 ? digits[three & 63] : '=', page);
    }
}

static bool put_picture(FILE *page, const cli_frame *frame, const char *label) {
    const unclip_image image = {
        .struct_size = sizeof image, .width = frame->side, .height = frame->side, .rgb = frame->rgb
    };
    uint8_t *png = NULL;
    size_t size = 0;
    if (unclip_image_encode_png(&image, &png, &size, NULL)) return false;
    fprintf(page, "<img%s width=\"%d\" height=\"%d\" alt=\"", frame->side < 128 ? " class=\"small\"" : "", frame->side,
            frame->side);
    put_escaped(page, label);
    fputs("\" src=\"data:image/png;base64,", page);
    put_base64(page, png, size);
    fputs("\" />\n", page);
    unclip_free(png);
    return true;
}

static bool put_frame(FILE *page, const cli_sheet *sheet, const cli_frame *frame) {
    char first[64], second[1024];
    cli_frame_label(sheet, frame, 0, first, sizeof first);
    cli_frame_label(sheet, frame, 1, second, sizeof second);
    fputs("<figure>\n", page);
    if (!put_picture(page, frame, first)) return false;
    fputs("<figcaption><b>", page);
    put_escaped(page, first);
    fputs("</b>", page);
    if (second[0]) {
        fputs("<span>", page);
        put_escaped(page, second);
        fputs("</span>", page);
    }
    if (frame->on_path) fprintf(page, "<span>seed %" PRIu64 "</span>", frame->seed);
    fputs("</figcaption>\n</figure>\n", page);
    return true;
}

static bool stage_ran(const cli_sheet *sheet, int stage) {
    for (size_t i = 0; i < sheet->count; i++)
        if (sheet->frames[i].seconds[stage] > 0) return true;
    return false;
}

static void put_timings(FILE *page, const cli_sheet *sheet) {
    fputs("<h2>Seconds of the launch that drew each picture</h2>\n<div class=\"scroll\">\n<table>\n<thead><tr>"
          "<th>picture</th>",
          page);
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++)
        if (stage_ran(sheet, s)) fprintf(page, "<th>%s</th>", unclip_stage_name((unclip_stage)s));
    fputs("<th>all</th></tr></thead>\n<tbody>\n", page);
    for (size_t i = 0; i < sheet->count; i++) {
        const cli_frame *frame = &sheet->frames[i];
        char label[64];
        double all = 0;
        cli_frame_label(sheet, frame, 0, label, sizeof label);
        fprintf(page, "<tr><td>%zu: ", frame->index);
        put_escaped(page, label);
        fputs("</td>", page);
        for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) {
            if (stage_ran(sheet, s)) fprintf(page, "<td>%.3f</td>", frame->seconds[s]);
            all += frame->seconds[s];
        }
        fprintf(page, "<td>%.3f</td></tr>\n", all);
    }
    fputs("</tbody>\n</table>\n</div>\n", page);
}

static bool put_page(FILE *page, const cli_sheet *sheet) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
          "style-src 'unsafe-inline'\" />\n<title>",
          page);
    put_escaped(page, cli_sheet_title(sheet));
    fprintf(page, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>", style);
    put_escaped(page, cli_sheet_title(sheet));
    fprintf(page,
            "</h1>\n<p class=\"about\">unclip-cuda %s %s, %zu picture%s of %d x %d pixels</p>\n</header>\n"
            "<main class=\"grid\">\n",
            unclip_version(), sheet->command, sheet->count, sheet->count == 1 ? "" : "s", sheet->frames[0].drawn_side,
            sheet->frames[0].drawn_side);
    for (size_t i = 0; i < sheet->count; i++)
        if (!put_frame(page, sheet, &sheet->frames[i])) return false;
    fputs("</main>\n", page);
    put_timings(page, sheet);
    fputs("<h2>Settings</h2>\n<details>\n<summary>of the first picture, as stored in its PNG file</summary>\n<pre>",
          page);
    put_escaped(page, sheet->frames[0].settings);
    fputs("</pre>\n</details>\n</body>\n</html>\n", page);
    return !ferror(page);
}

char *cli_sheet_page(const cli_sheet *sheet, size_t *size) {
    char *text = NULL;
    FILE *page = open_memstream(&text, size);
    if (!page) return NULL;
    const bool whole = put_page(page, sheet);
    if (fclose(page) == 0 && whole) return text;
    free(text);
    return NULL;
}

/* progress.c - the library's reports between two arrows, for the person who waits. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

double cli_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_progress_init(cli_progress *progress, cli_log *log, size_t total_images) {
    *progress = (cli_progress){ .log = log, .total_images = total_images };
}

/* "image 3 of 8", "images 1-4 of 8", or nothing when there is one picture only. */
static void which_images(char *out, size_t size, const unclip_progress *report, size_t total_images) {
    size_t first = report->first_image + 1, last = report->first_image + report->image_count;
    out[0] = '\0';
    if (total_images <= 1) return;
    if (first >= last) snprintf(out, size, "image %zu of %zu", first, total_images);
    else snprintf(out, size, "images %zu-%zu of %zu", first, last, total_images);
}

static double rate(int steps, double seconds) { return seconds > 0 ? steps / seconds : 0; }

void cli_progress_bar(char *out, size_t size, const unclip_progress *report, double seconds, size_t total_images,
                      size_t columns) {
    enum { WIDEST = 40, NARROWEST = 5 };
    char head[32], tail[160], images[80], eta[32] = "";
    double per_second = rate(report->step, seconds);
    if (per_second > 0) {
        double left = (report->steps - report->step) / per_second;
        long whole = left < 1e6 ? (long)(left + 0.5) : 999999;
        snprintf(eta, sizeof eta, "  ETA %ld:%02ld", whole / 60, whole % 60);
    }
    which_images(images, sizeof images, report, total_images);
    snprintf(head, sizeof head, "%-8s", unclip_stage_name(report->stage));
    snprintf(tail, sizeof tail, " %d/%d  %.2f it/s%s%s%s", report->step, report->steps, per_second, eta,
             images[0] ? "  " : "", images);
    size_t text = strlen(head) + strlen(tail) + 2;
    size_t room = columns > text ? columns - text : 0;
    size_t width = room > WIDEST ? WIDEST : room;
    char bar[WIDEST + 3] = "";
    if (width >= NARROWEST) {
        size_t done = report->steps > 0 ? width * (size_t)report->step / (size_t)report->steps : 0;
        bar[0] = '[';
        memset(bar + 1, ' ', width);
        memset(bar + 1, '=', done);
        if (done < width) bar[1 + done] = '>';
        bar[1 + width] = ']';
        bar[2 + width] = '\0';
    }
    size_t limit = columns + 1 < size ? columns + 1 : size;
    snprintf(out, limit, "%s%s%s", head, bar, tail);
}

void cli_progress_line(char *out, size_t size, const unclip_progress *report, double seconds, size_t total_images) {
    char images[80];
    which_images(images, sizeof images, report, total_images);
    snprintf(out, size, "%s: %d step%s in %.2f s (%.2f it/s)%s%s", unclip_stage_name(report->stage), report->steps,
             report->steps == 1 ? "" : "s", seconds, rate(report->steps, seconds), images[0] ? ", " : "", images);
}

static size_t terminal_columns(FILE *stream) {
    struct winsize window;
    if (ioctl(fileno(stream), TIOCGWINSZ, &window) == 0 && window.ws_col >= 20) return window.ws_col;
    return 80;
}

static void show_json(cli_log *log, const unclip_progress *report, double seconds) {
    fprintf(log->stream,
            "{\"level\": \"progress\", \"stage\": \"%s\", \"step\": %d, \"steps\": %d, \"seconds\": %.3f, "
            "\"first_image\": %zu, \"image_count\": %zu}\n",
            unclip_stage_name(report->stage), report->step, report->steps, seconds, report->first_image,
            report->image_count);
    fflush(log->stream);
}

void cli_progress_show(cli_progress *progress, const unclip_progress *report) {
    cli_log *log = progress->log;
    double now = cli_clock();
    if (report->step == 0) progress->began = now;
    double seconds = now - progress->began;
    bool done = report->step >= report->steps;
    if (done) progress->stage_seconds[report->stage] += seconds;
    if (log->least > CLI_INFO) return;
    if (log->json) {
        show_json(log, report, seconds);
        return;
    }
    char text[512];
    if (done) {
        cli_progress_line(text, sizeof text, report, seconds, progress->total_images);
        cli_say(log, CLI_INFO, "%s", text);
    } else if (log->terminal) {
        /* One column stays free: a line that fills the terminal wraps on some. */
        size_t columns = terminal_columns(log->stream) - 1;
        cli_progress_bar(text, sizeof text, report, seconds, progress->total_images, columns);
        fprintf(log->stream, "\r\033[K%s", text);
        fflush(log->stream);
        log->bar_drawn = true;
    }
}

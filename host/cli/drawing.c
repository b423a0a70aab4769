/* drawing.c - see drawing.h: pictures on their way from the library to files. */
#include "drawing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signals.h"
#include "text.h"
#include "unused.h"

/* ---- before ------------------------------------------------------------------------------------------------------ */

/* A pipe of its own, that is: one that standard error shares is somebody's log. */
static bool stdout_is_pipe(void) {
    struct stat about, log;
    if (fstat(STDOUT_FILENO, &about) != 0 || !(S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode))) return false;
    return fstat(STDERR_FILENO, &log) != 0 || log.st_ino != about.st_ino || log.st_dev != about.st_dev;
}

int cli_drawing_begin(cli_drawing *d, size_t images, cli_error *err) {
    const cli_value *flag = d->args->flag;
    int code = cli_output_plan(&d->output, flag[CLI_FLAG_OUTPUT].text, images, stdout_is_pipe(), err);
    if (!code) code = cli_output_check(&d->output, err);
    if (!code && flag[CLI_FLAG_PREVIEW].given) code = cli_check_writable(flag[CLI_FLAG_PREVIEW].text, err);
    if (!code) code = cli_sheet_begin(&d->sheet, d->args, images, err);
    if (!code) cli_progress_init(&d->progress, d->log, images);
    d->began = cli_clock();
    return code;
}

/* ---- meanwhile --------------------------------------------------------------------------------------------------- */

static void write_preview(cli_drawing *d, const unclip_progress *report) {
    const char *path = d->args->flag[CLI_FLAG_PREVIEW].text;
    cli_error error = { 0 };
    if (!path || !report->preview || d->preview_failed || !cli_write_image(report->preview, path, &error)) return;
    d->preview_failed = true;
    cli_say(d->log, CLI_WARNING, "no more previews: %s", error.message);
}

int cli_drawing_progress(void *drawing, const unclip_progress *report) {
    cli_drawing *d = drawing;
    if (cli_signal_received()) return 1;
    cli_progress_show(&d->progress, report);
    write_preview(d, report);
    return 0;
}

static void say_times(cli_log *log, const unclip_image *image, const char *name) {
    char times[256] = "";
    size_t used = 0;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        if (image->stage_seconds[i] <= 0 || used >= sizeof times) continue;
        int length = snprintf(times + used, sizeof times - used, ", %s %.3f s", unclip_stage_name((unclip_stage)i),
                              image->stage_seconds[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    cli_say(log, CLI_DEBUG, "%s: %d x %d, seed %" PRIu64 "%s", name, image->width, image->height, image->seed, times);
}

int cli_drawing_image(void *drawing, const unclip_image *image) {
    cli_drawing *d = drawing;
    if (!d->warned) cli_warn_of_unused(d->args, image->parameters_json, d->log);
    d->warned = true;
    if (cli_sheet_add(&d->sheet, image, d->err)) return d->err->code;
    if (d->output.to_stdout) {
        say_times(d->log, image, "standard output");
        return cli_write_image_to_stdout(image, d->err);
    }
    char *name = cli_output_name(&d->output, image->index);
    if (!name) return cli_fail(d->err, CLI_TRY_AGAIN, "out of memory");
    int code = cli_write_image(image, name, d->err);
    if (!code) {
        say_times(d->log, image, name);
        printf("%s\n", name);
        code = cli_flush_results(d->err);
    }
    free(name);
    return code;
}

/* ---- after ------------------------------------------------------------------------------------------------------- */

int cli_drawing_end(cli_drawing *d, unclip_status status, const unclip_error *error, cli_error *err) {
    if (status == UNCLIP_OK) {
        struct rusage usage = { .ru_maxrss = 0 }; /* in KiB, on Linux */
        getrusage(RUSAGE_SELF, &usage);
        cli_say(d->log, CLI_DEBUG, "%zu picture%s in %.2f s, peak resident memory %ld MiB", d->output.count,
                d->output.count == 1 ? "" : "s", cli_clock() - d->began, usage.ru_maxrss / 1024);
        return cli_sheet_finish(&d->sheet, err);
    }
    if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
    if (d->err->code) return d->err->code;
    return cli_fail_status(err, status, error);
}

void cli_drawing_free(cli_drawing *d) {
    cli_output_free(&d->output);
    cli_sheet_free(&d->sheet);
}

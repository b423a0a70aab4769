/* log.c - words beside the flow: what goes to standard error. Results never do. */
#include "log.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

void cli_log_init(cli_log *log, FILE *stream, const cli_args *args) {
    *log = (cli_log){ .stream = stream, .least = CLI_INFO, .terminal = isatty(fileno(stream)) == 1 };
    if (!args) return;
    if (args->flag[CLI_FLAG_VERBOSE].on) log->least = CLI_DEBUG;
    if (args->flag[CLI_FLAG_QUIET].on) log->least = CLI_NOTICE;
    log->json = args->flag[CLI_FLAG_LOG_JSON].on;
    if (log->json || log->least == CLI_NOTICE) log->terminal = false;
}

static void say_json(cli_log *log, const char *level, const char *message) {
    struct timespec now;
    struct tm utc;
    char stamp[32] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(log->stream, "{\"time\": \"%s.%03ldZ\", \"level\": \"%s\", \"message\": ", stamp, now.tv_nsec / 1000000,
            level);
    cli_write_json_string(log->stream, message);
    fputs("}\n", log->stream);
}

void cli_say(cli_log *log, cli_level level, const char *format, ...) {
    static const char *const names[] = { "debug", "info", "warning", "notice", "error" };
    if (level < log->least) return;
    char message[2048];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (log->bar_drawn) fputs("\r\033[K", log->stream);
    log->bar_drawn = false;
    if (log->json) say_json(log, names[level], message);
    else if (level == CLI_WARNING || level == CLI_ERROR)
        fprintf(log->stream, "unclip-cuda: %s: %s\n", names[level], message);
    else fprintf(log->stream, "%s\n", message);
    fflush(log->stream);
}

void cli_log_library(void *log, unclip_log_level level, const char *message) {
    cli_level as = level == UNCLIP_LOG_DEBUG ? CLI_DEBUG : level == UNCLIP_LOG_INFO ? CLI_INFO : CLI_WARNING;
    cli_say(log, as, "%s", message);
}

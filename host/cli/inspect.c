/* inspect.c - beside the flow: what a model directory holds, or how a picture or a pair was made; and which devices
 * there are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "model.h"
#include "pairs.h"
#include "settings.h"
#include "text.h"

/* Prints the library's JSON, or explains why there is none. */
static int print_json(unclip_status status, char *json, const unclip_error *error, cli_error *err) {
    if (status) return cli_fail_status(err, status, error);
    puts(json);
    unclip_free(json);
    return cli_flush_results(err);
}

static int inspect_png(const char *path, cli_error *err) {
    char *json = NULL;
    const int code = cli_stored_settings(&json, path, err);
    return code ? code : print_json(UNCLIP_OK, json, NULL, err);
}

static int inspect_pair(const char *path, cli_error *err) {
    unclip_pair pair = { .struct_size = sizeof pair };
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_pair_load(&pair, path, &error);
    if (status) return cli_fail_status(err, status, &error);
    puts(pair.settings_json ? pair.settings_json : "{}");
    unclip_pair_free(&pair);
    return cli_flush_results(err);
}

static int inspect_model(const cli_args *args, cli_log *log, cli_error *err) {
    unclip_engine *engine = NULL;
    char *json = NULL;
    int code = cli_open_engine(&engine, args, UNCLIP_TYPE_AUTO, log, err);
    if (code) return code;
    unclip_error error = { .status = UNCLIP_OK };
    unclip_status status = unclip_engine_describe(engine, &json, &error);
    code = print_json(status, json, &error, err);
    unclip_engine_close(engine);
    return code;
}

int cli_inspect(const cli_args *args, cli_log *log, cli_error *err) {
    if (!args->operands.count) return inspect_model(args, log, err);
    const char *path = args->operands.items[0];
    if (args->flag[CLI_FLAG_MODEL].given) {
        return cli_fail(err, CLI_USAGE, "inspect: give --model or \"%s\", not both", path);
    }
    struct stat about;
    if (strcmp(path, "-") == 0) return inspect_png(path, err);
    if (stat(path, &about) != 0) return cli_fail(err, CLI_NO_INPUT, "%s: %s", path, strerror(errno));
    if (cli_is_pair_file(path)) return inspect_pair(path, err);
    if (!S_ISDIR(about.st_mode)) return inspect_png(path, err);
    cli_args with_model = *args;
    with_model.flag[CLI_FLAG_MODEL].given = true;
    with_model.flag[CLI_FLAG_MODEL].text = path;
    return inspect_model(&with_model, log, err);
}

int cli_devices(const cli_args *args, cli_log *log, cli_error *err) {
    (void)args;
    (void)log;
    char *json = NULL;
    unclip_error error = { .status = UNCLIP_OK };
    unclip_status status = unclip_devices(&json, &error);
    return print_json(status, json, &error, err);
}

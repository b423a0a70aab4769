/* model.c - before the flow: the weights are found and the engine opened. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef UNCLIP_DATA_DIR
#define UNCLIP_DATA_DIR NULL
#endif

enum { LONGEST_PATH = 4096 };

static bool is_model(const char *folder) {
    char index[LONGEST_PATH + 128];
    snprintf(index, sizeof index, "%s/model_index.json", folder);
    return access(index, F_OK) == 0;
}

int cli_shipped_model(char **path, const char *program, const char *data_folder, cli_error *err) {
    /* <prefix>/bin/unclip-cuda, then build/bin, build/<preset>/bin and one deeper */
    static const char *const beside[] = { "../share/unclip-cuda/solids", "../../weights/solids",
                                          "../../../weights/solids", "../../../../weights/solids" };
    const char *slash = strrchr(program, '/');
    int length = slash ? (int)(slash - program) : 0;
    char place[LONGEST_PATH + 64];
    for (size_t i = 0; slash && i < sizeof beside / sizeof *beside; i++) {
        snprintf(place, sizeof place, "%.*s/%s", length, program, beside[i]);
        if (is_model(place) && (*path = strdup(place)) != NULL) return CLI_OK;
    }
    if (data_folder) {
        snprintf(place, sizeof place, "%.*s/solids", LONGEST_PATH, data_folder);
        if (is_model(place) && (*path = strdup(place)) != NULL) return CLI_OK;
    }
    return cli_fail(err, CLI_NO_INPUT,
                    "no model: the one that ships is not beside this program; name a model directory with --model or "
                    "UNCLIP_MODEL");
}

int cli_model_path(char **path, const cli_args *args, cli_error *err) {
    const cli_value *model = &args->flag[CLI_FLAG_MODEL];
    const char *named = model->given ? model->text : getenv("UNCLIP_MODEL");
    if (named && *named) {
        *path = strdup(named);
        return *path ? CLI_OK : cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    }
    char program[LONGEST_PATH];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    return cli_shipped_model(path, program, UNCLIP_DATA_DIR, err);
}

int cli_open_engine(unclip_engine **engine, const cli_args *args, unclip_type type, cli_log *log, cli_error *err) {
    char *path = NULL;
    int code = cli_model_path(&path, args, err);
    if (code) return code;
    unclip_engine_options options;
    unclip_engine_options_init(&options);
    options.model_dir = path;
    const cli_value *flag = args->flag;
    if (flag[CLI_FLAG_DEVICE].given) options.device = flag[CLI_FLAG_DEVICE].text;
    options.type = flag[CLI_FLAG_TYPE].given ? (unclip_type)flag[CLI_FLAG_TYPE].integer : type;
    if (flag[CLI_FLAG_MODE].given) options.run_mode = (unclip_run_mode)flag[CLI_FLAG_MODE].integer;
    if (flag[CLI_FLAG_THREADS].given) options.threads = (int)flag[CLI_FLAG_THREADS].integer;
    if (flag[CLI_FLAG_TUNING].given) options.tuning = flag[CLI_FLAG_TUNING].text;
    options.on_log = cli_log_library;
    options.log_user = log;
    unclip_error error = { .status = UNCLIP_OK };
    cli_say(log, CLI_DEBUG, "model: %s", path);
    unclip_status status = unclip_engine_open(engine, &options, &error);
    free(path);
    return status ? cli_fail_status(err, status, &error) : CLI_OK;
}

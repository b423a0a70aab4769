/* model.h - which model directory is meant, and the engine over it. */
#ifndef CLI_MODEL_H
#define CLI_MODEL_H

#include "args.h"
#include "log.h"

/* -m, else $UNCLIP_MODEL, else the model that ships: beside the source for a build tree, in the data folder for an
 * installed program. *path is to be freed. */
int cli_model_path(char **path, const cli_args *args, cli_error *err);

/* The same with the places given: program is the path of the running executable, data_folder the fallback (may be
 * NULL). */
int cli_shipped_model(char **path, const char *program, const char *data_folder, cli_error *err);

/* type: UNCLIP_TYPE_AUTO unless --type says more. */
int cli_open_engine(unclip_engine **engine, const cli_args *args, unclip_type type, cli_log *log, cli_error *err);

#endif

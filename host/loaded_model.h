/* loaded_model.h - a model directory opened for the tasks: files of the weights folder -> engine/tasks/model.h. */
#ifndef UC_HOST_LOADED_MODEL_H
#define UC_HOST_LOADED_MODEL_H

#include "../engine/tasks/model.h"
#include "../weights/model_dir.h"

typedef struct uc_loaded_model {
    uc_model_dir *dir;
    uc_tokenizer *tokenizer;
    uc_model model;
    const char *name;        /* from unclip.json, else the directory's own */
    const char *license;     /* or "" */
} uc_loaded_model;

unclip_status uc_loaded_model_open(uc_loaded_model **loaded, const char *dir, unclip_error *err);
void uc_loaded_model_close(uc_loaded_model *loaded); /* NULL is allowed */

#endif

/* engine.h - the engine behind the handle of unclip.h, for the files that share out the public functions: a model
 * directory and a backend, and the way from a request to the caller's pictures. */
#ifndef UC_HOST_ENGINE_H
#define UC_HOST_ENGINE_H

#include "../engine/tasks/request.h"
#include "loaded_model.h"
#include "tuning.h"

struct unclip_engine {
    uc_loaded_model *loaded;
    uc_backend *backend;
    uc_tuning *tuning; /* or NULL; outlives the backend */
    uc_session session;
    uint64_t model_hash;
};

/* Draws what the options ask for, or, when given is not NULL, its embeddings; each picture goes to the options'
 * on_image with all its settings. task_json: a JSON object whose members join those settings, or NULL. */
unclip_status uc_engine_draw(unclip_engine *engine, const unclip_generate_options *options, const uc_given *given,
                             const char *task_json, unclip_error *err);

#endif

/* parameters.h - the settings that made a picture, as JSON for replay and as the text that picture viewers show. */
#ifndef UC_HOST_PARAMETERS_H
#define UC_HOST_PARAMETERS_H

#include "../engine/tasks/request.h"

/* Which model, on what. */
typedef struct uc_provenance {
    const char *model_name;
    uint64_t model_hash;
    const char *device; /* "cpu" */
    const char *type;   /* "f32" */
    const char *task_json; /* a JSON object whose members join the settings, or NULL */
} uc_provenance;

/* A number that changes when a tensor's name, type, shape or first 4 KiB change. */
uint64_t uc_model_hash(const uc_model *model);

/* The JSON object that --params-from reads; released with free. NULL when out of memory. */
char *uc_parameters_json(const uc_provenance *from, const uc_request *request, const unclip_image *image);

/* "PROMPT\nSteps: 25, Sampler: ddim, CFG scale: 4, Seed: 7, ..." (the convention of A1111's web interface); what
 * the JSON object lacks stays empty. Released with free. */
unclip_status uc_parameters_text(char **text, const char *json, unclip_error *err);

#endif

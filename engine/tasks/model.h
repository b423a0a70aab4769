/* model.h - a loaded model as the tasks see it: configurations, tensors, schedules and defaults of every part. */
#ifndef UC_TASKS_MODEL_H
#define UC_TASKS_MODEL_H

#include "../core/backend.h"
#include "../models/config.h"
#include "../models/tokenizer.h"

/* A part is absent when its params are NULL. Everything is owned by whoever filled the struct. */
typedef struct uc_model {
    const uc_tokenizer *tokenizer;
    uc_clip_text_config text;
    const uc_params *text_params;
    uc_clip_image_config image;
    const uc_params *image_params;
    uc_image_processor_config image_processor;
    uc_prior_config prior;
    const uc_params *prior_params;
    uc_prior_ar_config prior_ar;
    const uc_params *prior_ar_params;
    uc_text_proj_config text_proj;
    const uc_params *text_proj_params;
    uc_unet_config decoder;
    const uc_params *decoder_params;
    uc_unet_config sr256;             /* of super_res_first and super_res_last alike */
    const uc_params *sr256_params, *sr256_last_params;
    uc_unet_config sr1024;
    const uc_params *sr1024_params;

    uc_scheduler_config scheduler[UNCLIP_STAGE_COUNT];
    uc_stage_defaults defaults[UNCLIP_STAGE_COUNT];
    const float *gamma[UNCLIP_STAGE_COUNT]; /* Analytic-DPM's tables, or NULL */
} uc_model;

/* A model on a device, and where its log goes. */
typedef struct uc_session {
    const uc_model *model;
    uc_backend *backend;
    uc_dtype type; /* of activations */
    unclip_log_fn on_log;
    void *log_user;
} uc_session;

void uc_log(const uc_session *session, unclip_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* graph -> plan -> program, as uc_program_new; the log says what it takes. rows: what it computes at once. */
unclip_status uc_session_program(const uc_session *session, int64_t rows, uc_graph *graph, uc_program **program,
                                 unclip_error *err);

static inline bool uc_has_stage(const uc_model *m, unclip_stage stage) {
    switch (stage) {
    case UNCLIP_STAGE_PRIOR: return m->prior_params && m->text_params;
    case UNCLIP_STAGE_DECODER: return m->decoder_params && m->text_proj_params && m->text_params;
    case UNCLIP_STAGE_SR256: return m->sr256_params && m->sr256_last_params;
    case UNCLIP_STAGE_SR1024: return m->sr1024_params != NULL;
    case UNCLIP_STAGE_COUNT: break;
    }
    return false;
}

static inline bool uc_has_prior_ar(const uc_model *m) { return m->prior_ar_params && m->text_params; }

/* Height and width of a stage's picture; 0 for the prior and for absent stages. */
int64_t uc_stage_size(const uc_model *model, unclip_stage stage);

/* Records every part once, so that a missing, surplus or misshapen tensor is named before any work. */
unclip_status uc_model_check(const uc_session *session, unclip_error *err);

#endif

/* text_features.h - tokens -> what the CLIP text encoder makes of them, and the rows that the networks want of that. */
#ifndef UC_TASKS_TEXT_FEATURES_H
#define UC_TASKS_TEXT_FEATURES_H

#include "model.h"

typedef struct uc_text_features {
    int64_t rows, context, width, projection;
    float *hidden; /* [rows, context, width] */
    float *embeds; /* [rows, projection] */
    int *used;     /* [rows]: tokens without padding */
} uc_text_features;

/* ids [rows, context]. */
unclip_status uc_text_features_new(uc_text_features *features, const uc_session *session, const int32_t *ids,
                                   const int *used, int64_t rows, unclip_error *err);
void uc_text_features_free(uc_text_features *features);

/* Uploads text_embeds, text_hidden and the bias state of a program: one row for each of text_row[0 ... count), preceded
 * by as many copies of empty_row when guided. The bias is 0 for `extra_before` leading columns, for the tokens in use
 * and for `extra_after` trailing columns, and -10000 for padding (diffusers' choice, not infinity). */
typedef struct uc_text_rows {
    const int64_t *text_row;
    int64_t count, empty_row;
    bool guided;
    const char *bias_state;
    int64_t extra_before, extra_after;
} uc_text_rows;
unclip_status uc_text_features_upload(const uc_text_features *features, uc_backend *backend, uc_program *program,
                                      const uc_text_rows *rows, unclip_error *err);

#endif

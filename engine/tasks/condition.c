/* condition.c - see condition.h. */
#include "condition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

unclip_status uc_condition_check(const unclip_generate_options *o, const uc_model *m, unclip_error *err) {
    if ((unsigned)o->condition > UNCLIP_CONDITION_CAPTION)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "condition %d is unknown", (int)o->condition);
    if (!o->prior_input) return UNCLIP_OK;
    if (o->condition != UNCLIP_CONDITION_PRIOR)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "an image embedding was given and a condition that does without one");
    if (m->text_proj_params && o->prior_input_dim != (size_t)m->text_proj.clip_dim)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the given embedding has %zu numbers, this model's have %lld",
                       o->prior_input_dim, (long long)m->text_proj.clip_dim);
    for (size_t i = 0; i < o->prior_input_dim; i++)
        if (!isfinite(o->prior_input[i]))
            return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the given embedding's number %zu is not finite", i);
    return UNCLIP_OK;
}

/* text_proj learns the embedding that it was trained with when there was none (diffusers), the paper's zeros
 * otherwise. */
static void absent_embedding(const uc_model *m, float *out, size_t dim) {
    const uc_param *learned = uc_params_find(m->text_proj_params, "learned_classifier_free_guidance_embeddings");
    memset(out, 0, dim * sizeof *out);
    if (learned) uc_convert(out, UC_F32, learned->data, learned->dtype, (int64_t)dim);
}

unclip_status uc_condition_rows(const uc_cascade *c, float **rows, unclip_error *err) {
    const unclip_generate_options *o = c->request->options;
    const uc_model *m = c->session->model;
    const size_t dim = (size_t)m->text_proj.clip_dim;
    float *out = malloc(c->count * dim * sizeof *out);
    if (!out) return uc_fail_memory(err, c->count * dim * sizeof *out, "the decoder's embeddings");
    for (size_t i = 0; i < c->count; i++) {
        float *row = out + i * dim;
        if (o->prior_input) memcpy(row, o->prior_input, dim * sizeof *row);
        else if (o->condition == UNCLIP_CONDITION_CAPTION) absent_embedding(m, row, dim);
        else memcpy(row, c->text->embeds + uc_prompt_of(c, i) * dim, dim * sizeof *row);
    }
    *rows = out;
    return UNCLIP_OK;
}

/* loaded_model.c - see loaded_model.h. */
#include "loaded_model.h"

#include <stdlib.h>
#include <string.h>

static const uc_params *part(const uc_model_dir *d, uc_part p) { return d->has[p] ? d->params[p] : NULL; }

/* A part counts as there when everything that it works with is there. */
static void fill_model(uc_model *m, const uc_model_dir *d, const uc_tokenizer *tokenizer) {
    *m = (uc_model){ .tokenizer = tokenizer, .text = d->text, .image = d->image,
                     .image_processor = d->image_processor, .prior = d->prior, .prior_ar = d->prior_ar,
                     .text_proj = d->text_proj, .decoder = d->decoder, .sr256 = d->super_res_first,
                     .sr1024 = d->super_res_1024 };
    if (tokenizer) m->text_params = part(d, UC_PART_TEXT_ENCODER);
    if (d->has[UC_PART_FEATURE_EXTRACTOR]) m->image_params = part(d, UC_PART_IMAGE_ENCODER);
    if (d->has[UC_PART_PRIOR_SCHEDULER]) m->prior_params = part(d, UC_PART_PRIOR);
    if (m->text_params) m->prior_ar_params = part(d, UC_PART_PRIOR_AR);
    m->text_proj_params = part(d, UC_PART_TEXT_PROJ);
    if (d->has[UC_PART_DECODER_SCHEDULER]) m->decoder_params = part(d, UC_PART_DECODER);
    if (d->has[UC_PART_SUPER_RES_SCHEDULER]) {
        m->sr256_params = part(d, UC_PART_SUPER_RES_FIRST);
        m->sr256_last_params = part(d, UC_PART_SUPER_RES_LAST);
    }
    if (d->has[UC_PART_SUPER_RES_1024_SCHEDULER]) m->sr1024_params = part(d, UC_PART_SUPER_RES_1024);
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) {
        m->scheduler[s] = d->scheduler[s];
        m->defaults[s] = d->defaults[s];
        m->gamma[s] = d->gamma[s];
    }
}

/* The token ids that the files speak of must be rows of the embedding table. */
static unclip_status open_tokenizer(uc_loaded_model *loaded, unclip_error *err) {
    const uc_model_dir *d = loaded->dir;
    if (!d->has[UC_PART_TOKENIZER]) return UNCLIP_OK;
    const unclip_status status = uc_tokenizer_new(&loaded->tokenizer, &d->tokenizer.spec, err);
    if (status) return uc_fail_prefix(err, status, "%s/tokenizer", d->path);
    const int32_t limit = uc_tokenizer_id_limit(loaded->tokenizer);
    if (d->has[UC_PART_TEXT_ENCODER] && limit > d->text.vocab)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s/tokenizer: it has the token id %d, but text_encoder/config.json "
                       "has vocab_size %lld", d->path, limit - 1, (long long)d->text.vocab);
    return UNCLIP_OK;
}

unclip_status uc_loaded_model_open(uc_loaded_model **loaded, const char *dir, unclip_error *err) {
    *loaded = calloc(1, sizeof **loaded);
    if (!*loaded) return uc_fail_memory(err, sizeof **loaded, "model");
    uc_loaded_model *l = *loaded;
    unclip_status status = uc_model_dir_open(&l->dir, dir, NULL, err);
    if (!status) status = open_tokenizer(l, err);
    if (status) {
        uc_loaded_model_close(l);
        *loaded = NULL;
        return status;
    }
    fill_model(&l->model, l->dir, l->tokenizer);
    l->name = l->dir->name ? l->dir->name : "";
    l->license = l->dir->license ? l->dir->license : "";
    return UNCLIP_OK;
}

void uc_loaded_model_close(uc_loaded_model *loaded) {
    if (!loaded) return;
    uc_tokenizer_free(loaded->tokenizer);
    uc_model_dir_close(loaded->dir);
    free(loaded);
}

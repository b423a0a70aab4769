/* model_dir_check.c - do the parts of a model directory fit each other? One line for each arrow of the flow: what a part
 * hands on must have the width that the next one takes. */
#define _POSIX_C_SOURCE 200809L
#include "model_dir_parts.h"

/* One size that two files state. */
typedef struct agreement {
    uc_part a;
    const char *a_key;
    int64_t a_value;
    uc_part b;
    const char *b_key;
    int64_t b_value;
} agreement;

static unclip_status check_agreements(const uc_model_dir *d, unclip_error *err) {
    const uc_clip_text_config *text = &d->text;
    const uc_text_proj_config *proj = &d->text_proj;
    const uc_prior_ar_config *ar = &d->prior_ar;
    const agreement all[] = {
        { UC_PART_PRIOR, "embedding_dim", d->prior.embedding_dim, UC_PART_TEXT_ENCODER, "hidden_size", text->width },
        { UC_PART_PRIOR, "embedding_proj_dim", d->prior.embedding_proj_dim, UC_PART_TEXT_ENCODER, "projection_dim",
          text->projection },
        { UC_PART_PRIOR, "num_embeddings", d->prior.num_embeddings, UC_PART_TEXT_ENCODER, "max_position_embeddings",
          text->context },
        { UC_PART_PRIOR_AR, "text_hidden_size", ar->text_width, UC_PART_TEXT_ENCODER, "hidden_size", text->width },
        { UC_PART_PRIOR_AR, "text_projection_dim", ar->text_projection, UC_PART_TEXT_ENCODER, "projection_dim",
          text->projection },
        { UC_PART_PRIOR_AR, "num_text_tokens", ar->text_tokens, UC_PART_TEXT_ENCODER, "max_position_embeddings",
          text->context },
        { UC_PART_TEXT_PROJ, "clip_embeddings_dim", proj->clip_dim, UC_PART_TEXT_ENCODER, "projection_dim",
          text->projection },
        { UC_PART_TEXT_PROJ, "clip_embeddings_dim", proj->clip_dim, UC_PART_TEXT_ENCODER, "hidden_size", text->width },
        { UC_PART_TEXT_PROJ, "clip_embeddings_dim", proj->clip_dim, UC_PART_PRIOR, "embedding_dim",
          d->prior.embedding_dim },
        { UC_PART_TEXT_PROJ, "clip_embeddings_dim", proj->clip_dim, UC_PART_PRIOR_AR, "embedding_dim",
          ar->embedding_dim },
        { UC_PART_TEXT_PROJ, "clip_embeddings_dim", proj->clip_dim, UC_PART_IMAGE_ENCODER, "projection_dim",
          d->image.projection },
        { UC_PART_DECODER, "cross_attention_dim", d->decoder.cross_dim, UC_PART_TEXT_PROJ, "cross_attention_dim",
          proj->cross_dim },
        { UC_PART_DECODER, "time_embedding_dim", d->decoder.time_dim, UC_PART_TEXT_PROJ, "time_embed_dim",
          proj->time_dim },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const agreement *c = &all[i];
        if (d->has[c->a] && d->has[c->b] && c->a_value != c->b_value)
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s/config.json: %s is %lld, but %s/config.json: %s is %lld",
                           d->path, uc_part_name(c->a), c->a_key, (long long)c->a_value, uc_part_name(c->b), c->b_key,
                           (long long)c->b_value);
    }
    return UNCLIP_OK;
}

/* A stage's network draws pictures of 3 channels, and its scheduler knows what else comes out. condition: the channels
 * that are concatenated to the noisy picture. */
static unclip_status check_unet(const uc_model_dir *d, uc_part part, const uc_unet_config *c, int64_t condition,
                                uc_part scheduler_part, unclip_stage stage, unclip_error *err) {
    const uc_scheduler_config *s = &d->scheduler[stage];
    if (!d->has[part]) return UNCLIP_OK;
    if (c->in_channels != 3 + condition)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: %s/config.json: in_channels is %lld, expected %lld", d->path,
                       uc_part_name(part), (long long)c->in_channels, (long long)(3 + condition));
    if (c->out_channels != 3 && c->out_channels != 6)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "%s: %s/config.json: out_channels is %lld, expected 3 or, with a "
                       "learned variance, 6",
                       d->path, uc_part_name(part), (long long)c->out_channels);
    if (!d->has[scheduler_part]) return UNCLIP_OK;
    const bool learned = s->variance == UC_VARIANCE_LEARNED_RANGE, twice = c->out_channels == 6;
    const bool ancestral = s->class_id == UC_SCHEDULER_UNCLIP || s->class_id == UC_SCHEDULER_DDPM;
    if (learned != twice && (learned || ancestral))
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "%s: %s/config.json: out_channels is %lld, but %s/"
                       "scheduler_config.json: variance_type is %slearned_range",
                       d->path, uc_part_name(part), (long long)c->out_channels, uc_part_name(scheduler_part),
                       learned ? "" : "not ");
    return UNCLIP_OK;
}

/* The size of a stage's pictures comes from its network; super_res_last's is never read, as in diffusers. */
static unclip_status check_sample_size(const uc_model_dir *d, uc_part part, const uc_unet_config *c,
                                       unclip_error *err) {
    if (!d->has[part] || c->sample_size) return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                   "%s: %s/config.json: sample_size is null, expected the size of the "
                   "stage's pictures",
                   d->path, uc_part_name(part));
}

/* super_res_last takes over from super_res_first at the last step: the same network with other numbers in it. Only its
 * sample_size may differ, and is not read. */
static unclip_status check_same_upsamplers(const uc_model_dir *d, unclip_error *err) {
    const uc_unet_config *a = &d->super_res_first, *b = &d->super_res_last;
    if (!d->has[UC_PART_SUPER_RES_FIRST] || !d->has[UC_PART_SUPER_RES_LAST]) return UNCLIP_OK;
    const char *key = a->levels != b->levels                                           ? "block_out_channels"
                      : a->out_channels != b->out_channels                             ? "out_channels"
                      : a->time_dim != b->time_dim                                     ? "time_embedding_dim"
                      : a->groups != b->groups                                         ? "norm_num_groups"
                      : a->eps < b->eps || a->eps > b->eps                             ? "norm_eps"
                      : a->scale_shift != b->scale_shift                               ? "resnet_time_scale_shift"
                      : a->flip_sin_to_cos != b->flip_sin_to_cos                       ? "flip_sin_to_cos"
                      : a->freq_shift < b->freq_shift || a->freq_shift > b->freq_shift ? "freq_shift"
                                                                                       : NULL;
    for (int i = 0; i < a->levels && !key; i++)
        key = a->channels[i] != b->channels[i]         ? "block_out_channels"
              : a->down_layers[i] != b->down_layers[i] ? "layers_per_block"
                                                       : NULL;
    if (!key) return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                   "%s: super_res_last/config.json: %s differs from super_res_first/"
                   "config.json, only equal networks are supported",
                   d->path, key);
}

static unclip_status check_unets(const uc_model_dir *d, unclip_error *err) {
    unclip_status status =
        check_unet(d, UC_PART_DECODER, &d->decoder, 0, UC_PART_DECODER_SCHEDULER, UNCLIP_STAGE_DECODER, err);
    if (!status)
        status = check_unet(d, UC_PART_SUPER_RES_FIRST, &d->super_res_first, 3, UC_PART_SUPER_RES_SCHEDULER,
                            UNCLIP_STAGE_SR256, err);
    if (!status)
        status = check_unet(d, UC_PART_SUPER_RES_LAST, &d->super_res_last, 3, UC_PART_SUPER_RES_SCHEDULER,
                            UNCLIP_STAGE_SR256, err);
    if (!status)
        status = check_unet(d, UC_PART_SUPER_RES_1024, &d->super_res_1024, 3, UC_PART_SUPER_RES_1024_SCHEDULER,
                            UNCLIP_STAGE_SR1024, err);
    if (!status) status = check_sample_size(d, UC_PART_DECODER, &d->decoder, err);
    if (!status) status = check_sample_size(d, UC_PART_SUPER_RES_FIRST, &d->super_res_first, err);
    if (!status) status = check_sample_size(d, UC_PART_SUPER_RES_1024, &d->super_res_1024, err);
    return status;
}

static unclip_status check_tokenizer(uc_model_dir *d, unclip_error *err) {
    if (!d->has[UC_PART_TOKENIZER] || !d->has[UC_PART_TEXT_ENCODER]) return UNCLIP_OK;
    uc_tokenizer_spec *t = &d->tokenizer.spec;
    if (!t->max_length) t->max_length = (int)d->text.context;
    if (t->max_length != d->text.context)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "%s: tokenizer/tokenizer_config.json: model_max_length is %d, but "
                       "text_encoder/config.json: max_position_embeddings is %lld",
                       d->path, t->max_length, (long long)d->text.context);
    for (size_t list = 0; list < 2; list++)
        for (size_t i = 0; i < (list ? t->added_count : t->vocab_count); i++) {
            const int32_t id = (list ? t->added : t->vocab)[i].id;
            if (id >= d->text.vocab)
                return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                               "%s: the tokenizer has a token %d, but text_encoder/"
                               "config.json: vocab_size is %lld",
                               d->path, (int)id, (long long)d->text.vocab);
        }
    return UNCLIP_OK;
}

/* What the image processor hands on must be the picture that the encoder takes. */
static unclip_status check_image_processor(const uc_model_dir *d, unclip_error *err) {
    const uc_image_processor_config *p = &d->image_processor;
    if (!d->has[UC_PART_IMAGE_ENCODER] || !d->has[UC_PART_FEATURE_EXTRACTOR]) return UNCLIP_OK;
    const int64_t height = p->center_crop ? p->crop_height : p->resize ? p->resize_height : 0;
    const int64_t width = p->center_crop ? p->crop_width : p->resize ? p->resize_width : 0;
    if (height == d->image.image_size && width == d->image.image_size) return UNCLIP_OK;
    if (!height)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "%s: feature_extractor/preprocessor_config.json: do_center_crop is "
                       "false and size gives no exact height and width, so that pictures would have any size",
                       d->path);
    return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                   "%s: feature_extractor/preprocessor_config.json: makes pictures of %lld x "
                   "%lld, but image_encoder/config.json: image_size is %lld",
                   d->path, (long long)height, (long long)width, (long long)d->image.image_size);
}

static unclip_status check_prior_scheduler(const uc_model_dir *d, unclip_error *err) {
    if (!d->has[UC_PART_PRIOR_SCHEDULER] || d->scheduler[UNCLIP_STAGE_PRIOR].variance != UC_VARIANCE_LEARNED_RANGE)
        return UNCLIP_OK;
    return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                   "%s: prior_scheduler/scheduler_config.json: variance_type is "
                   "learned_range, but a prior has no variance to give",
                   d->path);
}

unclip_status uc_model_dir_check(uc_model_dir *dir, unclip_error *err) {
    unclip_status status = check_agreements(dir, err);
    if (!status) status = check_unets(dir, err);
    if (!status) status = check_same_upsamplers(dir, err);
    if (!status) status = check_tokenizer(dir, err);
    if (!status) status = check_image_processor(dir, err);
    return status ? status : check_prior_scheduler(dir, err);
}

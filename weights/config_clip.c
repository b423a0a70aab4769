/* config_clip.c - text_encoder, image_encoder and feature_extractor: the arrows tokens -> CLIP text and picture -> CLIP image.
 * Defaults are those of transformers' CLIPTextConfig, CLIPVisionConfig and CLIPImageProcessor. */
#include "config_read.h"

#include <string.h>

/* What transformers writes into every config.json, and training settings. */
/* clang-format off */
static const char *const clip_ignored[] = {
    "add_cross_attention", "architectures", "attention_dropout", "bad_words_ids", "begin_suppress_tokens",
    "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id", "diversity_penalty", "do_sample",
    "dropout", "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "exponential_decay_length_penalty",
    "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "gradient_checkpointing", "id2label",
    "initializer_factor", "initializer_range", "is_decoder", "is_encoder_decoder", "label2id", "length_penalty",
    "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences",
    "output_attentions", "output_hidden_states", "output_scores", "prefix", "problem_type", "pruned_heads",
    "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id",
    "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder",
    "tie_word_embeddings", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript", "transformers_version",
    "typical_p", "use_bfloat16", "use_cache",
};
/* clang-format on */

static uc_act read_act(uc_json *j) {
    static const char *const names[] = { "quick_gelu", "gelu" };
    static const uc_act acts[] = { UC_QUICK_GELU, UC_GELU };
    return acts[uc_json_choice(j, "hidden_act", 0, names, 2)];
}

static void check_heads(uc_json *j, int64_t width, int64_t heads) {
    if (width % heads)
        uc_json_fail(j, "num_attention_heads", "is %lld, which does not divide hidden_size %lld", (long long)heads,
                     (long long)width);
}

enum { MOST = 1 << 20 }; /* of any size: products of two stay far from overflow */

unclip_status uc_read_clip_text(const char *path, uc_clip_text_config *c, uc_warnings *warnings, unclip_error *err) {
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_only_string(&j, "model_type", "clip_text_model");
    c->vocab = uc_json_int(&j, "vocab_size", 49408, 1, MOST);
    c->width = uc_json_int(&j, "hidden_size", 512, 1, MOST);
    c->layers = uc_json_int(&j, "num_hidden_layers", 12, 1, 1000);
    c->heads = uc_json_int(&j, "num_attention_heads", 8, 1, MOST);
    c->intermediate = uc_json_int(&j, "intermediate_size", 2048, 1, MOST);
    c->context = uc_json_int(&j, "max_position_embeddings", 77, 2, 4096);
    c->projection = uc_json_int(&j, "projection_dim", 512, 1, MOST);
    c->act = read_act(&j);
    c->eps = (float)uc_json_number(&j, "layer_norm_eps", 1e-5, 0, 1);
    c->bos = (int32_t)uc_json_int_or_null(&j, "bos_token_id", 49406, 0, MOST);
    c->eos = (int32_t)uc_json_int_or_null(&j, "eos_token_id", 49407, 0, MOST);
    c->pad = (int32_t)uc_json_int_or_null(&j, "pad_token_id", 1, 0, MOST);
    uc_json_ignore(&j, clip_ignored, sizeof clip_ignored / sizeof *clip_ignored);
    check_heads(&j, c->width, c->heads);
    return uc_json_finish(&j);
}

unclip_status uc_read_clip_image(const char *path, uc_clip_image_config *c, uc_warnings *warnings, unclip_error *err) {
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_only_string(&j, "model_type", "clip_vision_model");
    c->image_size = uc_json_int(&j, "image_size", 224, 1, 4096);
    c->patch = uc_json_int(&j, "patch_size", 32, 1, 4096);
    c->channels = uc_json_int(&j, "num_channels", 3, 1, MOST);
    c->width = uc_json_int(&j, "hidden_size", 768, 1, MOST);
    c->layers = uc_json_int(&j, "num_hidden_layers", 12, 1, 1000);
    c->heads = uc_json_int(&j, "num_attention_heads", 12, 1, MOST);
    c->intermediate = uc_json_int(&j, "intermediate_size", 3072, 1, MOST);
    c->projection = uc_json_int(&j, "projection_dim", 512, 1, MOST);
    c->act = read_act(&j);
    c->eps = (float)uc_json_number(&j, "layer_norm_eps", 1e-5, 0, 1);
    uc_json_ignore(&j, clip_ignored, sizeof clip_ignored / sizeof *clip_ignored);
    uc_json_ignore(&j, (const char *const[]){ "bos_token_id", "eos_token_id", "pad_token_id" }, 3);
    check_heads(&j, c->width, c->heads);
    if (c->channels != 3) uc_json_fail(&j, "num_channels", "is %lld, only 3 is supported", (long long)c->channels);
    if (c->patch > c->image_size)
        uc_json_fail(&j, "patch_size", "is %lld, larger than image_size %lld", (long long)c->patch,
                     (long long)c->image_size);
    return uc_json_finish(&j);
}

/* A size: N (old files), {"shortest_edge": N} or {"height": H, "width": W}. square: what N alone means. */
static void read_size(uc_json *j, const char *key, bool square, int64_t *edge, int64_t *height, int64_t *width) {
    uc_json nested;
    *edge = *height = *width = 0;
    if (json_is_integer(json_object_get(j->root, key))) {
        const int64_t n = uc_json_int(j, key, 224, 1, 4096);
        if (square) *height = *width = n;
        else *edge = n;
    } else if (uc_json_nested(j, key, &nested)) {
        const bool by_edge = !square && json_object_get(nested.root, "shortest_edge");
        if (by_edge) {
            *edge = uc_json_int(&nested, "shortest_edge", UC_JSON_REQUIRED, 1, 4096);
        } else {
            *height = uc_json_int(&nested, "height", UC_JSON_REQUIRED, 1, 4096);
            *width = uc_json_int(&nested, "width", UC_JSON_REQUIRED, 1, 4096);
        }
        uc_json_join(j, uc_json_finish(&nested));
    } else if (square) {
        *height = *width = 224;
    } else {
        *edge = 224;
    }
}

unclip_status uc_read_image_processor(const char *path, uc_image_processor_config *c, uc_warnings *warnings,
                                      unclip_error *err) {
    static const double clip_mean[3] = { 0.48145466, 0.4578275, 0.40821073 };
    static const double clip_std[3] = { 0.26862954, 0.26130258, 0.27577711 };
    static const char *const ignored[] = { "processor_class", "return_tensors", "data_format", "input_data_format" };
    static const char *const kinds[] = { "CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast" };
    uc_json j;
    double mean[3], std[3];
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    uc_json_choice(&j, "image_processor_type", 0, kinds, 3);
    uc_json_choice(&j, "feature_extractor_type", 0, kinds, 3);
    c->convert_rgb = uc_json_bool(&j, "do_convert_rgb", true);
    c->resize = uc_json_bool(&j, "do_resize", true);
    c->center_crop = uc_json_bool(&j, "do_center_crop", true);
    c->rescale = uc_json_bool(&j, "do_rescale", true);
    c->normalize = uc_json_bool(&j, "do_normalize", true);
    c->rescale_factor = uc_json_number(&j, "rescale_factor", 1.0 / 255, 0, 1);
    read_size(&j, "size", uc_json_bool(&j, "use_square_size", false), &c->shortest_edge, &c->resize_height,
              &c->resize_width);
    int64_t unused;
    read_size(&j, "crop_size", true, &unused, &c->crop_height, &c->crop_width);
    uc_json_only_number(&j, "resample", 3);
    uc_json_numbers(&j, "image_mean", clip_mean, mean, 3);
    uc_json_numbers(&j, "image_std", clip_std, std, 3);
    uc_json_ignore(&j, ignored, sizeof ignored / sizeof *ignored);
    for (int i = 0; i < 3; i++) {
        if (!(std[i] > 0)) uc_json_fail(&j, "image_std", "has %g, expected positive numbers", std[i]);
        c->mean[i] = (float)mean[i];
        c->std[i] = (float)std[i];
    }
    return uc_json_finish(&j);
}

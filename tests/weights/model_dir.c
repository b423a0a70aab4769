/* model_dir.c - whole model directories: the shipped one and the goldens' open as they are; parts may be missing and are
 * named; parts that do not fit each other are refused with both files. Rerun one: test_weights --filter 'model_dir/NAME'. */
#include "weights/model_dir.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

TestSuite(model_dir, .fini = remove_folder);

static uc_model_dir *open_model(const char *path) {
    uc_model_dir *dir;
    unclip_error err = { 0 };
    cr_assert_eq(uc_model_dir_open(&dir, path, NULL, &err), UNCLIP_OK, "%s", err.message);
    return dir;
}

/* message: what must follow the model's path, e.g. "/prior/config.json: ..." or ": ...". */
static void expect_failure(const char *path, unclip_status status, const char *message) {
    uc_model_dir *dir;
    unclip_error err = { 0 };
    char expect[1400];
    const unclip_status got = uc_model_dir_open(&dir, path, NULL, &err);
    snprintf(expect, sizeof expect, "%s%s", path, message);
    cr_expect_eq(got, status, "%s: status %d", message, (int)got);
    cr_expect_str_eq(err.message, expect, "\n  got      %s\n  expected %s", err.message, expect);
    cr_expect_null(dir);
    uc_model_dir_close(dir);
}

Test(model_dir, shipped_model) {
    uc_model_dir *d = open_model(UC_SOURCE_DIR "/weights/solids");
    unclip_error err = { 0 };
    for (int p = 0; p < UC_PART_COUNT; p++)
        cr_expect(d->has[p], "%s is not found", uc_part_name((uc_part)p));
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) cr_expect_null(uc_model_dir_lacks(d, (unclip_stage)s));
    cr_expect_null(uc_model_dir_lacks_text(d));
    cr_expect_null(uc_model_dir_lacks_image(d));
    cr_expect_str_eq(d->license, "Apache-2.0");
    cr_expect(d->text.vocab == 674 && d->text.context == 32 && d->tokenizer.spec.max_length == 32);
    cr_expect(d->tokenizer.spec.vocab_count == 674 && !strcmp(d->tokenizer.spec.pad, "<|endoftext|>"));
    cr_expect(d->decoder.sample_size == 64 && d->super_res_first.sample_size == 256);
    cr_expect(d->super_res_1024.sample_size == 1024 &&
              d->scheduler[UNCLIP_STAGE_DECODER].class_id == UC_SCHEDULER_UNCLIP);
    cr_expect_eq(d->scheduler[UNCLIP_STAGE_DECODER].variance, UC_VARIANCE_LEARNED_RANGE);
    cr_expect(d->defaults[UNCLIP_STAGE_PRIOR].guidance > 1.9f && d->defaults[UNCLIP_STAGE_PRIOR].guidance < 2.1f);
    cr_expect_eq(d->defaults[UNCLIP_STAGE_SR256].sampler, UNCLIP_SAMPLER_UNCLIP);
    cr_expect_eq(d->defaults[UNCLIP_STAGE_SR1024].sampler, UNCLIP_SAMPLER_DDIM);
    cr_expect_eq(d->warnings.count, 0);
    const uc_param *mean = uc_params_find(d->params[UC_PART_PRIOR], "clip_mean");
    cr_assert_not_null(mean);
    cr_expect(mean->dtype == UC_F32 && mean->dim[1] == 128, "clip_mean keeps its precision");
    cr_expect_eq(uc_model_dir_unchanged(d, &err), UNCLIP_OK, "%s", err.message);
    uc_model_dir_close(d);
}

Test(model_dir, models_of_the_goldens) {
    static const char *const names[] = { "tiny-a", "tiny-b", "tiny-c" };
    for (int i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/goldens/models/%s", UC_TEST_DATA, names[i]);
        uc_model_dir *d = open_model(path);
        cr_expect_str_eq(d->name, names[i], "without unclip.json the folder is the name");
        cr_expect_null(d->license);
        cr_expect_null(uc_model_dir_lacks(d, UNCLIP_STAGE_DECODER));
        cr_expect(d->defaults[0].steps == 25 && d->defaults[1].steps == 25 && d->defaults[2].steps == 7);
        cr_expect(d->defaults[3].steps == 15 && d->defaults[0].guidance > 3.9f && d->defaults[1].guidance > 7.9f);
        uc_model_dir_close(d);
    }
}

Test(model_dir, special_tokens_in_every_spelling) {
    static const struct {
        const char *name, *pad;
        int32_t pad_id;
        size_t added;
    } expected[] = { { "tiny-a", "!", 0, 3 }, { "tiny-b", "<|endoftext|>", 663, 2 }, { "tiny-c", "!", 0, 3 } };
    for (int i = 0; i < 3; i++) {
        char path[512];
        uc_tokenizer_files files;
        uc_tokenizer *tokenizer;
        unclip_error err = { 0 };
        snprintf(path, sizeof path, "%s/goldens/models/%s/tokenizer", UC_TEST_DATA, expected[i].name);
        cr_assert_eq(uc_tokenizer_files_read(&files, path, NULL, &err), UNCLIP_OK, "%s", err.message);
        cr_expect_str_eq(files.spec.pad, expected[i].pad);
        cr_expect_eq(files.spec.added_count, expected[i].added);
        cr_assert_eq(uc_tokenizer_new(&tokenizer, &files.spec, &err), UNCLIP_OK, "%s", err.message);
        cr_expect_eq(uc_tokenizer_pad_id(tokenizer), expected[i].pad_id);
        uc_tokenizer_free(tokenizer);
        uc_tokenizer_files_free(&files);
    }
}

/* ---- what is missing --------------------------------------------------------------------------------------------- */

Test(model_dir, absent_directory_and_index) {
    expect_failure(path_in("nowhere"), UNCLIP_ERR_MODEL_MISSING, ": there is no such model directory");
    write_text(path_in("plain_file"), "x");
    expect_failure(path_in("plain_file"), UNCLIP_ERR_MODEL_MISSING, ": there is no such model directory");
    expect_failure(folder(), UNCLIP_ERR_MODEL_MISSING,
                   "/model_index.json: cannot be opened: No such file or directory");
}

Test(model_dir, parts_that_no_stage_needs_may_be_missing) {
    const char *m = path_in("model");
    char other[1024];
    link_model(m);
    snprintf(other, sizeof other, "%s/image_encoder", m);
    cr_assert_eq(rename(other, path_in("gone1")), 0);
    snprintf(other, sizeof other, "%s/super_res_1024_scheduler", m);
    cr_assert_eq(rename(other, path_in("gone2")), 0);
    snprintf(other, sizeof other, "%s/prior", m);
    cr_assert_eq(rename(other, path_in("gone3")), 0);
    edit_json(path_in("model/model_index.json"), "prior", NULL);
    edit_json(path_in("model/model_index.json"), "prior_scheduler", "[null, null]");
    uc_model_dir *d = open_model(m);
    cr_expect_str_eq(uc_model_dir_lacks_image(d), "image_encoder");
    cr_expect_str_eq(uc_model_dir_lacks(d, UNCLIP_STAGE_SR1024), "super_res_1024_scheduler");
    cr_expect_str_eq(uc_model_dir_lacks(d, UNCLIP_STAGE_PRIOR), "prior");
    cr_expect_null(uc_model_dir_lacks(d, UNCLIP_STAGE_DECODER));
    cr_expect_not(d->has[UC_PART_PRIOR_SCHEDULER], "a null component is absent though its folder is there");
    uc_model_dir_close(d);
}

Test(model_dir, index_names_a_missing_folder) {
    const char *m = path_in("model");
    link_model(m);
    cr_assert_eq(rename(path_in("model/decoder"), path_in("gone")), 0);
    expect_failure(m, UNCLIP_ERR_MODEL_MISSING,
                   "/model_index.json: names decoder, but the directory has no folder decoder");
}

Test(model_dir, missing_files_are_named) {
    static const struct {
        const char *file, *message;
    } cases[] = {
        { "decoder/config.json", "/decoder/config.json: cannot be opened: No such file or directory" },
        { "prior_scheduler/scheduler_config.json",
          "/prior_scheduler/scheduler_config.json: cannot be opened: No such file or directory" },
        { "tokenizer/vocab.json", "/tokenizer/vocab.json: cannot be opened: No such file or directory" },
        { "tokenizer/merges.txt", "/tokenizer/merges.txt: cannot be opened: No such file or directory" },
        { "feature_extractor/preprocessor_config.json",
          "/feature_extractor/preprocessor_config.json: cannot be opened: No such file or directory" },
        { "text_encoder/model.safetensors",
          "/text_encoder: has no model.safetensors (nor shards, nor an fp16 variant)" },
        { "super_res_last/diffusion_pytorch_model.safetensors",
          "/super_res_last: has no diffusion_pytorch_model.safetensors (nor shards, nor an fp16 variant)" },
    };
    const char *m = path_in("model");
    link_model(m);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char file[1024];
        snprintf(file, sizeof file, "%s/%s", m, cases[i].file);
        cr_assert_eq(rename(file, path_in("aside")), 0);
        expect_failure(m, UNCLIP_ERR_MODEL_MISSING, cases[i].message);
        cr_assert_eq(rename(path_in("aside"), file), 0);
    }
    uc_model_dir_close(open_model(m));
}

Test(model_dir, truncated_tensors_are_named) {
    static const char header[] = "{\"conv_in.bias\":{\"dtype\":\"F16\",\"shape\":[16],\"data_offsets\":[0,32]}}";
    const char *m = path_in("model"), *file = path_in("model/decoder/diffusion_pytorch_model.safetensors");
    uc_model_dir *dir;
    unclip_error err = { 0 };
    link_model(m);
    unlink(file);
    write_raw_tensors(file, header, strlen(header), 20);
    cr_expect_eq(uc_model_dir_open(&dir, m, NULL, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect(strstr(err.message, "decoder/diffusion_pytorch_model.safetensors: tensor conv_in.bias: "), "%s",
              err.message);
}

/* ---- what is wrong ----------------------------------------------------------------------------------------------- */

typedef struct wrong_key {
    const char *file, *key, *value, *message;
} wrong_key;

static const wrong_key wrong_index[] = {
    { "model_index.json", "_class_name", "\"StableDiffusionPipeline\"",
      "/model_index.json: _class_name: is \"StableDiffusionPipeline\", expected \"UnCLIPPipeline\" or "
      "\"UnCLIPImageVariationPipeline\"" },
    { "model_index.json", "_class_name", NULL,
      "/model_index.json: _class_name: is missing, expected \"UnCLIPPipeline\" or \"UnCLIPImageVariationPipeline\"" },
    { "model_index.json", "vae", "[\"diffusers\",\"AutoencoderKL\"]",
      "/model_index.json: vae: is [\"diffusers\",\"AutoencoderKL\"], but this component is not known" },
    { "model_index.json", "decoder", "[\"diffusers\",\"UNet2DModel\"]",
      "/model_index.json: decoder: class is \"UNet2DModel\", only \"UNet2DConditionModel\" is supported" },
    { "model_index.json", "decoder", "\"UNet2DConditionModel\"",
      "/model_index.json: decoder: is \"UNet2DConditionModel\", expected a list of library and class" },
    { "model_index.json", "tokenizer", "[\"transformers\",\"T5Tokenizer\"]",
      "/model_index.json: tokenizer: class is \"T5Tokenizer\", only \"CLIPTokenizer\" is supported" },
    { "model_index.json", "prior_scheduler", "[\"diffusers\",\"DDIMScheduler\"]",
      "/prior_scheduler/scheduler_config.json: _class_name: is \"UnCLIPScheduler\", but model_index.json says "
      "\"DDIMScheduler\"" },
};

static const wrong_key wrong_fits[] = {
    { "prior/config.json", "embedding_dim", "64",
      ": prior/config.json: embedding_dim is 64, but text_encoder/config.json: hidden_size is 128" },
    { "prior/config.json", "embedding_proj_dim", "64",
      ": prior/config.json: embedding_proj_dim is 64, but text_encoder/config.json: projection_dim is 128" },
    { "prior/config.json", "num_embeddings", "77",
      ": prior/config.json: num_embeddings is 77, but text_encoder/config.json: max_position_embeddings is 32" },
    { "text_proj/config.json", "clip_embeddings_dim", "96",
      ": text_proj/config.json: clip_embeddings_dim is 96, but text_encoder/config.json: projection_dim is 128" },
    { "image_encoder/config.json", "projection_dim", "96",
      ": text_proj/config.json: clip_embeddings_dim is 128, but image_encoder/config.json: projection_dim is 96" },
    { "decoder/config.json", "cross_attention_dim", "96",
      ": decoder/config.json: cross_attention_dim is 96, but text_proj/config.json: cross_attention_dim is 128" },
    { "decoder/config.json", "time_embedding_dim", "96",
      ": decoder/config.json: time_embedding_dim is 96, but text_proj/config.json: time_embed_dim is 128" },
    { "decoder/config.json", "in_channels", "4", ": decoder/config.json: in_channels is 4, expected 3" },
    { "decoder/config.json", "out_channels", "4",
      ": decoder/config.json: out_channels is 4, expected 3 or, with a learned variance, 6" },
    { "decoder/config.json", "out_channels", "3",
      ": decoder/config.json: out_channels is 3, but decoder_scheduler/scheduler_config.json: variance_type is "
      "learned_range" },
    { "decoder_scheduler/scheduler_config.json", "variance_type", "\"fixed_small_log\"",
      ": decoder/config.json: out_channels is 6, but decoder_scheduler/scheduler_config.json: variance_type is not "
      "learned_range" },
    { "decoder/config.json", "sample_size", "null",
      ": decoder/config.json: sample_size is null, expected the size of the stage's pictures" },
    { "super_res_first/config.json", "sample_size", "null",
      ": super_res_first/config.json: sample_size is null, expected the size of the stage's pictures" },
    { "super_res_first/config.json", "in_channels", "3",
      ": super_res_first/config.json: in_channels is 3, expected 6" },
    { "super_res_last/config.json", "layers_per_block", "2",
      ": super_res_last/config.json: layers_per_block differs from super_res_first/config.json, only equal networks "
      "are "
      "supported" },
    { "super_res_last/config.json", "resnet_time_scale_shift", "\"scale_shift\"",
      ": super_res_last/config.json: resnet_time_scale_shift differs from super_res_first/config.json, only equal "
      "networks "
      "are supported" },
    { "prior_scheduler/scheduler_config.json", "variance_type", "\"learned_range\"",
      ": prior_scheduler/scheduler_config.json: variance_type is learned_range, but a prior has no variance to give" },
    { "tokenizer/tokenizer_config.json", "model_max_length", "77",
      ": tokenizer/tokenizer_config.json: model_max_length is 77, but text_encoder/config.json: "
      "max_position_embeddings is "
      "32" },
    { "text_encoder/config.json", "vocab_size", "600",
      ": the tokenizer has a token 600, but text_encoder/config.json: vocab_size is 600" },
    { "feature_extractor/preprocessor_config.json", "crop_size.height", "32",
      ": feature_extractor/preprocessor_config.json: makes pictures of 32 x 64, but image_encoder/config.json: "
      "image_size is "
      "64" },
    { "feature_extractor/preprocessor_config.json", "do_center_crop", "false",
      ": feature_extractor/preprocessor_config.json: do_center_crop is false and size gives no exact height and width, "
      "so "
      "that pictures would have any size" },
};

static const wrong_key wrong_tokens[] = {
    { "tokenizer/vocab.json", "a</w>", "-1",
      "/tokenizer/vocab.json: \"a</w>\": is -1, expected an integer from 0 to 1048575" },
    { "tokenizer/vocab.json", "a</w>", "1.5",
      "/tokenizer/vocab.json: \"a</w>\": is 1.5, expected an integer from 0 to 1048575" },
    { "tokenizer/tokenizer_config.json", "tokenizer_class", "\"GPT2Tokenizer\"",
      "/tokenizer/tokenizer_config.json: tokenizer_class: is \"GPT2Tokenizer\", expected \"CLIPTokenizer\" or "
      "\"CLIPTokenizerFast\"" },
    { "tokenizer/tokenizer_config.json", "model_max_length", "1",
      "/tokenizer/tokenizer_config.json: model_max_length: is 1.0, expected a number from 2 to 1e+31" },
    { "tokenizer/tokenizer_config.json", "added_tokens_decoder", "{\"x\":{\"content\":\"y\"}}",
      "/tokenizer/tokenizer_config.json: added_tokens_decoder: \"x\" is not a token number" },
    { "tokenizer/tokenizer_config.json", "added_tokens_decoder", "{\"1\":{\"special\":true}}",
      "/tokenizer/tokenizer_config.json: added_tokens_decoder: is {\"special\":true}, expected a string or an object "
      "with "
      "\"content\"" },
    { "tokenizer/tokenizer_config.json", "additional_special_tokens", "[\"<x>\"]",
      "/tokenizer/tokenizer_config.json: additional_special_tokens: is [\"<x>\"], only null is supported" },
    { "tokenizer/special_tokens_map.json", "pad_token", "\"<pad>\"",
      "/tokenizer: pad_token: is \"<pad>\", which vocab.json does not have" },
    { "tokenizer/special_tokens_map.json", "bos_token", "{\"lstrip\":false}",
      "/tokenizer/special_tokens_map.json: bos_token: is {\"lstrip\":false}, expected a string or an object with "
      "\"content\"" },
};

static const wrong_key wrong_settings[] = {
    { "unclip.json", "colour", "1", "/unclip.json: colour: is 1, but this key is not known" },
    { "unclip.json", "name", "7", "/unclip.json: name: is 7, expected a string" },
    { "unclip.json", "logit_scale", "-1", "/unclip.json: logit_scale: is -1, expected a number from 0 to 1000" },
    { "unclip.json", "defaults", "[]", "/unclip.json: defaults: is [], expected an object" },
    { "unclip.json", "defaults.steps", "0", "/unclip.json: defaults.steps: is 0, expected an integer from 1 to 1000" },
    { "unclip.json", "defaults.sr256_cfg_scale", "2",
      "/unclip.json: defaults.sr256_cfg_scale: is 2, but this key is not known" },
    { "unclip.json", "defaults.cfg_scale", "\"high\"",
      "/unclip.json: defaults.cfg_scale: is \"high\", expected a number from 0 to 100" },
    { "unclip.json", "defaults.sr1024_eta", "1.5",
      "/unclip.json: defaults.sr1024_eta: is 1.5, expected a number from 0 to 1" },
    { "unclip.json", "defaults.prior_sampler", "\"euler\"",
      "/unclip.json: defaults.prior_sampler: is \"euler\", expected \"unclip\", \"ddpm\", \"analytic\", \"ddim\" or "
      "\"dpm++\"" },
    { "unclip.json", "defaults.prior_sampler", "\"analytic\"",
      "/unclip.json: prior_sampler: is \"analytic\", but analytic_variance has no table for prior" },
    { "unclip.json", "analytic_variance", "{\"prior\":\"../gamma.safetensors\"}",
      "/unclip.json: analytic_variance.prior: expected the name of a file in the model directory" },
    { "unclip.json", "analytic_variance", "{\"prior\":\"sub/gamma.safetensors\"}",
      "/unclip.json: analytic_variance.prior: expected the name of a file in the model directory" },
    { "unclip.json", "pca", "\"../pca.safetensors\"",
      "/unclip.json: pca: expected the name of a file in the model directory" },
    { "unclip.json", "analytic_variance", "{\"encoder\":\"g.safetensors\"}",
      "/unclip.json: analytic_variance.encoder: is \"g.safetensors\", but this key is not known" },
};

static void check_table(const wrong_key *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *m = path_in("model");
        char file[1024];
        link_model(m);
        snprintf(file, sizeof file, "%s/%s", m, cases[i].file);
        edit_json(file, cases[i].key, cases[i].value);
        expect_failure(m, UNCLIP_ERR_MODEL_DATA, cases[i].message);
        remove_folder();
    }
}

#define CHECK_TABLE(table) check_table(table, sizeof table / sizeof *table)

Test(model_dir, wrong_index) { CHECK_TABLE(wrong_index); }
Test(model_dir, parts_that_do_not_fit) { CHECK_TABLE(wrong_fits); }
Test(model_dir, wrong_tokenizer_files) { CHECK_TABLE(wrong_tokens); }
Test(model_dir, wrong_settings) { CHECK_TABLE(wrong_settings); }

Test(model_dir, last_upsampler_may_leave_out_its_size) {
    const char *m = path_in("model");
    link_model(m);
    edit_json(path_in("model/super_res_last/config.json"), "sample_size", "null");
    uc_model_dir *d = open_model(m);
    cr_expect(d->super_res_first.sample_size == 256 && d->super_res_last.sample_size == 0);
    uc_model_dir_close(d);
}

Test(model_dir, no_limit_in_the_tokenizer_means_the_context) {
    const char *m = path_in("model");
    link_model(m);
    edit_json(path_in("model/tokenizer/tokenizer_config.json"), "model_max_length", NULL);
    replace_text(path_in("model/unclip.json"), "{}");
    uc_model_dir *d = open_model(m);
    cr_expect_eq(d->tokenizer.spec.max_length, 32);
    cr_expect_str_eq(d->name, "model");
    uc_model_dir_close(d);
    replace_text(path_in("model/tokenizer/tokenizer_config.json"),
                 "{\"model_max_length\": 1000000000000000019884624838656}");
    d = open_model(m);
    cr_expect_eq(d->tokenizer.spec.max_length, 32);
    uc_model_dir_close(d);
}

Test(model_dir, added_tokens_file_of_old_tokenizers) {
    const char *m = path_in("model");
    link_model(m);
    write_text(path_in("model/tokenizer/added_tokens.json"), "{\"<mark>\": 5}");
    uc_model_dir *d = open_model(m);
    bool found = false;
    for (size_t i = 0; i < d->tokenizer.spec.added_count; i++)
        found |= !strcmp(d->tokenizer.spec.added[i].text, "<mark>") && d->tokenizer.spec.added[i].id == 5;
    cr_expect(found);
    uc_model_dir_close(d);
    replace_text(path_in("model/tokenizer/added_tokens.json"), "{\"<mark>\": \"5\"}");
    expect_failure(m, UNCLIP_ERR_MODEL_DATA,
                   "/tokenizer/added_tokens.json: \"<mark>\": is \"5\", expected an integer from 0 to 1048575");
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void write_gamma(const char *path, uc_dtype type, int64_t count, double first) {
    double values[1000];
    float narrow[1000];
    unclip_error err = { 0 };
    for (int i = 0; i < 1000; i++) values[i] = i ? 0.5 : first, narrow[i] = (float)values[i];
    const uc_param gamma = { .name = "gamma",
                             .dtype = type,
                             .rank = 1,
                             .dim = { count },
                             .data = type == UC_F64 ? (const void *)values : narrow };
    cr_assert_eq(uc_safetensors_write(path, &gamma, 1, &err), UNCLIP_OK, "%s", err.message);
}

Test(model_dir, defaults_and_tables) {
    const char *m = path_in("model");
    link_model(m);
    write_gamma(path_in("model/prior_gamma.safetensors"), UC_F64, 1000, 0.25);
    write_gamma(path_in("model/sr256_gamma.safetensors"), UC_F32, 1000, 0.75);
    replace_text(
        path_in("model/unclip.json"),
        "{\"name\":\"n\",\"license\":\"MIT\",\"logit_scale\":14.5,"
        "\"description\":\"x\",\"_note\":3,\"defaults\":{\"prior_steps\":64,"
        "\"prior_sampler\":\"analytic\",\"prior_eta\":0.5,\"sampler\":\"dpm++\",\"sr256_sampler\":\"ddim\","
        "\"sr256_steps\":27,\"sr1024_eta\":1},\"analytic_variance\":{\"prior\":\"prior_gamma.safetensors\","
        "\"sr256\":\"sr256_gamma.safetensors\",\"decoder\":null}}");
    uc_model_dir *d = open_model(m);
    const uc_stage_defaults *s = d->defaults;
    cr_expect(s[0].steps == 64 && s[0].sampler == UNCLIP_SAMPLER_ANALYTIC && s[0].eta > 0.4f && s[0].guidance > 3.9f);
    cr_expect(s[1].steps == 25 && s[1].sampler == UNCLIP_SAMPLER_DPMPP_2M);
    cr_expect(s[2].steps == 27 && s[2].sampler == UNCLIP_SAMPLER_DDIM);
    cr_expect(s[3].steps == 15 && s[3].sampler == UNCLIP_SAMPLER_DDIM && s[3].eta > 0.9f);
    cr_assert(d->gamma[0] && !d->gamma[1] && d->gamma[2] && !d->gamma[3]);
    cr_expect(d->gamma[0][0] > 0.24f && d->gamma[0][0] < 0.26f && d->gamma[2][0] > 0.74f && d->gamma[0][999] > 0.49f);
    cr_expect_str_eq(d->license, "MIT");
    cr_expect_eq(d->logit_scale, 14.5);
    uc_model_dir_close(d);
}

Test(model_dir, wrong_tables) {
    const char *m = path_in("model"), *table = path_in("model/g.safetensors");
    static const char *const shape =
        "/g.safetensors: tensor gamma: expected F32 or F64 of shape [1000], the scheduler's "
        "num_train_timesteps";
    link_model(m);
    replace_text(path_in("model/unclip.json"), "{\"analytic_variance\":{\"prior\":\"g.safetensors\"}}");
    expect_failure(m, UNCLIP_ERR_MODEL_MISSING, "/g.safetensors: cannot be opened: No such file or directory");
    write_gamma(table, UC_F32, 999, 1);
    expect_failure(m, UNCLIP_ERR_MODEL_DATA, shape);
    write_gamma(table, UC_I32, 1000, 1);
    expect_failure(m, UNCLIP_ERR_MODEL_DATA, shape);
    write_gamma(table, UC_F32, 1000, NAN);
    expect_failure(m, UNCLIP_ERR_MODEL_DATA,
                   "/g.safetensors: tensor gamma: element 0 is not a finite number of at least 0");
    write_gamma(table, UC_F64, 1000, -0.1);
    expect_failure(m, UNCLIP_ERR_MODEL_DATA,
                   "/g.safetensors: tensor gamma: element 0 is not a finite number of at least 0");
}

/* Every file of the model cut short at a few hundred places: an error that names the file, never a crash. */
Test(model_dir, every_text_file_cut_short) {
    static const char *const files[] = { "model_index.json",
                                         "unclip.json",
                                         "decoder/config.json",
                                         "prior/config.json",
                                         "text_encoder/config.json",
                                         "image_encoder/config.json",
                                         "text_proj/config.json",
                                         "super_res_first/config.json",
                                         "decoder_scheduler/scheduler_config.json",
                                         "feature_extractor/preprocessor_config.json",
                                         "tokenizer/vocab.json",
                                         "tokenizer/tokenizer_config.json",
                                         "tokenizer/special_tokens_map.json" };
    const char *m = path_in("model");
    link_model(m);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[1024], source[1024], text[16384];
        snprintf(file, sizeof file, "%s/%s", m, files[i]);
        snprintf(source, sizeof source, "%s/weights/solids/%s", UC_SOURCE_DIR, files[i]);
        FILE *f = fopen(source, "rb");
        cr_assert_not_null(f, "%s", source);
        size_t size = fread(text, 1, sizeof text, f);
        fclose(f);
        while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == ' ')) size--;
        for (size_t cut = 0; cut < size; cut += 1 + size / 50) {
            uc_model_dir *dir;
            unclip_error err = { 0 };
            unlink(file);
            write_bytes(file, text, cut);
            cr_assert_eq(uc_model_dir_open(&dir, m, NULL, &err), UNCLIP_ERR_MODEL_DATA, "%s cut to %zu", files[i], cut);
            cr_assert(strstr(err.message, files[i]), "%s cut to %zu: %s", files[i], cut, err.message);
        }
        unlink(file);
        cr_assert_eq(symlink(source, file), 0);
    }
}

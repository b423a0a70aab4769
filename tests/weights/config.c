/* config.c - the configuration files: every supported key honoured, every other one refused with file, key and value.
 * Each case changes one key of the shipped model. Rerun one: test_weights --filter 'config/NAME'. */
#include "weights/config_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

TestSuite(config, .fini = remove_folder);

static uc_warnings warnings;

/* One reader, and the shipped file that it reads. */
typedef unclip_status (*reader)(const char *path, unclip_error *err);

static uc_clip_text_config text;
static uc_clip_image_config image;
static uc_image_processor_config processor;
static uc_prior_config prior;
static uc_text_proj_config proj;
static uc_unet_config unet;
static uc_scheduler_config scheduler;

static unclip_status read_text(const char *p, unclip_error *e) { return uc_read_clip_text(p, &text, &warnings, e); }
static unclip_status read_image(const char *p, unclip_error *e) { return uc_read_clip_image(p, &image, &warnings, e); }
static unclip_status read_processor(const char *p, unclip_error *e) {
    return uc_read_image_processor(p, &processor, &warnings, e);
}
static unclip_status read_prior(const char *p, unclip_error *e) { return uc_read_prior(p, &prior, &warnings, e); }
static unclip_status read_proj(const char *p, unclip_error *e) { return uc_read_text_proj(p, &proj, &warnings, e); }
static unclip_status read_decoder(const char *p, unclip_error *e) { return uc_read_unet(p, true, &unet, &warnings, e); }
static unclip_status read_upsampler(const char *p, unclip_error *e) {
    return uc_read_unet(p, false, &unet, &warnings, e);
}
static unclip_status read_scheduler(const char *p, unclip_error *e) {
    return uc_read_scheduler(p, NULL, &scheduler, &warnings, e);
}

enum { TEXT, IMAGE, PROCESSOR, PRIOR, PROJ, DECODER, UPSAMPLER, SCHEDULER };
static const struct {
    reader read;
    const char *source;
} kinds[] = {
    [TEXT] = { read_text, "text_encoder/config.json" },
    [IMAGE] = { read_image, "image_encoder/config.json" },
    [PROCESSOR] = { read_processor, "feature_extractor/preprocessor_config.json" },
    [PRIOR] = { read_prior, "prior/config.json" },
    [PROJ] = { read_proj, "text_proj/config.json" },
    [DECODER] = { read_decoder, "decoder/config.json" },
    [UPSAMPLER] = { read_upsampler, "super_res_first/config.json" },
    [SCHEDULER] = { read_scheduler, "prior_scheduler/scheduler_config.json" },
};

/* A fresh copy of the shipped file. */
static const char *copy_of(int kind) {
    char source[512];
    json_error_t why;
    snprintf(source, sizeof source, "%s/weights/solids/%s", UC_SOURCE_DIR, kinds[kind].source);
    json_t *root = json_load_file(source, 0, &why);
    cr_assert_not_null(root, "%s: %s", source, why.text);
    char *all = json_dumps(root, 0);
    const char *path = path_in("config.json");
    write_text(path, all);
    free(all);
    json_decref(root);
    return path;
}

typedef struct wrong_key {
    int kind;
    const char *key, *value; /* NULL: the key is removed */
    const char *message;     /* behind "PATH: " */
} wrong_key;

static const wrong_key wrong_keys[] = {
    { TEXT, "hidden_size", "\"x\"", "hidden_size: is \"x\", expected an integer from 1 to 1048576" },
    { TEXT, "hidden_size", "0", "hidden_size: is 0, expected an integer from 1 to 1048576" },
    { TEXT, "hidden_size", "128.0", "hidden_size: is 128.0, expected an integer from 1 to 1048576" },
    { TEXT, "hidden_size", "null", "hidden_size: is null, expected an integer from 1 to 1048576" },
    { TEXT, "num_attention_heads", "3", "num_attention_heads: is 3, which does not divide hidden_size 128" },
    { TEXT, "hidden_act", "\"relu\"", "hidden_act: is \"relu\", expected \"quick_gelu\" or \"gelu\"" },
    { TEXT, "model_type", "\"bert\"", "model_type: is \"bert\", only \"clip_text_model\" is supported" },
    { TEXT, "layer_norm_eps", "\"1e-5\"", "layer_norm_eps: is \"1e-5\", expected a number from 0 to 1" },
    { TEXT, "use_rotary", "true", "use_rotary: is true, but this key is not known" },
    { TEXT, "max_position_embeddings", "100000",
      "max_position_embeddings: is 100000, expected an integer from 2 to 4096" },
    { IMAGE, "num_channels", "4", "num_channels: is 4, only 3 is supported" },
    { IMAGE, "patch_size", "65", "patch_size: is 65, larger than image_size 64" },
    { IMAGE, "model_type", "\"clip_text_model\"",
      "model_type: is \"clip_text_model\", only \"clip_vision_model\" is supported" },
    { PROCESSOR, "resample", "2", "resample: is 2, only 3 is supported" },
    { PROCESSOR, "size", "{\"longest_edge\":3}", "size.height: is missing" },
    { PROCESSOR, "size", "{\"shortest_edge\":64,\"longest_edge\":99}",
      "size.longest_edge: is 99, but this key is not known" },
    { PROCESSOR, "size", "\"64\"", "size: is \"64\", expected an object" },
    { PROCESSOR, "crop_size.width", "-64", "crop_size.width: is -64, expected an integer from 1 to 4096" },
    { PROCESSOR, "image_mean", "[0.5,0.5]", "image_mean: is [0.5,0.5], expected a list of 3" },
    { PROCESSOR, "image_mean", "[0.5,0.5,null]", "image_mean[2]: is null, expected a number" },
    { PROCESSOR, "image_std", "[0.5,0.5,0]", "image_std: has 0, expected positive numbers" },
    { PROCESSOR, "do_resize", "1", "do_resize: is 1, expected true or false" },
    { PROCESSOR, "image_processor_type", "\"ViTImageProcessor\"",
      "image_processor_type: is \"ViTImageProcessor\", expected \"CLIPImageProcessor\", \"CLIPFeatureExtractor\" or "
      "\"CLIPImageProcessorFast\"" },
    { PRIOR, "_class_name", "\"UNet2DModel\"",
      "_class_name: is \"UNet2DModel\", only \"PriorTransformer\" is supported" },
    { PRIOR, "added_emb_type", "null", "added_emb_type: is null, only \"prd\" is supported" },
    { PRIOR, "encoder_hid_proj_type", "null", "encoder_hid_proj_type: is null, only \"linear\" is supported" },
    { PRIOR, "norm_in_type", "\"layer\"", "norm_in_type: is \"layer\", only null is supported" },
    { PRIOR, "embedding_proj_norm_type", "\"layer\"",
      "embedding_proj_norm_type: is \"layer\", only null is supported" },
    { PRIOR, "time_embed_act_fn", "\"gelu\"", "time_embed_act_fn: is \"gelu\", only \"silu\" is supported" },
    { PRIOR, "additional_embeddings", "6", "additional_embeddings: is 6, only 4 is supported" },
    { PRIOR, "clip_embed_dim", "64", "clip_embed_dim: is 64, only embedding_dim, 128, is supported" },
    { PRIOR, "attention_head_dim", "1048576",
      "attention_head_dim: is 1048576, with 4 heads the width is more than 1048576" },
    { PROJ, "time_embed_dim", NULL, "time_embed_dim: is missing" },
    { PROJ, "cross_attention_dim", "[1,2]", "cross_attention_dim: is [1,2], expected an integer from 1 to 1048576" },
    { DECODER, "block_out_channels", "[16,\"x\",64,128]",
      "block_out_channels[1]: is \"x\", expected an integer from 1 to 1048576" },
    { DECODER, "block_out_channels", "[16,32,64,128,256,512,1024,2048,4096]",
      "block_out_channels: is [16,32,64,128,256,512,1024,2048,4096], expected a list of 1 to 8" },
    { DECODER, "block_out_channels", "[16,32,64]",
      "down_block_types: is "
      "[\"ResnetDownsampleBlock2D\",\"ResnetDownsampleBlock2D\",\"SimpleCrossAttnDownBlock2D\",\"SimpleCro..., "
      "expected a list of 3" },
    { DECODER, "block_out_channels", NULL, "block_out_channels: is missing" },
    { DECODER, "block_out_channels", "[16,32,64,100]",
      "norm_num_groups: is 8, which does not divide block_out_channels[3], 100" },
    { DECODER, "down_block_types",
      "[\"DownBlock2D\",\"ResnetDownsampleBlock2D\",\"ResnetDownsampleBlock2D\",\"ResnetDownsampleBlock2D\"]",
      "down_block_types[0]: is \"DownBlock2D\", expected \"ResnetDownsampleBlock2D\" or "
      "\"SimpleCrossAttnDownBlock2D\"" },
    { DECODER, "up_block_types", NULL, "up_block_types: is missing" },
    { DECODER, "mid_block_type", "\"UNetMidBlock2DCrossAttn\"",
      "mid_block_type: is \"UNetMidBlock2DCrossAttn\", only \"UNetMidBlock2DSimpleCrossAttn\" is supported" },
    { DECODER, "mid_block_type", NULL, "mid_block_type: is missing" },
    { DECODER, "class_embed_type", "null", "class_embed_type: is null, only \"identity\" is supported" },
    { DECODER, "class_embed_type", "\"timestep\"",
      "class_embed_type: is \"timestep\", only \"identity\" is supported" },
    { DECODER, "only_cross_attention", "true", "only_cross_attention: is true, only false is supported" },
    { DECODER, "cross_attention_norm", "\"layer_norm\"",
      "cross_attention_norm: is \"layer_norm\", only null is supported" },
    { DECODER, "encoder_hid_dim", "64", "encoder_hid_dim: is 64, only null is supported" },
    { DECODER, "cross_attention_dim", "[128,128,128,64]",
      "cross_attention_dim: is 128 and 64, only one size is supported" },
    { DECODER, "attention_head_dim", "[32,32,32]", "attention_head_dim: is [32,32,32], expected a list of 4" },
    { DECODER, "attention_head_dim", "null", "attention_head_dim: is null, expected an integer from 1 to 1048576" },
    { DECODER, "attention_head_dim", "48",
      "attention_head_dim: is 48, which does not divide the 160 channels of the up block" },
    { DECODER, "act_fn", "\"gelu\"", "act_fn: is \"gelu\", expected \"silu\" or \"swish\"" },
    { DECODER, "resnet_time_scale_shift", "\"ada_group\"",
      "resnet_time_scale_shift: is \"ada_group\", expected \"default\" or \"scale_shift\"" },
    { DECODER, "resnet_skip_time_act", "true", "resnet_skip_time_act: is true, only false is supported" },
    { DECODER, "resnet_out_scale_factor", "1.4142", "resnet_out_scale_factor: is 1.4142, only 1 is supported" },
    { DECODER, "mid_block_scale_factor", "0.5", "mid_block_scale_factor: is 0.5, only 1 is supported" },
    { DECODER, "center_input_sample", "true", "center_input_sample: is true, only false is supported" },
    { DECODER, "time_embedding_type", "\"fourier\"",
      "time_embedding_type: is \"fourier\", only \"positional\" is supported" },
    { DECODER, "conv_in_kernel", "1", "conv_in_kernel: is 1, only 3 is supported" },
    { DECODER, "norm_num_groups", "null", "norm_num_groups: is null, expected an integer from 1 to 1048576" },
    { DECODER, "num_class_embeds", "10", "num_class_embeds: is 10, only null is supported" },
    { DECODER, "sample_size", "60", "sample_size: is 60, expected a multiple of 8, for 4 levels" },
    { DECODER, "sample_size", "[64,32]", "sample_size: is [64, 32], only squares are supported" },
    { DECODER, "layers_per_block", "[1,2,3]", "layers_per_block: is [1,2,3], expected a list of 4" },
    { DECODER, "surprise", "{\"a\":[1,2]}", "surprise: is {\"a\":[1,2]}, but this key is not known" },
    { DECODER, "sur\\nprise", "1", "sur\\nprise: is 1, but this key is not known" },
    { UPSAMPLER, "add_attention", "true", "add_attention: is true, only false is supported" },
    { UPSAMPLER, "add_attention", NULL, "add_attention: is missing, which means true; only false is supported" },
    { UPSAMPLER, "mid_block_type", "null", "mid_block_type: is null, only \"UNetMidBlock2D\" is supported" },
    { UPSAMPLER, "class_embed_type", "\"identity\"", "class_embed_type: is \"identity\", only null is supported" },
    { UPSAMPLER, "layers_per_block", "[1,1,1,1]", "layers_per_block: is a list, expected a positive integer" },
    { UPSAMPLER, "down_block_types",
      "[\"SimpleCrossAttnDownBlock2D\",\"ResnetDownsampleBlock2D\",\"ResnetDownsampleBlock2D\","
      "\"ResnetDownsampleBlock2D\"]",
      "down_block_types[0]: is \"SimpleCrossAttnDownBlock2D\", only \"ResnetDownsampleBlock2D\" is supported" },
    { UPSAMPLER, "cross_attention_dim", "128", "cross_attention_dim: is 128, but this key is not known" },
    { SCHEDULER, "_class_name", NULL, "_class_name: is missing" },
    { SCHEDULER, "_class_name", "\"EulerDiscreteScheduler\"",
      "_class_name: is \"EulerDiscreteScheduler\", expected \"UnCLIPScheduler\", \"DDPMScheduler\", \"DDIMScheduler\" "
      "or "
      "\"DPMSolverMultistepScheduler\"" },
    { SCHEDULER, "beta_schedule", "\"linear\"",
      "beta_schedule: is \"linear\", only \"squaredcos_cap_v2\" is supported" },
    { SCHEDULER, "prediction_type", "\"v_prediction\"",
      "prediction_type: is \"v_prediction\", expected \"epsilon\" or \"sample\"" },
    { SCHEDULER, "variance_type", "\"fixed_large\"",
      "variance_type: is \"fixed_large\", expected \"fixed_small_log\" or \"learned_range\"" },
    { SCHEDULER, "num_train_timesteps", "1", "num_train_timesteps: is 1, expected an integer from 2 to 100000" },
    { SCHEDULER, "clip_sample_range", "-5", "clip_sample_range: is -5, expected a number from 1e-06 to 1e+06" },
    { SCHEDULER, "clip_sample_range", "null", "clip_sample_range: is null, expected a number from 1e-06 to 1e+06" },
    { SCHEDULER, "timestep_spacing", "\"leading\"", "timestep_spacing: is \"leading\", but this key is not known" },
};

Test(config, wrong_keys_are_named) {
    for (size_t i = 0; i < sizeof wrong_keys / sizeof *wrong_keys; i++) {
        const wrong_key *c = &wrong_keys[i];
        unclip_error err = { 0 };
        char expect[1400];
        const char *path = copy_of(c->kind);
        edit_json(path, c->key, c->value);
        const unclip_status status = kinds[c->kind].read(path, &err);
        snprintf(expect, sizeof expect, "%s: %s", path, c->message);
        cr_expect_eq(status, UNCLIP_ERR_MODEL_DATA, "%s = %s: status %d", c->key, c->value, (int)status);
        cr_expect_str_eq(err.message, expect, "\n  got      %s\n  expected %s", err.message, expect);
    }
    uc_warnings_free(&warnings);
}

typedef struct broken_file {
    const char *text, *message;
} broken_file;

static const broken_file broken_files[] = {
    { "", "line 1, column 0: '[' or '{' expected near end of file" },
    { "{", "line 1, column 1: string or '}' expected near end of file" },
    { "[1]", "is a list, expected an object" },
    { "{\"a\":1}}", "line 1, column 8: end of file expected near '}'" },
    { "{\n\"hidden_size\": 1,\n\"hidden_size\": 2}", "line 3, column 13: duplicate object key near '\"hidden_size\"'" },
    { "{\"a\":\"\xFF\"}", "is not UTF-8 (byte 6)" },
    { "{\"a\":NaN}", "line 1, column 8: invalid token near 'NaN'" },
    { "{\"a\":Infinityx}", "line 1, column 14: '}' expected near 'x'" },
};

Test(config, broken_files) {
    const char *path = path_in("config.json");
    char expect[1400];
    unclip_error err = { 0 };
    for (size_t i = 0; i < sizeof broken_files / sizeof *broken_files; i++) {
        write_text(path, broken_files[i].text);
        cr_expect_eq(read_text(path, &err), UNCLIP_ERR_MODEL_DATA);
        snprintf(expect, sizeof expect, "%s: %s", path, broken_files[i].message);
        cr_expect_str_eq(err.message, expect, "\n  got      %s\n  expected %s", err.message, expect);
    }
    char *big = malloc(UC_CONFIG_LIMIT + 1);
    memset(big, ' ', UC_CONFIG_LIMIT + 1);
    write_bytes(path, big, UC_CONFIG_LIMIT + 1);
    free(big);
    cr_expect_eq(read_text(path, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect(strstr(err.message, "has 1048577 bytes, at most 1048576 are allowed"), "%s", err.message);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void read_text_as(int kind, const char *json) {
    unclip_error err = { 0 };
    write_text(path_in("config.json"), json);
    cr_assert_eq(kinds[kind].read(path_in("config.json"), &err), UNCLIP_OK, "%s", err.message);
}

/* Karlo's configurations as the public pages show them, most keys left to diffusers' defaults. */
Test(config, karlo) {
    read_text_as(PRIOR, "{\"_class_name\":\"PriorTransformer\"}");
    cr_expect(prior.heads == 32 && prior.head_dim == 64 && prior.layers == 20 && prior.embedding_dim == 768);
    cr_expect(prior.num_embeddings == 77 && prior.time_embed_dim == 2048 && prior.embedding_proj_dim == 768);
    read_text_as(
        DECODER,
        "{\"_class_name\":\"UNet2DConditionModel\",\"attention_head_dim\":64,\"class_embed_type\":\"identity\","
        "\"block_out_channels\":[320,640,960,1280],\"cross_attention_dim\":1536,\"down_block_types\":["
        "\"ResnetDownsampleBlock2D\",\"SimpleCrossAttnDownBlock2D\",\"SimpleCrossAttnDownBlock2D\","
        "\"SimpleCrossAttnDownBlock2D\"],\"mid_block_type\":\"UNetMidBlock2DSimpleCrossAttn\",\"up_block_types\":["
        "\"SimpleCrossAttnUpBlock2D\",\"SimpleCrossAttnUpBlock2D\",\"SimpleCrossAttnUpBlock2D\","
        "\"ResnetUpsampleBlock2D\"],\"layers_per_block\":3,\"in_channels\":3,\"out_channels\":6,"
        "\"resnet_time_scale_shift\":\"scale_shift\",\"sample_size\":64}");
    cr_expect(unet.levels == 4 && unet.channels[3] == 1280 && unet.down_layers[2] == 3 && unet.up_layers[2] == 4);
    cr_expect(!unet.down_attention[0] && unet.down_attention[3] && unet.up_attention[0] && !unet.up_attention[3]);
    cr_expect(unet.time_dim == 1280 && unet.groups == 32 && unet.scale_shift && unet.flip_sin_to_cos);
    cr_expect(unet.mid_attention && unet.mid_head_dim == 64 && unet.cross_dim == 1536);
    read_text_as(SCHEDULER, "{\"_class_name\":\"UnCLIPScheduler\",\"_diffusers_version\":\"0.10.0.dev0\","
                            "\"clip_sample_range\":5.0,\"prediction_type\":\"sample\"}");
    cr_expect(scheduler.class_id == UC_SCHEDULER_UNCLIP && scheduler.clip > 4.9f && scheduler.clip < 5.1f);
    cr_expect(scheduler.prediction == UC_PREDICT_SAMPLE && scheduler.variance == UC_VARIANCE_FIXED_SMALL_LOG);
    cr_expect(scheduler.spacing == UC_SPACING_UNCLIP && scheduler.beta_schedule == UC_BETA_SQUAREDCOS_CAP_V2);
    read_text_as(TEXT,
                 "{\"hidden_size\":768,\"intermediate_size\":3072,\"num_attention_heads\":12,\"projection_dim\":768,"
                 "\"bos_token_id\":0,\"eos_token_id\":2,\"dropout\":0.0,\"model_type\":\"clip_text_model\"}");
    cr_expect(text.vocab == 49408 && text.layers == 12 && text.context == 77 && text.eos == 2 &&
              text.act == UC_QUICK_GELU);
}

Test(config, lists_for_each_level) {
    const char *path = copy_of(DECODER);
    unclip_error err = { 0 };
    edit_json(path, "layers_per_block", "[1,2,3,4]");
    edit_json(path, "attention_head_dim", "[4,8,16,32]");
    edit_json(path, "time_embedding_dim", "96");
    edit_json(path, "sample_size", "[64,64]");
    cr_assert_eq(read_decoder(path, &err), UNCLIP_OK, "%s", err.message);
    for (int i = 0; i < 4; i++) {
        cr_expect_eq(unet.down_layers[i], i + 1);
        cr_expect_eq(unet.up_layers[i], 5 - i);
        cr_expect_eq(unet.down_head_dim[i], 4 << i);
        cr_expect_eq(unet.up_head_dim[i], 4 << i, "diffusers does not reverse this list");
    }
    cr_expect(unet.mid_head_dim == 32 && unet.time_dim == 96 && unet.sample_size == 64);
}

Test(config, schedulers_have_the_defaults_of_their_class) {
    read_text_as(SCHEDULER, "{\"_class_name\":\"DDPMScheduler\"}");
    cr_expect(scheduler.class_id == UC_SCHEDULER_DDPM && scheduler.beta_schedule == UC_BETA_LINEAR);
    cr_expect(scheduler.spacing == UC_SPACING_LEADING && scheduler.variance == UC_VARIANCE_FIXED_SMALL &&
              scheduler.clip > 0);
    read_text_as(SCHEDULER,
                 "{\"_class_name\":\"DDIMScheduler\",\"clip_sample\":false,\"set_alpha_to_one\":false,"
                 "\"beta_schedule\":\"scaled_linear\",\"prediction_type\":\"v_prediction\",\"steps_offset\":1,"
                 "\"timestep_spacing\":\"trailing\",\"rescale_betas_zero_snr\":true,\"beta_end\":0.012,"
                 "\"thresholding\":false,\"trained_betas\":null}");
    cr_expect(scheduler.class_id == UC_SCHEDULER_DDIM && !scheduler.set_alpha_to_one && !(scheduler.clip > 0));
    cr_expect(scheduler.beta_schedule == UC_BETA_SCALED_LINEAR && scheduler.prediction == UC_PREDICT_V);
    cr_expect(scheduler.steps_offset == 1 && scheduler.spacing == UC_SPACING_TRAILING &&
              scheduler.rescale_betas_zero_snr);
    cr_expect(fabs(scheduler.beta_end - 0.012) < 1e-12);
    cr_expect(!(scheduler.threshold > 0) && isinf(scheduler.threshold_max));
    read_text_as(SCHEDULER, "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"lambda_min_clipped\":-Infinity,"
                            "\"variance_type\":\"learned_range\",\"beta_schedule\":\"squaredcos_cap_v2\","
                            "\"note\":null,\"euler_at_final\":true}");
    cr_expect(scheduler.class_id == UC_SCHEDULER_DPMSOLVER_MULTISTEP && scheduler.spacing == UC_SPACING_LINSPACE);
    cr_expect(isinf(scheduler.lambda_min_clipped) && scheduler.variance == UC_VARIANCE_LEARNED_RANGE);
    cr_expect(scheduler.lower_order_final && scheduler.euler_at_final && !(scheduler.clip > 0));
    cr_assert_eq(warnings.count, 1);
    cr_expect(strstr(warnings.text[0], "note: unknown key, ignored because it is null"), "%s", warnings.text[0]);
    uc_warnings_free(&warnings);
}

Test(config, dynamic_thresholding) {
    read_text_as(SCHEDULER, "{\"_class_name\":\"DDPMScheduler\",\"thresholding\":true}");
    cr_expect_float_eq(scheduler.threshold, 0.995f, 0);
    cr_expect_float_eq(scheduler.threshold_max, 1, 0, "diffusers' default");
    read_text_as(SCHEDULER, "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"thresholding\":true,"
                            "\"dynamic_thresholding_ratio\":0.95,\"sample_max_value\":1.5}");
    cr_expect_float_eq(scheduler.threshold, 0.95f, 0);
    cr_expect_float_eq(scheduler.threshold_max, 1.5f, 0);
    read_text_as(SCHEDULER, "{\"_class_name\":\"DDIMScheduler\",\"dynamic_thresholding_ratio\":0.95,"
                            "\"sample_max_value\":1.5}");
    cr_expect(!(scheduler.threshold > 0) && isinf(scheduler.threshold_max), "not read without thresholding");
    cr_expect_eq(warnings.count, 0);
    uc_warnings_free(&warnings);
}

typedef struct wrong_text {
    const char *json, *message;
} wrong_text;

static const wrong_text wrong_schedulers[] = {
    { "{\"_class_name\":\"DDIMScheduler\",\"thresholding\":true,\"dynamic_thresholding_ratio\":1.5}",
      "dynamic_thresholding_ratio: is 1.5, expected a number from 1e-06 to 1" },
    { "{\"_class_name\":\"DDPMScheduler\",\"thresholding\":true,\"sample_max_value\":0}",
      "sample_max_value: is 0, expected a number from 1e-06 to 1e+06" },
    { "{\"_class_name\":\"DDPMScheduler\",\"thresholding\":\"yes\"}", "thresholding: is \"yes\", expected true or false" },
    { "{\"_class_name\":\"DDIMScheduler\",\"trained_betas\":[0.1]}",
      "trained_betas: is [0.1], only null is supported" },
    { "{\"_class_name\":\"DDIMScheduler\",\"variance_type\":\"learned\"}",
      "variance_type: is \"learned\", only null is supported" },
    { "{\"_class_name\":\"DDPMScheduler\",\"beta_schedule\":\"sigmoid\"}",
      "beta_schedule: is \"sigmoid\", expected \"squaredcos_cap_v2\", \"linear\" or \"scaled_linear\"" },
    { "{\"_class_name\":\"DDPMScheduler\",\"beta_start\":0.03}",
      "beta_start: is 0.03 and beta_end 0.02, expected 0 < beta_start <= beta_end < 1" },
    { "{\"_class_name\":\"DDPMScheduler\",\"timestep_spacing\":\"even\"}",
      "timestep_spacing: is \"even\", expected \"linspace\", \"leading\" or \"trailing\"" },
    { "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"solver_order\":3}",
      "solver_order: is 3, only 2 is supported" },
    { "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"algorithm_type\":\"sde-dpmsolver++\"}",
      "algorithm_type: is \"sde-dpmsolver++\", only \"dpmsolver++\" is supported" },
    { "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"use_karras_sigmas\":true}",
      "use_karras_sigmas: is true, only false is supported" },
    { "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"final_sigmas_type\":\"sigma_min\"}",
      "final_sigmas_type: is \"sigma_min\", only \"zero\" is supported" },
};

Test(config, schedulers_refuse_what_no_sampler_does) {
    const char *path = path_in("config.json");
    char expect[1400];
    unclip_error err = { 0 };
    for (size_t i = 0; i < sizeof wrong_schedulers / sizeof *wrong_schedulers; i++) {
        write_text(path, wrong_schedulers[i].json);
        cr_expect_eq(read_scheduler(path, &err), UNCLIP_ERR_MODEL_DATA, "%s", wrong_schedulers[i].json);
        snprintf(expect, sizeof expect, "%s: %s", path, wrong_schedulers[i].message);
        cr_expect_str_eq(err.message, expect, "\n  got      %s\n  expected %s", err.message, expect);
    }
    write_text(path, "{\"_class_name\":\"DDIMScheduler\"}");
    cr_expect_eq(uc_read_scheduler(path, "UnCLIPScheduler", &scheduler, &warnings, &err), UNCLIP_ERR_MODEL_DATA);
    snprintf(expect, sizeof expect,
             "%s: _class_name: is \"DDIMScheduler\", but model_index.json says \"UnCLIPScheduler\"", path);
    cr_expect_str_eq(err.message, expect);
    write_text(path, "{}");
    cr_expect_eq(uc_read_scheduler(path, "DDIMScheduler", &scheduler, &warnings, &err), UNCLIP_OK, "%s", err.message);
    cr_expect_eq(scheduler.class_id, UC_SCHEDULER_DDIM);
}

Test(config, image_processor_forms) {
    read_text_as(PROCESSOR, "{\"size\":224,\"crop_size\":224,\"feature_extractor_type\":\"CLIPFeatureExtractor\"}");
    cr_expect(processor.shortest_edge == 224 && processor.crop_height == 224 && processor.crop_width == 224);
    cr_expect(processor.resize && processor.center_crop && processor.rescale && processor.normalize);
    cr_expect(fabs((double)processor.mean[2] - 0.40821073) < 1e-7 &&
              fabs((double)processor.std[0] - 0.26862954) < 1e-7);
    read_text_as(PROCESSOR, "{\"size\":{\"height\":32,\"width\":48},\"do_center_crop\":false}");
    cr_expect(!processor.shortest_edge && processor.resize_height == 32 && processor.resize_width == 48);
    cr_expect(!processor.center_crop);
    read_text_as(PROCESSOR, "{}");
    cr_expect(processor.shortest_edge == 224 && fabs(processor.rescale_factor - 1.0 / 255) < 1e-12);
}

Test(config, long_values_are_cut_at_a_character) {
    char value[1000] = "\"";
    for (int i = 0; i < 200; i++) strcat(value, "\xE2\x82\xAC"); /* euro sign */
    strcat(value, "\"");
    unclip_error err = { 0 };
    const char *path = copy_of(TEXT);
    edit_json(path, "hidden_act", value);
    cr_expect_eq(read_text(path, &err), UNCLIP_ERR_MODEL_DATA);
    json_t *valid = json_string(err.message);
    cr_expect_not_null(valid, "the message is not UTF-8");
    cr_expect(strstr(err.message, "\xE2\x82\xAC..., expected"), "%s", err.message);
    json_decref(valid);
}

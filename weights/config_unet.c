/* config_unet.c - decoder and upsamplers: the arrows image embedding -> decoder 64 -> upsampler 256 -> upsampler 1024.
 * Defaults are those of diffusers' UNet2DConditionModel and UNet2DModel, whatever use they are for an unCLIP: a file that
 * leaves out a key means the default, and is refused when that is not supported. */
#include "config_read.h"

#include <string.h>

enum { MOST = 1 << 20 };

/* Keys that our block types never look at: the kind of sampling layer belongs to other blocks, the rest to training. */
static const char *const unet_ignored[] = { "dropout",       "downsample_padding",  "downsample_type",
                                            "upsample_type", "num_train_timesteps", "attn_norm_num_groups" };

/* sample_size: N, null, or [N, N]. */
static int64_t read_sample_size(uc_json *j) {
    int64_t size[2];
    if (!json_is_array(json_object_get(j->root, "sample_size")))
        return uc_json_int_or_null(j, "sample_size", 0, 1, 16384);
    uc_json_ints(j, "sample_size", 0, size, 2, 1, 16384);
    if (!j->status && size[0] != size[1])
        uc_json_fail(j, "sample_size", "is [%lld, %lld], only squares are supported", (long long)size[0],
                     (long long)size[1]);
    return size[0];
}

/* Keys that both classes have. */
static void read_common(uc_json *j, uc_unet_config *c) {
    static const char *const acts[] = { "silu", "swish" };
    static const char *const shifts[] = { "default", "scale_shift" };
    c->sample_size = read_sample_size(j);
    c->in_channels = uc_json_int(j, "in_channels", c->conditional ? 4 : 3, 1, MOST);
    c->out_channels = uc_json_int(j, "out_channels", c->conditional ? 4 : 3, 1, MOST);
    c->levels = uc_json_list(j, "block_out_channels", c->channels, UC_MAX_LEVELS, 1, MOST);
    c->groups = uc_json_int(j, "norm_num_groups", 32, 1, MOST);
    c->eps = (float)uc_json_number(j, "norm_eps", 1e-5, 0, 1);
    c->attention_eps = 1e-5f;
    c->scale_shift = uc_json_choice(j, "resnet_time_scale_shift", 0, shifts, 2) == 1;
    c->flip_sin_to_cos = uc_json_bool(j, "flip_sin_to_cos", true);
    c->freq_shift = (float)uc_json_number(j, "freq_shift", 0, -1024, 1024);
    c->time_dim = uc_json_int_or_null(j, "time_embedding_dim", c->levels ? 4 * c->channels[0] : 1, 1, 4 * MOST);
    uc_json_choice(j, "act_fn", 0, acts, 2);
    c->act = UC_SILU;
    uc_json_only_bool(j, "center_input_sample", false);
    uc_json_only_string(j, "time_embedding_type", "positional");
    uc_json_only_number(j, "mid_block_scale_factor", 1);
    uc_json_only_null(j, "num_class_embeds");
    uc_json_ignore(j, unet_ignored, sizeof unet_ignored / sizeof *unet_ignored);
}

/* Block types, and how many resblocks each block has. */
static void read_blocks(uc_json *j, uc_unet_config *c) {
    static const char *const down[] = { "ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D" };
    static const char *const up[] = { "ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D" };
    const int names = c->conditional ? 2 : 1;
    int kind[UC_MAX_LEVELS];
    uc_json_choices(j, "down_block_types", kind, c->levels, down, names);
    for (int i = 0; i < c->levels && !j->status; i++) c->down_attention[i] = kind[i] == 1;
    uc_json_choices(j, "up_block_types", kind, c->levels, up, names);
    for (int i = 0; i < c->levels && !j->status; i++) c->up_attention[i] = kind[i] == 1;
    if (!c->conditional && json_is_array(json_object_get(j->root, "layers_per_block")))
        uc_json_fail(j, "layers_per_block", "is a list, expected a positive integer");
    uc_json_ints(j, "layers_per_block", 2, c->down_layers, c->levels, 1, 64);
    for (int i = 0; i < c->levels; i++) c->up_layers[i] = c->down_layers[c->levels - 1 - i] + 1;
}

/* Text context and attention: UNet2DConditionModel only. */
static void read_conditional(uc_json *j, uc_unet_config *c) {
    static const char *const only_null[] = {
        "addition_embed_type",
        "addition_time_embed_dim",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "num_attention_heads",
        "projection_class_embeddings_input_dim",
        "reverse_transformer_layers_per_block",
        "time_cond_proj_dim",
        "time_embedding_act_fn",
        "timestep_post_act",
        "cross_attention_norm",
    };
    /* Read by transformer blocks, or together with an additional embedding, which there is none of. */
    static const char *const ignored[] = {
        "addition_embed_type_num_heads", "attention_type",   "dual_cross_attention",
        "transformer_layers_per_block",  "upcast_attention", "use_linear_projection"
    };
    static const char *const mid[] = { "UNetMidBlock2DSimpleCrossAttn" }, *const identity[] = { "identity" };
    int64_t cross[UC_MAX_LEVELS] = { 0 };
    if (!json_object_get(j->root, "mid_block_type")) uc_json_fail(j, "mid_block_type", "is missing");
    uc_json_choice(j, "mid_block_type", 0, mid, 1);
    uc_json_choice(j, "class_embed_type", -1, identity, 1);
    uc_json_ints(j, "attention_head_dim", 8, c->down_head_dim, c->levels, 1, MOST);
    uc_json_ints(j, "cross_attention_dim", 1280, cross, c->levels, 1, MOST);
    for (int i = 1; i < c->levels; i++)
        if (cross[i] != cross[0])
            uc_json_fail(j, "cross_attention_dim", "is %lld and %lld, only one size is supported", (long long)cross[0],
                         (long long)cross[i]);
    for (size_t i = 0; i < sizeof only_null / sizeof *only_null; i++) uc_json_only_null(j, only_null[i]);
    uc_json_only_bool(j, "class_embeddings_concat", false);
    uc_json_only_bool(j, "only_cross_attention", false);
    uc_json_only_bool(j, "mid_block_only_cross_attention", false);
    uc_json_only_bool(j, "resnet_skip_time_act", false);
    uc_json_only_number(j, "resnet_out_scale_factor", 1);
    uc_json_only_number(j, "conv_in_kernel", 3);
    uc_json_only_number(j, "conv_out_kernel", 3);
    uc_json_ignore(j, ignored, sizeof ignored / sizeof *ignored);
    c->mid_attention = true;
    c->cross_dim = cross[0];
    /* diffusers gives up block i the i-th head size, as it gives it to down block i. */
    for (int i = 0; i < c->levels; i++) c->up_head_dim[i] = c->down_head_dim[i];
    if (c->levels) c->mid_head_dim = c->down_head_dim[c->levels - 1];
}

static void read_unconditional(uc_json *j) {
    static const char *const mid[] = { "UNetMidBlock2D" }, *const ignored[] = { "attention_head_dim" };
    uc_json_choice(j, "mid_block_type", 0, mid, 1);
    if (!json_object_get(j->root, "add_attention"))
        uc_json_fail(j, "add_attention", "is missing, which means true; only false is supported");
    uc_json_only_bool(j, "add_attention", false);
    uc_json_only_null(j, "class_embed_type");
    uc_json_ignore(j, ignored, 1);
}

static void check_heads(uc_json *j, int64_t channels, int64_t head_dim, const char *where) {
    if (channels % head_dim)
        uc_json_fail(j, "attention_head_dim", "is %lld, which does not divide the %lld channels of the %s block",
                     (long long)head_dim, (long long)channels, where);
}

static void check_sizes(uc_json *j, const uc_unet_config *c) {
    for (int i = 0; i < c->levels; i++)
        if (c->channels[i] % c->groups)
            uc_json_fail(j, "norm_num_groups", "is %lld, which does not divide block_out_channels[%d], %lld",
                         (long long)c->groups, i, (long long)c->channels[i]);
    for (int i = 0; i < c->levels && c->conditional; i++) {
        const int level = c->levels - 1 - i;
        if (c->down_attention[i]) check_heads(j, c->channels[i], c->down_head_dim[i], "down");
        if (c->up_attention[i]) check_heads(j, c->channels[level], c->up_head_dim[i], "up");
    }
    if (c->mid_attention) check_heads(j, c->channels[c->levels - 1], c->mid_head_dim, "middle");
    const int64_t step = (int64_t)1 << (c->levels - 1);
    if (c->sample_size % step)
        uc_json_fail(j, "sample_size", "is %lld, expected a multiple of %lld, for %d levels", (long long)c->sample_size,
                     (long long)step, c->levels);
}

unclip_status uc_read_unet(const char *path, bool conditional, uc_unet_config *c, uc_warnings *warnings,
                           unclip_error *err) {
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    *c = (uc_unet_config){ .conditional = conditional };
    uc_json_class(&j, conditional ? "UNet2DConditionModel" : "UNet2DModel");
    read_common(&j, c);
    read_blocks(&j, c);
    if (conditional) read_conditional(&j, c);
    else read_unconditional(&j);
    if (!j.status) check_sizes(&j, c);
    return uc_json_finish(&j);
}

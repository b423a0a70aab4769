/* config.h - what each network and schedule of a model directory looks like: sizes, heads, types, as plain numbers.
 *
 * Every arrow of the flow prompt -> tokens -> CLIP text -> prior -> decoder -> upsamplers has its struct here. The weights
 * folder fills them from the config.json files (weights/model_dir.h); the models read them and know no JSON. Whatever a
 * config.json can say that is not in a struct has only one supported value and was checked while it was read. Sizes are
 * positive, lists have the stated length, and channel counts divide by their groups and head sizes. */
#ifndef UC_MODELS_CONFIG_H
#define UC_MODELS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "../../kernels/ops.h" /* uc_act, uc_prediction */
#include "../unclip.h"         /* unclip_sampler */

/* transformers CLIPTextModelWithProjection (text_encoder/config.json). */
typedef struct uc_clip_text_config {
    int64_t vocab;
    int64_t width;        /* hidden_size */
    int64_t layers, heads;
    int64_t intermediate; /* width of the MLP */
    int64_t context;      /* max_position_embeddings: tokens in a prompt, start and end included */
    int64_t projection;   /* of the joint space */
    uc_act act;
    float eps;            /* of every layer norm */
    int32_t bos, eos, pad; /* eos 2 is transformers' legacy value: pool at the LARGEST id; any other: at the first eos */
} uc_clip_text_config;

/* transformers CLIPVisionModelWithProjection (image_encoder/config.json). */
typedef struct uc_clip_image_config {
    int64_t image_size, patch; /* (image_size / patch)^2 patch tokens, a remainder is cut off */
    int64_t channels;          /* 3 */
    int64_t width, layers, heads, intermediate, projection;
    uc_act act;
    float eps;
} uc_clip_image_config;

/* diffusers PriorTransformer (prior/config.json) with added_emb_type "prd", encoder_hid_proj_type "linear", no input or
 * projection norm, SiLU in the time embedding. Sequence: text_tokens, text embedding, time, noised embedding, prd. */
typedef struct uc_prior_config {
    int64_t heads, head_dim;   /* inner width = heads * head_dim */
    int64_t layers;
    int64_t embedding_dim;     /* of the image embedding that is drawn, and of the text hidden states (equal in diffusers) */
    int64_t num_embeddings;    /* text tokens = the text encoder's context */
    int64_t additional_embeddings; /* 4 */
    int64_t time_embed_dim;    /* hidden width of the time MLP: inner -> this -> inner */
    int64_t embedding_proj_dim; /* input width of embedding_proj: the text encoder's projection */
    int64_t clip_embed_dim;    /* output width, clip_mean and clip_std; equals embedding_dim */
} uc_prior_config;

/* prior_ar/config.json, the autoregressive prior (weights/README.md has its layout). Sequence: text_tokens, text
 * embedding, dot product, components. */
typedef struct uc_prior_ar_config {
    int64_t embedding_dim;     /* of the image embedding that is drawn */
    int64_t text_width;        /* of the text hidden states */
    int64_t text_projection;   /* of the text embedding */
    int64_t text_tokens;       /* the text encoder's context */
    int64_t components;        /* principal components = tokens that are drawn */
    int64_t buckets;           /* of each component = the vocabulary that is drawn from */
    int64_t dot_buckets;       /* of the dot product of text and image embedding */
    int64_t width, layers, heads, intermediate;
    float eps;                 /* of every layer norm */
} uc_prior_ar_config;

/* diffusers UnCLIPTextProjModel (text_proj/config.json). */
typedef struct uc_text_proj_config {
    int64_t clip_dim;     /* clip_embeddings_dim */
    int64_t extra_tokens; /* clip_extra_context_tokens */
    int64_t cross_dim;    /* cross_attention_dim = the decoder's */
    int64_t time_dim;     /* time_embed_dim = the decoder's */
} uc_text_proj_config;

enum { UC_MAX_LEVELS = 8 };

/* diffusers UNet2DConditionModel (decoder) and UNet2DModel (upsamplers). Level 0 has the full resolution; up block u
 * belongs to level levels-1-u. Every level but the last ends in a downsampling resblock, every up block but the last in
 * an upsampling one. Arrays are indexed by block: down_* by level, up_* in the order of up_block_types. */
typedef struct uc_unet_config {
    bool conditional;          /* UNet2DConditionModel: text context, class_embed_type "identity", attention in the middle */
    int64_t sample_size;       /* 0 = null in the file */
    int64_t in_channels, out_channels;
    int levels;
    int64_t channels[UC_MAX_LEVELS];      /* block_out_channels */
    int64_t down_layers[UC_MAX_LEVELS];   /* resblocks in each down block, without the downsampler */
    int64_t up_layers[UC_MAX_LEVELS];     /* resblocks in each up block: layers_per_block of its level + 1 */
    bool down_attention[UC_MAX_LEVELS];   /* SimpleCrossAttnDownBlock2D */
    bool up_attention[UC_MAX_LEVELS];     /* SimpleCrossAttnUpBlock2D */
    bool mid_attention;                   /* UNetMidBlock2DSimpleCrossAttn */
    int64_t down_head_dim[UC_MAX_LEVELS]; /* channels of one head where the block has attention */
    int64_t up_head_dim[UC_MAX_LEVELS];   /* diffusers does not reverse a list of head sizes for the up blocks */
    int64_t mid_head_dim;
    int64_t cross_dim;                    /* width of the context tokens; 0 when not conditional */
    int64_t time_dim;                     /* width of the time embedding: time_embedding_dim or 4 * channels[0] */
    int64_t groups;                       /* of every group norm */
    float eps;                            /* of the resblocks' and the output's group norms */
    float attention_eps;                  /* of the group norm before attention: 1e-5 whatever norm_eps says */
    bool scale_shift;                     /* resnet_time_scale_shift "scale_shift", else "default" */
    bool flip_sin_to_cos;                 /* [cos | sin] */
    float freq_shift;
    uc_act act;                           /* UC_SILU */
} uc_unet_config;

/* ---- schedules --------------------------------------------------------------------------------------------------- */

typedef enum uc_scheduler_class {
    UC_SCHEDULER_UNCLIP, UC_SCHEDULER_DDPM, UC_SCHEDULER_DDIM, UC_SCHEDULER_DPMSOLVER_MULTISTEP
} uc_scheduler_class;

typedef enum uc_variance_type { /* of the ancestral step */
    UC_VARIANCE_FIXED_SMALL,     /* posterior variance, at least 1e-20 */
    UC_VARIANCE_FIXED_SMALL_LOG, /* the same through its logarithm */
    UC_VARIANCE_LEARNED_RANGE    /* the network has twice the channels; the second half interpolates in the logarithm.
                                    DPM-Solver and DDIM drop that half. */
} uc_variance_type;

typedef enum uc_beta_schedule { UC_BETA_SQUAREDCOS_CAP_V2, UC_BETA_LINEAR, UC_BETA_SCALED_LINEAR } uc_beta_schedule;

typedef enum uc_timestep_spacing {
    UC_SPACING_UNCLIP,  /* round(i * (train - 1) / (steps - 1)), half to even: what UnCLIPScheduler does */
    UC_SPACING_LINSPACE, UC_SPACING_LEADING, UC_SPACING_TRAILING
} uc_timestep_spacing;

/* scheduler_config.json; absent keys have the diffusers default of their class. */
typedef struct uc_scheduler_config {
    uc_scheduler_class class_id;
    int64_t train_timesteps;
    uc_prediction prediction;
    uc_variance_type variance; /* the classes without variance_type (DDIM): fixed small */
    float clip;                /* x0 is clamped to +-clip; 0 = not clamped */
    float threshold;           /* dynamic_thresholding_ratio, in place of clip; 0 = no thresholding */
    float threshold_max;       /* sample_max_value; INFINITY = none. Read with thresholding, the caller's too */
    uc_beta_schedule beta_schedule;
    double beta_start, beta_end;       /* linear and scaled_linear */
    uc_timestep_spacing spacing;
    int64_t steps_offset;              /* leading only */
    bool set_alpha_to_one;             /* DDIM: alpha_bar before the first timestep is 1, else alpha_bar[0] */
    bool rescale_betas_zero_snr;
    bool lower_order_final, euler_at_final; /* DPM-Solver: a first-order last step below 15 steps; always */
    double lambda_min_clipped;         /* DPM-Solver: timesteps start where lambda >= this; -INFINITY = at the end */
} uc_scheduler_config;

/* feature_extractor/preprocessor_config.json (CLIPImageProcessor, PIL bicubic). Steps happen in this order. */
typedef struct uc_image_processor_config {
    bool convert_rgb;
    bool resize;
    int64_t shortest_edge;               /* the aspect ratio is kept; or, when 0: */
    int64_t resize_height, resize_width; /* exactly this size */
    bool center_crop;
    int64_t crop_height, crop_width;
    bool rescale;
    double rescale_factor;
    bool normalize;
    float mean[3], std[3];
} uc_image_processor_config;

/* What a stage does when the caller does not say: from unclip.json, else Karlo's. */
typedef struct uc_stage_defaults {
    int steps;
    float guidance;         /* 1 for the upsamplers */
    unclip_sampler sampler; /* never UNCLIP_SAMPLER_DEFAULT: the scheduler's class when unclip.json is silent */
    float eta;              /* DDIM */
} uc_stage_defaults;

#endif

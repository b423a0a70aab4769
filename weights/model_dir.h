/* model_dir.h - a model directory: diffusers' UnCLIPPipeline or UnCLIPImageVariationPipeline as it stands, with ours beside.
 * weights/README.md describes the format.
 *
 * Opening reads every configuration file, maps every tensor file, and checks that the parts fit each other. A part that
 * the directory lacks is no error: has[] says what is there, the uc_model_dir_lacks functions name what is missing. */
#ifndef UC_WEIGHTS_MODEL_DIR_H
#define UC_WEIGHTS_MODEL_DIR_H

#include "../engine/core/params.h"
#include "../engine/models/config.h"
#include "json.h"
#include "tokenizer_files.h"

typedef enum uc_part {
    UC_PART_TOKENIZER,
    UC_PART_TEXT_ENCODER,
    UC_PART_IMAGE_ENCODER,
    UC_PART_FEATURE_EXTRACTOR,
    UC_PART_PRIOR,
    UC_PART_PRIOR_SCHEDULER,
    UC_PART_TEXT_PROJ,
    UC_PART_DECODER,
    UC_PART_DECODER_SCHEDULER,
    UC_PART_SUPER_RES_FIRST,
    UC_PART_SUPER_RES_LAST,
    UC_PART_SUPER_RES_SCHEDULER,
    UC_PART_SUPER_RES_1024,
    UC_PART_SUPER_RES_1024_SCHEDULER,
    UC_PART_PRIOR_AR,
    UC_PART_COUNT
} uc_part;

const char *uc_part_name(uc_part part); /* the folder: "text_encoder" */

/* Only what has[] says is there is filled. */
typedef struct uc_model_dir {
    char *path, *name, *license; /* license: NULL when unclip.json names none */
    char *pca;                   /* file of principal components in the directory, or NULL */
    bool has[UC_PART_COUNT];
    char *class_name[UC_PART_COUNT];  /* as model_index.json says, or NULL */
    uc_params *params[UC_PART_COUNT]; /* of the parts that have tensors */
    uc_tokenizer_files tokenizer;     /* max_length: the text encoder's context when the files name none */
    uc_clip_text_config text;
    uc_clip_image_config image;
    uc_image_processor_config image_processor;
    uc_prior_config prior;
    uc_prior_ar_config prior_ar;
    uc_text_proj_config text_proj;
    uc_unet_config decoder, super_res_first, super_res_last, super_res_1024;
    uc_scheduler_config scheduler[UNCLIP_STAGE_COUNT];
    uc_stage_defaults defaults[UNCLIP_STAGE_COUNT];
    double logit_scale; /* of CLIP, after its exponential */
    float *gamma[UNCLIP_STAGE_COUNT]; /* Analytic-DPM's [train_timesteps] table of E|noise prediction|^2 / d, or NULL */
    uc_warnings warnings;
} uc_model_dir;

/* variant: NULL, or "fp16" and the like to prefer those tensor files. *dir is NULL on failure: UNCLIP_ERR_MODEL_MISSING for
 * what is not there, UNCLIP_ERR_MODEL_DATA for what is wrong. */
unclip_status uc_model_dir_open(uc_model_dir **dir, const char *path, const char *variant, unclip_error *err);
void uc_model_dir_close(uc_model_dir *dir); /* NULL is allowed */

/* The first part that is missing for a stage (text to image), for text or for image embeddings; NULL when none is. */
const char *uc_model_dir_lacks(const uc_model_dir *dir, unclip_stage stage);
const char *uc_model_dir_lacks_text(const uc_model_dir *dir);
const char *uc_model_dir_lacks_image(const uc_model_dir *dir);

/* Before a stage runs: fails when a mapped file was changed since it was opened. */
unclip_status uc_model_dir_unchanged(const uc_model_dir *dir, unclip_error *err);

#endif

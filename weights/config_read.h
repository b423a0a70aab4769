/* config_read.h - one function for each kind of configuration file: the file's values, checked, in a struct of
 * engine/models/config.h. Every key is honoured, known to have one supported value, or known to change nothing; any other
 * is an error that names file, key and value. Absent keys have diffusers' and transformers' defaults. */
#ifndef UC_WEIGHTS_CONFIG_READ_H
#define UC_WEIGHTS_CONFIG_READ_H

#include "../engine/models/config.h"
#include "json.h"

unclip_status uc_read_clip_text(const char *path, uc_clip_text_config *c, uc_warnings *warnings, unclip_error *err);
unclip_status uc_read_clip_image(const char *path, uc_clip_image_config *c, uc_warnings *warnings, unclip_error *err);
unclip_status uc_read_image_processor(const char *path, uc_image_processor_config *c, uc_warnings *warnings,
                                      unclip_error *err);
unclip_status uc_read_prior(const char *path, uc_prior_config *c, uc_warnings *warnings, unclip_error *err);
unclip_status uc_read_prior_ar(const char *path, uc_prior_ar_config *c, uc_warnings *warnings, unclip_error *err);
unclip_status uc_read_text_proj(const char *path, uc_text_proj_config *c, uc_warnings *warnings, unclip_error *err);
/* conditional: expects UNet2DConditionModel, else UNet2DModel. */
unclip_status uc_read_unet(const char *path, bool conditional, uc_unet_config *c, uc_warnings *warnings,
                           unclip_error *err);
/* class_name: what model_index.json says, or NULL; the file must agree. */
unclip_status uc_read_scheduler(const char *path, const char *class_name, uc_scheduler_config *c, uc_warnings *warnings,
                                unclip_error *err);

/* "_class_name" of diffusers files: absent, or as expected. */
void uc_json_class(uc_json *j, const char *expected);

#endif

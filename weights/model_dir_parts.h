/* model_dir_parts.h - the steps of uc_model_dir_open that lie in files of their own. */
#ifndef UC_WEIGHTS_MODEL_DIR_PARTS_H
#define UC_WEIGHTS_MODEL_DIR_PARTS_H

#include "model_dir.h"

/* unclip.json (which may be absent) over Karlo's defaults: name, license, defaults, gamma. The schedulers are read. */
unclip_status uc_model_dir_read_settings(uc_model_dir *dir, unclip_error *err);

/* Sizes that two parts must agree on. Everything is read. */
unclip_status uc_model_dir_check(uc_model_dir *dir, unclip_error *err);

#endif

/* params_open.h - the tensors of one part of a model directory: one safetensors file, or shards with an index. */
#ifndef UC_WEIGHTS_PARAMS_OPEN_H
#define UC_WEIGHTS_PARAMS_OPEN_H

#include "../engine/core/params.h"

/* Looks in dir for, in this order,
 *     STEM.safetensors, STEM.safetensors.index.json,
 *     STEM.fp16.safetensors, STEM.safetensors.index.fp16.json, STEM.fp16.safetensors.index.json;
 * with variant (NULL, or "fp16" and the like) the variant's three names come first. stem: "diffusion_pytorch_model" or
 * "model". An index must list every tensor of every shard once, and nothing else. component begins the messages of the
 * models, e.g. "decoder". On success *params is to be closed. */
unclip_status uc_params_open(uc_params **params, const char *dir, const char *stem, const char *variant,
                             const char *component, unclip_error *err);

/* The same for one named file. */
unclip_status uc_params_open_file(uc_params **params, const char *path, const char *component, unclip_error *err);

void uc_params_close(uc_params *params); /* NULL is allowed */

/* Before a stage runs: fails when one of the mapped files was changed since it was opened. */
unclip_status uc_params_unchanged(const uc_params *params, unclip_error *err);

#endif

/* text_proj.h - CLIP embeddings -> what conditions the decoder (diffusers UnCLIPTextProjModel; paper section 2.1): a
 * vector added to the time embedding, and extra tokens before the text tokens. */
#ifndef UC_MODELS_TEXT_PROJ_H
#define UC_MODELS_TEXT_PROJ_H

#include "../core/record.h"
#include "config.h"

typedef struct uc_text_proj {
    uc_val time;    /* [rows, time_dim], to be added to the time embedding */
    uc_val context; /* [rows, extra_tokens + text tokens, cross_dim] */
} uc_text_proj;

/* image [b, clip_dim]; text_embeds [rows, clip_dim]; text_hidden [rows, tokens, clip_dim]; rows = 2b when guided (the
 * first b unconditional: the learned embedding stands for the picture), else b. */
uc_text_proj uc_text_proj_record(uc_graph *g, const uc_text_proj_config *c, uc_val image, uc_val text_embeds,
                                 uc_val text_hidden, bool guided);

#endif

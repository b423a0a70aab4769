/* clip_text.h - tokens -> CLIP text: the causal transformer of CLIP's text side (transformers
 * CLIPTextModelWithProjection). */
#ifndef UC_MODELS_CLIP_TEXT_H
#define UC_MODELS_CLIP_TEXT_H

#include "../core/record.h"
#include "config.h"

typedef struct uc_clip_text {
    uc_val hidden; /* [b,context,width], after the final layer norm */
    uc_val embeds; /* [b,projection], not normalised */
} uc_clip_text;

/* ids [b,context] and end [b] (I32): the tokens and where each row's end-of-text stands (uc_clip_text_end). */
uc_clip_text uc_clip_text_record(uc_graph *g, const uc_clip_text_config *c, uc_val ids, uc_val end);

/* The position whose hidden state becomes the embedding: the first largest id when eos is the legacy value 2, else the
 * first eos. */
int32_t uc_clip_text_end(const uc_clip_text_config *c, const int32_t *ids, int64_t count);

#endif

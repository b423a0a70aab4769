/* embed.h - one text or one picture into CLIP's joint space. */
#ifndef UC_TASKS_EMBED_H
#define UC_TASKS_EMBED_H

#include "model.h"

unclip_status uc_embed_text(const uc_session *session, const char *text, size_t length, unclip_embedding *out,
                            unclip_error *err);

/* rgb: height rows of width pixels of 3 bytes. */
unclip_status uc_embed_image(const uc_session *session, const uint8_t *rgb, int width, int height,
                             unclip_embedding *out, unclip_error *err);

#endif

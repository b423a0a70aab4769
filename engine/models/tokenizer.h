/* tokenizer.h - prompt -> tokens: CLIP's byte-pair tokenizer, as transformers' CLIPTokenizer without ftfy computes it.
 *
 *   prompt -> tokens of the model split out -> cleaned, NFC, lower-cased -> words and marks -> byte pairs -> ids
 *
 * Differences from transformers 4.51 that are on purpose:
 *   - "<|startoftext|>" and "<|endoftext|>" typed in a prompt are plain text there and cannot end the prompt early.
 *     (Other added tokens are split out as in transformers. In particular a model whose padding token is "!" turns
 *     every "!" of a prompt into the padding id, as Karlo does in diffusers.)
 *   - added tokens are found leftmost first, longest first; transformers' search differs for tokens that overlap.
 *   - characters assigned after Unicode 14 are kept or dropped as the libutf8proc at hand knows them. */
#ifndef UC_MODELS_TOKENIZER_H
#define UC_MODELS_TOKENIZER_H

#include <stdbool.h>

#include "../core/error.h"

typedef struct uc_tokenizer uc_tokenizer;

typedef struct uc_token {
    const char *text; /* UTF-8 */
    int32_t id;
} uc_token;

/* The contents of a tokenizer's files, already parsed. Nothing is kept: the memory may go after uc_tokenizer_new. */
typedef struct uc_tokenizer_spec {
    const uc_token *vocab; /* vocab.json */
    size_t vocab_count;
    const char *merges; /* the text of merges.txt */
    size_t merges_size;
    const uc_token *added; /* special and added tokens: split out of the raw prompt, except the first three below */
    size_t added_count;
    const char *start, *end, *unknown, *pad; /* each must be in added or vocab */
    int max_length; /* model_max_length: the longest sequence, start and end included; 0 = no limit */
} uc_tokenizer_spec;

/* Fails with UNCLIP_ERR_MODEL_DATA, naming the file's usual name and the token or line. *tok is NULL on failure. */
unclip_status uc_tokenizer_new(uc_tokenizer **tok, const uc_tokenizer_spec *spec, unclip_error *err);
void uc_tokenizer_free(uc_tokenizer *tok); /* NULL is allowed */

int uc_tokenizer_max_length(const uc_tokenizer *tok);   /* 0 = no limit */
int32_t uc_tokenizer_id_limit(const uc_tokenizer *tok); /* every id that encode writes is below it */
int32_t uc_tokenizer_start_id(const uc_tokenizer *tok);
int32_t uc_tokenizer_end_id(const uc_tokenizer *tok);
int32_t uc_tokenizer_pad_id(const uc_tokenizer *tok);

/* The longest prompt that is looked at, in bytes. */
enum { UC_PROMPT_MAX = 16 << 20 };

/* Writes the row of context ids: start, the text's, end, padding. *used counts the ids up to and with the end. A text
 * that is too long for context (or for the tokenizer's own limit) loses its tail, the end stays, and *truncated is
 * true. text may hold any bytes, zero bytes too; UNCLIP_ERR_UTF8 names the offset of the first that is not UTF-8.
 * used and truncated may be NULL. */
unclip_status uc_tokenizer_encode(const uc_tokenizer *tok, const char *text, size_t length, int32_t *ids, int context,
                                  int *used, bool *truncated, unclip_error *err);

#endif

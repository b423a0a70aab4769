/* bpe.h - byte-pair merging of one word (the arrow prompt -> tokens): CLIP's byte-level BPE with "</w>" on the last
 * symbol of a word. The tokenizer cuts the text into words and owns the vocabulary. */
#ifndef UC_MODELS_BPE_H
#define UC_MODELS_BPE_H

#include "../core/error.h"
#include "unicode.h"

typedef struct uc_bpe uc_bpe;

/* Working memory of uc_bpe_encode, kept between words. Starts as all zero. */
typedef struct uc_bpe_scratch {
    uc_text symbol, prev, next, rank, batch;
    uint64_t *heap;
    size_t heap_count, heap_capacity;
} uc_bpe_scratch;

void uc_bpe_scratch_free(uc_bpe_scratch *scratch);

/* The id of a symbol's string, or the unknown token's. */
typedef int32_t (*uc_bpe_token_fn)(const void *user, const char *text, size_t length);

/* Reads the text of a merges.txt: a first line that is skipped whatever it says, then one merge a line, two symbols
 * with a space between, the most urgent first. As in transformers, merges beyond the 48894th are ignored, and of two
 * equal lines the later one counts. *bpe is NULL on failure; messages begin with the line. */
unclip_status uc_bpe_new(uc_bpe **bpe, const char *merges, size_t size, uc_bpe_token_fn token, const void *user,
                         unclip_error *err);
void uc_bpe_free(uc_bpe *bpe); /* NULL is allowed */

/* Appends the ids of one word, given as code points, to ids. n log n in the word's length. False: out of memory. */
bool uc_bpe_encode(const uc_bpe *bpe, uc_bpe_scratch *scratch, const uint32_t *word, size_t count, uc_text *ids);

#endif

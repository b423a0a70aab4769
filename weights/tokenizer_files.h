/* tokenizer_files.h - the files of tokenizer/ as transformers writes them, made ready for uc_tokenizer_new. */
#ifndef UC_WEIGHTS_TOKENIZER_FILES_H
#define UC_WEIGHTS_TOKENIZER_FILES_H

#include "../engine/models/tokenizer.h"
#include "json.h"

typedef struct uc_tokenizer_files {
    uc_tokenizer_spec spec; /* points into the members below; max_length 0 = the file names none */
    uc_token *vocab, *added;
    char *vocab_text; /* the vocabulary's strings, one after another */
    char *merges;
    char *token[4]; /* start, end, unknown, pad */
} uc_tokenizer_files;

/* Reads vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json and added_tokens.json (the last three may
 * be absent) of folder dir. Special tokens come from tokenizer_config.json when it lists added_tokens_decoder, as
 * transformers does since 4.34; else special_tokens_map.json wins over it. */
unclip_status uc_tokenizer_files_read(uc_tokenizer_files *files, const char *dir, uc_warnings *warnings,
                                      unclip_error *err);
void uc_tokenizer_files_free(uc_tokenizer_files *files);

#endif

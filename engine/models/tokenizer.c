/* tokenizer.c - prompt -> tokens: cuts a prompt into words as CLIP's tokenizer does and gives them to bpe.c.
 *
 * Follows transformers' models/clip/tokenization_clip.py (the slow tokenizer with BasicTokenizer, that is without ftfy)
 * step by step; each step below names what it follows. Everything is linear in the prompt (byte pairs: n log n), and
 * no step recurses. */
#include "tokenizer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bpe.h"
#include "unicode.h"

/* A token that is split out of the raw prompt. */
typedef struct added_token {
    uint32_t *text;
    size_t count;
    int32_t id;
} added_token;

struct uc_tokenizer {
    uc_bpe *bpe;
    int32_t start, end, unknown, pad, id_limit;
    int max_length;
    added_token *added; /* longest first */
    size_t added_count;
    bool added_first[256]; /* [low byte of a character]: an added token may begin with it */
};

/* ---- building ---------------------------------------------------------------------------------------------------- */

typedef struct lookup {
    const uc_token **vocab, **added; /* sorted by text */
    size_t vocab_count, added_count;
    int32_t unknown;
} lookup;

static int compare_token_text(const void *a, const void *b) {
    const uc_token *const *x = a, *const *y = b;
    return strcmp((*x)->text, (*y)->text);
}

static int compare_token_id(const void *a, const void *b) {
    const uc_token *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static const uc_token *find_token(const uc_token *const *tokens, size_t count, const char *text, size_t length) {
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        int order = strncmp(tokens[middle]->text, text, length);
        if (order == 0) order = tokens[middle]->text[length] != '\0';
        if (order == 0) return tokens[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* What transformers' _convert_token_to_id_with_added_voc answers. */
static const uc_token *find_any(const lookup *l, const char *text, size_t length) {
    const uc_token *token = find_token(l->added, l->added_count, text, length);
    return token ? token : find_token(l->vocab, l->vocab_count, text, length);
}

static int32_t symbol_token(const void *user, const char *text, size_t length) {
    const lookup *l = user;
    const uc_token *token = find_any(l, text, length);
    return token ? token->id : l->unknown;
}

/* Pointers to the tokens sorted by text; texts and ids must each be unique. */
static unclip_status sort_tokens(const uc_token ***sorted, const uc_token *tokens, size_t count, const char *what,
                                 unclip_error *err) {
    char a[UC_QUOTE_TEXT], b[UC_QUOTE_TEXT];
    const uc_token **list = malloc((count + 1) * sizeof *list);
    *sorted = list;
    if (!list) return uc_fail_memory(err, (count + 1) * sizeof *list, "the tokenizer's vocabulary");
    for (size_t i = 0; i < count; i++) {
        list[i] = &tokens[i];
        if (tokens[i].id < 0 || tokens[i].id == INT32_MAX) {
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: the token %s has the id %ld", what,
                           uc_quote(a, tokens[i].text, strlen(tokens[i].text)), (long)tokens[i].id);
        }
    }
    qsort(list, count, sizeof *list, compare_token_id);
    for (size_t i = 1; i < count; i++) {
        if (list[i - 1]->id == list[i]->id) {
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: the tokens %s and %s both have the id %ld", what,
                           uc_quote(a, list[i - 1]->text, strlen(list[i - 1]->text)),
                           uc_quote(b, list[i]->text, strlen(list[i]->text)), (long)list[i]->id);
        }
    }
    qsort(list, count, sizeof *list, compare_token_text);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(list[i - 1]->text, list[i]->text) == 0) {
            return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "%s: the token %s is there twice", what,
                           uc_quote(a, list[i]->text, strlen(list[i]->text)));
        }
    }
    return UNCLIP_OK;
}

static unclip_status find_special(int32_t *id, const lookup *l, const char *role, const char *text, unclip_error *err) {
    char quoted[UC_QUOTE_TEXT];
    if (!text) return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "the tokenizer has no %s", role);
    const uc_token *token = find_any(l, text, strlen(text));
    if (!token) {
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "vocab.json: the %s %s is missing", role,
                       uc_quote(quoted, text, strlen(text)));
    }
    *id = token->id;
    return UNCLIP_OK;
}

static unclip_status find_specials(uc_tokenizer *tok, lookup *l, const uc_tokenizer_spec *spec, unclip_error *err) {
    unclip_status status = find_special(&tok->start, l, "start token (bos_token)", spec->start, err);
    if (!status) status = find_special(&tok->end, l, "end token (eos_token)", spec->end, err);
    if (!status) status = find_special(&tok->unknown, l, "unknown token (unk_token)", spec->unknown, err);
    if (!status) status = find_special(&tok->pad, l, "padding token (pad_token)", spec->pad, err);
    if (!status && (spec->max_length < 0 || spec->max_length == 1)) {
        status = uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                         "tokenizer_config.json: model_max_length is %d, but start and end "
                         "need 2",
                         spec->max_length);
    }
    l->unknown = tok->unknown;
    tok->max_length = spec->max_length;
    return status;
}

static int compare_added(const void *a, const void *b) {
    const added_token *x = a, *y = b;
    return (x->count < y->count) - (x->count > y->count);
}

/* Start, end and unknown are not taken from a prompt: see the header. */
static bool is_plain_text(const uc_tokenizer_spec *spec, const char *text) {
    return text[0] == '\0' || strcmp(text, spec->start) == 0 || strcmp(text, spec->end) == 0 ||
           strcmp(text, spec->unknown) == 0;
}

static unclip_status keep_added(uc_tokenizer *tok, const uc_tokenizer_spec *spec, unclip_error *err) {
    enum { MOST_ADDED = 4096 };
    if (spec->added_count > MOST_ADDED) {
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "the tokenizer has %zu added tokens; at most %d are supported",
                       spec->added_count, (int)MOST_ADDED);
    }
    tok->added = calloc(spec->added_count + 1, sizeof *tok->added);
    if (!tok->added) return uc_fail_memory(err, spec->added_count * sizeof *tok->added, "the added tokens");
    for (size_t i = 0; i < spec->added_count; i++) {
        const char *text = spec->added[i].text;
        if (is_plain_text(spec, text)) continue;
        const size_t length = strlen(text);
        added_token *token = &tok->added[tok->added_count];
        token->text = malloc(length * sizeof *token->text);
        if (!token->text) return uc_fail_memory(err, length * sizeof *token->text, "an added token");
        token->id = spec->added[i].id;
        tok->added_count++;
        for (size_t at = 0; at < length;) {
            const size_t n = uc_utf8_decode((const uint8_t *)text + at, length - at, &token->text[token->count]);
            if (n == 0) return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "added token %zu is not UTF-8", i);
            token->count++;
            at += n;
        }
        tok->added_first[token->text[0] & 0xFF] = true;
    }
    qsort(tok->added, tok->added_count, sizeof *tok->added, compare_added);
    return UNCLIP_OK;
}

static int32_t largest_id(const uc_token *tokens, size_t count) {
    int32_t largest = 0;
    for (size_t i = 0; i < count; i++) largest = tokens[i].id > largest ? tokens[i].id : largest;
    return largest;
}

unclip_status uc_tokenizer_new(uc_tokenizer **out, const uc_tokenizer_spec *spec, unclip_error *err) {
    *out = NULL;
    lookup l = { .vocab_count = spec->vocab_count, .added_count = spec->added_count };
    uc_tokenizer *tok = calloc(1, sizeof *tok);
    if (!tok) return uc_fail_memory(err, sizeof *tok, "the tokenizer");
    unclip_status status = sort_tokens(&l.vocab, spec->vocab, spec->vocab_count, "vocab.json", err);
    if (!status) status = sort_tokens(&l.added, spec->added, spec->added_count, "the added tokens", err);
    if (!status) status = find_specials(tok, &l, spec, err);
    if (!status) status = keep_added(tok, spec, err);
    if (!status) status = uc_bpe_new(&tok->bpe, spec->merges, spec->merges_size, symbol_token, &l, err);
    if (!status) {
        const int32_t vocab = largest_id(spec->vocab, spec->vocab_count);
        const int32_t added = largest_id(spec->added, spec->added_count);
        tok->id_limit = (vocab > added ? vocab : added) + 1;
    }
    free(l.vocab);
    free(l.added);
    if (status) uc_tokenizer_free(tok);
    else *out = tok;
    return status;
}

void uc_tokenizer_free(uc_tokenizer *tok) {
    if (!tok) return;
    for (size_t i = 0; i < tok->added_count; i++) free(tok->added[i].text);
    free(tok->added);
    uc_bpe_free(tok->bpe);
    free(tok);
}

int uc_tokenizer_max_length(const uc_tokenizer *tok) { return tok->max_length; }
int32_t uc_tokenizer_id_limit(const uc_tokenizer *tok) { return tok->id_limit; }
int32_t uc_tokenizer_start_id(const uc_tokenizer *tok) { return tok->start; }
int32_t uc_tokenizer_end_id(const uc_tokenizer *tok) { return tok->end; }
int32_t uc_tokenizer_pad_id(const uc_tokenizer *tok) { return tok->pad; }

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

typedef struct encoder {
    const uc_tokenizer *tok;
    size_t enough; /* ids beyond this many only say that the text is truncated */
    uc_text prompt, clean, lower, ids;
    uc_bpe_scratch scratch;
} encoder;

static bool is_done(const encoder *e) { return e->ids.count > e->enough; }

static unclip_status decode_prompt(encoder *e, const char *text, size_t length, unclip_error *err) {
    if (!uc_text_reserve(&e->prompt, length)) return uc_fail_memory(err, length * 4, "the prompt");
    for (size_t at = 0; at < length;) {
        uint32_t c = 0;
        const size_t n = uc_utf8_decode((const uint8_t *)text + at, length - at, &c);
        if (n == 0) return uc_fail(err, UNCLIP_ERR_UTF8, "the prompt is not valid UTF-8 at byte %zu", at);
        if (c >= 0x80 && !uc_unicode_available()) {
            return uc_fail(err, UNCLIP_ERR_UNSUPPORTED,
                           "the prompt has a character outside ASCII at byte %zu, and "
                           "this build has no Unicode tables: it was built without libutf8proc",
                           at);
        }
        e->prompt.data[e->prompt.count++] = c;
        at += n;
    }
    return UNCLIP_OK;
}

/* BasicTokenizer._is_chinese_char */
static bool is_cjk(uint32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B820 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* BasicTokenizer._clean_text and _tokenize_chinese_chars: control characters (zero bytes and U+FFFD too) go, white
 * space becomes spaces, and a CJK character stands alone. U+2028 and U+2029 stay in Python's text until it is split at
 * white space, which comes to the same. */
static bool clean_text(encoder *e, const uint32_t *text, size_t count) {
    e->clean.count = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t c = text[i];
        const uc_char_class kind = uc_char_class_of(c);
        if (kind == UC_CHAR_CONTROL || c == 0xFFFD) continue;
        const bool alone = is_cjk(c);
        if (!uc_text_reserve(&e->clean, e->clean.count + 3)) return false;
        if (alone) e->clean.data[e->clean.count++] = ' ';
        e->clean.data[e->clean.count++] = kind == UC_CHAR_SPACE ? ' ' : c;
        if (alone) e->clean.data[e->clean.count++] = ' ';
    }
    return uc_text_nfc(&e->clean);
}

/* The length of 's 't 're 've 'm 'll 'd at the start of text, else 0. The long s counts as an s, because the expression
 * ignores case and folds it. */
static size_t contraction(const uint32_t *text, size_t count) {
    if (count < 2 || text[0] != '\'') return 0;
    const uint32_t a = text[1], b = count > 2 ? text[2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd' || a == 0x17F) return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

static uc_char_class piece_class(uint32_t c) {
    const uc_char_class kind = uc_char_class_of(c);
    return kind == UC_CHAR_CONTROL ? UC_CHAR_OTHER : kind;
}

/* U+0345 is neither a letter nor anything else to the `regex` module when it ignores case (it folds to iota, which is a
 * letter), so it falls out. */
enum { SKIPPED = 0x345 };

/* CLIP's regular expression on one word: contractions | letters+ | one number | anything else+. */
static size_t next_piece(const uint32_t *text, size_t count) {
    const size_t short_form = contraction(text, count);
    if (short_form) return short_form;
    const uc_char_class kind = piece_class(text[0]);
    size_t n = 1;
    if (kind == UC_CHAR_NUMBER) return n;
    while (n < count && text[n] != SKIPPED && piece_class(text[n]) == kind) n++;
    return n;
}

static bool encode_word(encoder *e, const uint32_t *word, size_t count) {
    e->lower.count = 0;
    if (!uc_text_append_lower(&e->lower, word, count)) return false;
    for (size_t at = 0; at < e->lower.count && !is_done(e);) {
        if (e->lower.data[at] == SKIPPED) {
            at++;
            continue;
        }
        const size_t n = next_piece(e->lower.data + at, e->lower.count - at);
        if (!uc_bpe_encode(e->tok->bpe, &e->scratch, e->lower.data + at, n, &e->ids)) return false;
        at += n;
    }
    return true;
}

/* CLIPTokenizer._tokenize */
static bool encode_plain(encoder *e, const uint32_t *text, size_t count) {
    if (!clean_text(e, text, count)) return false;
    for (size_t at = 0; at < e->clean.count && !is_done(e);) {
        size_t end = at;
        while (end < e->clean.count && e->clean.data[end] != ' ') end++;
        if (end > at && !encode_word(e, e->clean.data + at, end - at)) return false;
        at = end + 1;
    }
    return true;
}

static const added_token *added_at(const uc_tokenizer *tok, const uint32_t *text, size_t count) {
    if (!tok->added_first[text[0] & 0xFF]) return NULL;
    for (size_t i = 0; i < tok->added_count; i++) {
        const added_token *t = &tok->added[i];
        if (t->count <= count && memcmp(t->text, text, t->count * sizeof *text) == 0) return t;
    }
    return NULL;
}

/* PreTrainedTokenizer.tokenize: added tokens are split out of the raw text, what lies between is encoded by itself. */
static bool encode_prompt(encoder *e) {
    const uint32_t *text = e->prompt.data;
    size_t begin = 0;
    for (size_t at = 0; at < e->prompt.count && !is_done(e);) {
        const added_token *token = added_at(e->tok, text + at, e->prompt.count - at);
        if (!token) {
            at++;
            continue;
        }
        if (at > begin && !encode_plain(e, text + begin, at - begin)) return false;
        if (!uc_text_push(&e->ids, (uint32_t)token->id)) return false;
        at += token->count;
        begin = at;
    }
    if (is_done(e) || begin == e->prompt.count) return true;
    return encode_plain(e, text + begin, e->prompt.count - begin);
}

static void write_row(const encoder *e, int32_t *ids, int context, int *used, bool *truncated) {
    const size_t count = is_done(e) ? e->enough : e->ids.count;
    int n = 0;
    ids[n++] = e->tok->start;
    for (size_t i = 0; i < count; i++) ids[n++] = (int32_t)e->ids.data[i];
    ids[n++] = e->tok->end;
    if (used) *used = n;
    if (truncated) *truncated = is_done(e);
    while (n < context) ids[n++] = e->tok->pad;
}

unclip_status uc_tokenizer_encode(const uc_tokenizer *tok, const char *text, size_t length, int32_t *ids, int context,
                                  int *used, bool *truncated, unclip_error *err) {
    const int limit = tok->max_length > 0 && tok->max_length < context ? tok->max_length : context;
    if (limit < 2) {
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "a context of %d tokens has no room for start and end", context);
    }
    if (length > UC_PROMPT_MAX) {
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the prompt has %zu bytes; at most %d are accepted", length,
                       (int)UC_PROMPT_MAX);
    }
    encoder e = { .tok = tok, .enough = (size_t)limit - 2 };
    unclip_status status = decode_prompt(&e, text, length, err);
    if (!status && !encode_prompt(&e)) status = uc_fail_memory(err, length * 16, "the prompt's tokens");
    if (!status) write_row(&e, ids, context, used, truncated);
    uc_text_free(&e.prompt);
    uc_text_free(&e.clean);
    uc_text_free(&e.lower);
    uc_text_free(&e.ids);
    uc_bpe_scratch_free(&e.scratch);
    return status;
}

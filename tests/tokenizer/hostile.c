/* hostile.c - prompt -> tokens on what a user may type or send: bytes that are no text, the model's own special tokens,
 * a megabyte of one thing; and on tokenizer files that are wrong. The small tokenizer is written out here. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/models/tokenizer.h"
#include "engine/models/unicode.h"

enum { CONTEXT = 16, BYTES = 256, MERGED = 5, WORDS = 2 * BYTES + MERGED + 2, START = 517, END = 518 };

static const char merges[] = "#version\nt e\na b\nab c</w>\nte x\ntex t</w>\n";
static const char *const merged[MERGED] = { "te", "ab", "abc</w>", "tex", "text</w>" };

/* CLIP's alphabet: byte b has the id b here and 256 + b at the end of a word; merged symbols from 512 on. */
static void fill_vocab(uc_token vocab[WORDS], char strings[2 * BYTES][8]) {
    uint32_t next = 256;
    for (uint32_t b = 0; b < BYTES; b++) {
        const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        const size_t n = uc_utf8_encode(printable ? b : next++, (uint8_t *)strings[b]);
        strings[b][n] = '\0';
        memcpy(strings[BYTES + b], strings[b], n);
        memcpy(strings[BYTES + b] + n, "</w>", 5);
        vocab[b] = (uc_token){ strings[b], (int32_t)b };
        vocab[BYTES + b] = (uc_token){ strings[BYTES + b], (int32_t)(BYTES + b) };
    }
    for (int32_t i = 0; i < MERGED; i++) vocab[2 * BYTES + i] = (uc_token){ merged[i], 2 * BYTES + i };
    vocab[START] = (uc_token){ "<|startoftext|>", START };
    vocab[END] = (uc_token){ "<|endoftext|>", END };
}

static const uc_token special[] = { { "!", '!' }, { "<|startoftext|>", START }, { "<|endoftext|>", END } };

typedef struct sample {
    uc_token vocab[WORDS];
    char strings[2 * BYTES][8];
    uc_tokenizer_spec spec;
} sample;

static void fill(sample *s) {
    fill_vocab(s->vocab, s->strings);
    s->spec = (uc_tokenizer_spec){ .vocab = s->vocab,
                                   .vocab_count = WORDS,
                                   .merges = merges,
                                   .merges_size = sizeof merges - 1,
                                   .added = special,
                                   .added_count = 3,
                                   .start = "<|startoftext|>",
                                   .end = "<|endoftext|>",
                                   .unknown = "<|endoftext|>",
                                   .pad = "!" };
}

static uc_tokenizer *small_tokenizer(int max_length) {
    static sample s;
    uc_tokenizer *tok = NULL;
    unclip_error err = { 0 };
    fill(&s);
    s.spec.max_length = max_length;
    cr_assert_eq(uc_tokenizer_new(&tok, &s.spec, &err), UNCLIP_OK, "%s", err.message);
    return tok;
}

static int encode(const uc_tokenizer *tok, const char *text, size_t length, int32_t ids[CONTEXT]) {
    int used = 0;
    unclip_error err = { 0 };
    cr_assert_eq(uc_tokenizer_encode(tok, text, length, ids, CONTEXT, &used, NULL, &err), UNCLIP_OK, "%s", err.message);
    return used;
}

static void expect_ids(const uc_tokenizer *tok, const char *text, size_t length, const int32_t *expected, int count) {
    int32_t ids[CONTEXT];
    const int used = encode(tok, text, length, ids);
    cr_assert_eq(used, count + 2, "%s: %d ids", text, used);
    cr_expect_eq(ids[0], START);
    for (int i = 0; i < count; i++) cr_expect_eq(ids[i + 1], expected[i], "%s: id %d is %d", text, i + 1, ids[i + 1]);
    cr_expect_eq(ids[count + 1], END);
    for (int i = used; i < CONTEXT; i++) cr_expect_eq(ids[i], '!', "padding at %d", i);
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

Test(tokenizer_hostile, special_tokens_in_a_prompt_are_plain_text) {
    uc_tokenizer *tok = small_tokenizer(0);
    int32_t typed[CONTEXT], apart[CONTEXT];
    static const char *const pairs[][2] = { { "<|endoftext|>", "<| endoftext |>" },
                                            { "<|EndOfText|>", "<| endoftext |>" },
                                            { "a<|startoftext|>", "a <| startoftext |>" },
                                            { "abc<|endoftext|>x", "abc <| endoftext |> x" } };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const int used = encode(tok, pairs[i][0], strlen(pairs[i][0]), typed);
        cr_expect_eq(encode(tok, pairs[i][1], strlen(pairs[i][1]), apart), used, "%s", pairs[i][0]);
        cr_expect_arr_eq(typed, apart, sizeof typed, "%s", pairs[i][0]);
        for (int k = 1; k + 1 < used; k++) cr_expect(typed[k] != START && typed[k] != END, "%s", pairs[i][0]);
    }
    uc_tokenizer_free(tok);
}

Test(tokenizer_hostile, bytes_below_space_and_zero_bytes_vanish) {
    uc_tokenizer *tok = small_tokenizer(0);
    const int32_t abc[] = { 514 }, a_bc[] = { BYTES + 'a', 'b', BYTES + 'c' };
    expect_ids(tok, "abc", 3, abc, 1);
    expect_ids(tok,
               "a\0b\x07\x1b"
               "c\x7f",
               7, abc, 1);
    expect_ids(tok, "\0a\tbc\0", 6, a_bc, 3);
    expect_ids(tok, "\0\0\0", 3, abc, 0);
    expect_ids(tok, NULL, 0, abc, 0);
    uc_tokenizer_free(tok);
}

Test(tokenizer_hostile, padding_token_is_split_out_of_words) {
    uc_tokenizer *tok = small_tokenizer(0);
    const int32_t expected[] = { 514, '!', '!', BYTES + 't' };
    expect_ids(tok, "abc!!t", 6, expected, 4);
    uc_tokenizer_free(tok);
}

static void expect_utf8_error(const uc_tokenizer *tok, const char *text, size_t length, size_t offset) {
    int32_t ids[CONTEXT];
    unclip_error err = { 0 };
    char expected[80];
    snprintf(expected, sizeof expected, "the prompt is not valid UTF-8 at byte %zu", offset);
    cr_expect_eq(uc_tokenizer_encode(tok, text, length, ids, CONTEXT, NULL, NULL, &err), UNCLIP_ERR_UTF8);
    cr_expect_str_eq(err.message, expected);
}

Test(tokenizer_hostile, bytes_that_are_not_utf8_are_named_by_offset) {
    uc_tokenizer *tok = small_tokenizer(0);
    static const struct {
        const char *text;
        size_t length, offset;
    } cases[] = {
        { "\x80", 1, 0 },
        { "a\xff"
          "b",
          3, 1 },
        { "ab\xc3", 3, 2 },
        { "\xc0\x80", 2, 0 },
        { "a\xc1\xbf", 3, 1 },
        { "\xe0\x80\x80", 3, 0 },
        { "\xed\xa0\x80", 3, 0 },
        { "\xf0\x80\x80\x80", 4, 0 },
        { "\xf4\x90\x80\x80", 4, 0 },
        { "\xf8\x88\x80\x80\x80", 5, 0 },
        { "\xe2\x82", 2, 0 },
        { "x\xe2(\xa1", 4, 1 },
        { "\xfe", 1, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_utf8_error(tok, cases[i].text, cases[i].length, cases[i].offset);
    }
    /* an error far behind the last token that fits is an error all the same */
    char *longer = malloc(100001);
    memset(longer, 'a', 100000);
    longer[100000] = (char)0x80;
    expect_utf8_error(tok, longer, 100001, 100000);
    free(longer);
    uc_tokenizer_free(tok);
}

Test(tokenizer_hostile, utf8_round_trip_of_every_character) {
    for (uint32_t c = 0; c < 0x110000; c++) {
        uint8_t bytes[4];
        uint32_t back = 0;
        const size_t n = uc_utf8_encode(c, bytes);
        const bool surrogate = c >= 0xD800 && c < 0xE000;
        cr_assert_eq(uc_utf8_decode(bytes, n, &back), surrogate ? 0 : n, "U+%04X", c);
        cr_assert(surrogate || back == c, "U+%04X", c);
        for (size_t k = 1; k < n; k++) cr_assert_eq(uc_utf8_decode(bytes, k, &back), 0, "U+%04X cut at %zu", c, k);
    }
}

Test(tokenizer_hostile, truncation_keeps_the_end_and_the_beginning) {
    static const char text[] = "abc t e x t abc ! text, a b c 1 2 3";
    uc_tokenizer *tok = small_tokenizer(0), *limited = small_tokenizer(7);
    int32_t all[64], cut[64];
    int used, full;
    bool truncated;
    uc_tokenizer_encode(tok, text, strlen(text), all, 64, &full, &truncated, NULL);
    cr_expect_not(truncated);
    for (int context = 2; context <= full + 3; context++) {
        cr_assert_eq(uc_tokenizer_encode(tok, text, strlen(text), cut, context, &used, &truncated, NULL), UNCLIP_OK);
        cr_expect_eq(truncated, context < full, "context %d", context);
        cr_expect_eq(used, context < full ? context : full);
        for (int i = 0; i < used - 1; i++) cr_expect_eq(cut[i], all[i], "context %d, id %d", context, i);
        cr_expect_eq(cut[used - 1], END);
        for (int i = used; i < context; i++) cr_expect_eq(cut[i], '!');
    }
    cr_assert_eq(uc_tokenizer_encode(limited, text, strlen(text), cut, 10, &used, &truncated, NULL), UNCLIP_OK);
    cr_expect(truncated && used == 7 && cut[6] == END && cut[7] == '!' && cut[9] == '!', "the model's own limit");
    for (int context = -1; context < 2; context++) {
        cr_expect_eq(uc_tokenizer_encode(tok, text, 1, cut, context, &used, &truncated, NULL), UNCLIP_ERR_ARGUMENT);
    }
    uc_tokenizer_free(tok);
    uc_tokenizer_free(limited);
}

static void encode_repeated(const uc_tokenizer *tok, const char *piece, size_t bytes) {
    const size_t length = strlen(piece), count = bytes / length;
    char *text = malloc(count * length);
    int32_t ids[CONTEXT];
    for (size_t i = 0; i < count; i++) memcpy(text + i * length, piece, length);
    encode(tok, text, count * length, ids);
    free(text);
}

/* One quadratic step makes any of these take minutes. */
Test(tokenizer_hostile, a_megabyte_of_anything_is_fast, .timeout = 60) {
    uc_tokenizer *tok = small_tokenizer(0);
    static const char *const ascii[] = {
        "a", "ab", "text", "!", " ", "a ", "'", "<|endoftext|>", "1", ".", "\t", "tete"
    };
    static const char *const others[] = { "\u0301\u0323", "\u03a3",     "\u03a3\u00ad", "\u65e5",
                                          "\u0130",       "\u00e9",     "\u0345",       "\u1112\u1161\u11ab",
                                          "\u11a7",       "\U0001f642", "\u2028" };
    for (size_t i = 0; i < sizeof ascii / sizeof *ascii; i++) encode_repeated(tok, ascii[i], 1 << 20);
    for (size_t i = 0; uc_unicode_available() && i < sizeof others / sizeof *others; i++) {
        encode_repeated(tok, others[i], 1 << 20);
    }
    uc_tokenizer_free(tok);
}

Test(tokenizer_hostile, a_prompt_beyond_the_limit_is_refused) {
    uc_tokenizer *tok = small_tokenizer(0);
    char *text = calloc(1, (size_t)UC_PROMPT_MAX + 1);
    int32_t ids[CONTEXT];
    unclip_error err = { 0 };
    cr_expect_eq(uc_tokenizer_encode(tok, text, UC_PROMPT_MAX, ids, CONTEXT, NULL, NULL, &err), UNCLIP_OK);
    cr_expect_eq(uc_tokenizer_encode(tok, text, (size_t)UC_PROMPT_MAX + 1, ids, CONTEXT, NULL, NULL, &err),
                 UNCLIP_ERR_ARGUMENT);
    cr_expect_str_eq(err.message, "the prompt has 16777217 bytes; at most 16777216 are accepted");
    free(text);
    uc_tokenizer_free(tok);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void expect_refused(sample *s, unclip_status status, const char *message) {
    uc_tokenizer *tok = (uc_tokenizer *)s;
    unclip_error err = { 0 };
    cr_expect_eq(uc_tokenizer_new(&tok, &s->spec, &err), status, "%s", message);
    cr_expect_null(tok);
    cr_expect_str_eq(err.message, message);
}

static void expect_merges_refused(const char *text, size_t size, const char *message) {
    static sample s;
    fill(&s);
    s.spec.merges = text;
    s.spec.merges_size = size;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, message);
}

Test(tokenizer_files, malformed_merges_are_named_by_line) {
    expect_merges_refused("#v\na b\nab\n", 9,
                          "merges.txt line 3: a merge is two symbols with a space between, this line "
                          "has 1");
    expect_merges_refused("#v\na b c\n", 9,
                          "merges.txt line 2: a merge is two symbols with a space between, this line "
                          "has 3");
    expect_merges_refused("\n\n#v\na b\n\nc d\n", 13,
                          "merges.txt line 5: a merge is two symbols with a space between, "
                          "this line has 0");
    expect_merges_refused("#v\na b\na\xff b\n", 12, "merges.txt line 3: not UTF-8 text at its byte 1");
    expect_merges_refused("#v\na \0b\n", 9, "merges.txt line 2: not UTF-8 text at its byte 2");
}

Test(tokenizer_files, merges_that_are_accepted) {
    static const char *const texts[] = {
        "", "\n", "#v", "#v\n", "#v\r\na b\r\n", "#v\na b\na b\n", "  \n#v\nq\tr  \n\n\n"
    };
    static sample s;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uc_tokenizer *tok = NULL;
        unclip_error err = { 0 };
        fill(&s);
        s.spec.merges = texts[i];
        s.spec.merges_size = strlen(texts[i]);
        cr_expect_eq(uc_tokenizer_new(&tok, &s.spec, &err), UNCLIP_OK, "case %zu: %s", i, err.message);
        uc_tokenizer_free(tok);
    }
}

Test(tokenizer_files, malformed_vocabularies_are_named_by_token) {
    static sample s;
    fill(&s);
    s.vocab[3].id = 300;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA,
                   "vocab.json: the tokens \"\\xc4\\x83\" and \",</w>\" both have the id 300");
    fill(&s);
    s.vocab['b'].text = "a";
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "vocab.json: the token \"a\" is there twice");
    fill(&s);
    s.vocab['b'].id = -1;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "vocab.json: the token \"b\" has the id -1");
    fill(&s);
    s.spec.added_count = 2; /* the end token has to come from the vocabulary, which is cut before it */
    s.spec.vocab_count = START;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "vocab.json: the end token (eos_token) \"<|endoftext|>\" is missing");
    fill(&s);
    s.spec.pad = NULL;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "the tokenizer has no padding token (pad_token)");
    fill(&s);
    s.spec.max_length = 1;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "tokenizer_config.json: model_max_length is 1, but start and end need 2");
    static const uc_token broken[] = { { "\xff", 9 } };
    fill(&s);
    s.spec.added = broken;
    s.spec.added_count = 1;
    expect_refused(&s, UNCLIP_ERR_MODEL_DATA, "added token 0 is not UTF-8");
}

Test(tokenizer_files, an_empty_vocabulary_still_tokenizes) {
    uc_tokenizer *tok = NULL;
    static const uc_token only[] = { { "s", 0 }, { "e", 1 }, { "p", 2 } };
    const uc_tokenizer_spec spec = {
        .vocab = only, .vocab_count = 3, .merges = "", .start = "s", .end = "e", .unknown = "e", .pad = "p"
    };
    int32_t ids[5];
    int used;
    cr_assert_eq(uc_tokenizer_new(&tok, &spec, NULL), UNCLIP_OK);
    cr_assert_eq(uc_tokenizer_encode(tok, "ab", 2, ids, 5, &used, NULL, NULL), UNCLIP_OK);
    const int32_t expected[] = { 0, 1, 1, 1, 2 };
    cr_expect_arr_eq(ids, expected, sizeof ids);
    cr_expect_eq(uc_tokenizer_id_limit(tok), 3);
    uc_tokenizer_free(tok);
}

/* bpe.c - byte-pair merging of one word (the arrow prompt -> tokens).
 *
 * A word's UTF-8 bytes become symbols (each byte a printable character, the last one with "</w>" behind it), and while
 * some neighbours are in the list of merges, all occurrences of the most urgent such pair are joined from left to
 * right. The published code rescans the word after every merge; here the pairs wait in a heap ordered by (rank,
 * position), and all entries of one rank are taken out before the first of them is joined, which is the same thing in
 * n log n, so that a word of a megabyte is no trouble. */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MERGES = 49152 - 256 - 2, BYTE_SYMBOLS = 512 };
#define NONE UINT32_MAX

typedef struct merge {
    uint32_t first, second, result, rank;
} merge;

struct uc_bpe {
    uint32_t byte_symbol[256][2]; /* [byte][1 at the end of a word] */
    size_t symbol_count;
    int32_t *token;  /* [symbol] id */
    uint32_t *begin; /* [symbol + 1] where the merges start that have it first */
    merge *merges;   /* sorted by first, second */
};

/* ---- reading the merges ------------------------------------------------------------------------------------------ */

/* A string that is to become a symbol, and where the number is to be stored. */
typedef struct span {
    const char *text;
    size_t length;
    uint32_t *slot;
} span;

typedef struct builder {
    char *strings;
    size_t used;
    span *spans;
    size_t span_count;
    merge *merges;
    size_t merge_count;
} builder;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v'; }

static void add_span(builder *b, size_t offset, size_t length, uint32_t *slot) {
    b->spans[b->span_count++] = (span){ b->strings + offset, length, slot };
}

/* The 512 symbols that a word starts from. Printable bytes stand for themselves, the others for U+0100 and on. */
static void add_byte_symbols(builder *b, uc_bpe *bpe) {
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        const size_t offset = b->used;
        b->used += uc_utf8_encode(printable ? byte : next++, (uint8_t *)b->strings + b->used);
        const size_t length = b->used - offset;
        memcpy(b->strings + b->used, "</w>", 4);
        b->used += 4;
        add_span(b, offset, length, &bpe->byte_symbol[byte][0]);
        add_span(b, offset, length + 4, &bpe->byte_symbol[byte][1]);
    }
}

static unclip_status add_merge(builder *b, const char *line, size_t length, size_t number, unclip_error *err) {
    size_t field[2][2], fields = 0; /* begin, length */
    for (size_t i = 0; i < length;) {
        while (i < length && is_blank(line[i])) i++;
        const size_t begin = i;
        while (i < length && !is_blank(line[i])) i++;
        if (i == begin) break;
        if (fields < 2) field[fields][0] = begin, field[fields][1] = i - begin;
        fields++;
    }
    if (fields != 2) {
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA,
                       "merges.txt line %zu: a merge is two symbols with a space between, "
                       "this line has %zu",
                       number, fields);
    }
    const size_t offset = b->used;
    for (size_t k = 0; k < 2; k++) {
        memcpy(b->strings + b->used, line + field[k][0], field[k][1]);
        b->used += field[k][1];
    }
    merge *m = &b->merges[b->merge_count];
    m->rank = (uint32_t)b->merge_count++;
    add_span(b, offset, field[0][1], &m->first);
    add_span(b, offset + field[0][1], field[1][1], &m->second);
    add_span(b, offset, b->used - offset, &m->result);
    return UNCLIP_OK;
}

static unclip_status add_merges(builder *b, const char *text, size_t size, unclip_error *err) {
    size_t number = 1, at = 0;
    bool header = true;
    while (size > 0 && is_blank(text[size - 1])) size--;
    for (; at < size && is_blank(text[at]); at++) number += text[at] == '\n';
    for (; at < size && b->merge_count < MOST_MERGES; number++) {
        const char *newline = memchr(text + at, '\n', size - at);
        const size_t length = newline ? (size_t)(newline - (text + at)) : size - at;
        for (size_t i = 0; i < length;) {
            uint32_t c;
            const size_t n = uc_utf8_decode((const uint8_t *)text + at + i, length - i, &c);
            if (n == 0 || c == 0) {
                return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "merges.txt line %zu: not UTF-8 text at its byte %zu",
                               number, i);
            }
            i += n;
        }
        if (!header) {
            const unclip_status status = add_merge(b, text + at, length, number, err);
            if (status) return status;
        }
        header = false;
        at += length + 1;
    }
    return UNCLIP_OK;
}

static int compare_text(const char *a, size_t a_length, const char *b, size_t b_length) {
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_spans(const void *a, const void *b) {
    const span *x = a, *y = b;
    return compare_text(x->text, x->length, y->text, y->length);
}

static int compare_merges(const void *a, const void *b) {
    const merge *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    if (x->second != y->second) return x->second < y->second ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Equal strings get one number, the numbers go into the slots, and each symbol its token. */
static bool number_symbols(builder *b, uc_bpe *bpe, uc_bpe_token_fn token, const void *user) {
    qsort(b->spans, b->span_count, sizeof *b->spans, compare_spans);
    bpe->token = malloc(b->span_count * sizeof *bpe->token);
    if (!bpe->token) return false;
    size_t count = 0;
    for (size_t i = 0; i < b->span_count; i++) {
        const span *s = &b->spans[i];
        if (i == 0 || compare_spans(s - 1, s) != 0) bpe->token[count++] = token(user, s->text, s->length);
        *s->slot = (uint32_t)(count - 1);
    }
    bpe->symbol_count = count;
    return true;
}

/* Sorts the merges for lookup; of equal pairs the last in the file stays. */
static bool index_merges(builder *b, uc_bpe *bpe) {
    bpe->begin = calloc(bpe->symbol_count + 1, sizeof *bpe->begin);
    if (!bpe->begin) return false;
    qsort(b->merges, b->merge_count, sizeof *b->merges, compare_merges);
    size_t kept = 0;
    for (size_t i = 0; i < b->merge_count; i++) {
        const merge m = b->merges[i];
        if (kept > 0 && b->merges[kept - 1].first == m.first && b->merges[kept - 1].second == m.second) kept--;
        b->merges[kept++] = m;
    }
    for (size_t i = 0; i < kept; i++) bpe->begin[b->merges[i].first + 1]++;
    for (size_t s = 0; s < bpe->symbol_count; s++) bpe->begin[s + 1] += bpe->begin[s];
    bpe->merges = b->merges;
    b->merges = NULL;
    return true;
}

unclip_status uc_bpe_new(uc_bpe **out, const char *merges, size_t size, uc_bpe_token_fn token, const void *user,
                         unclip_error *err) {
    *out = NULL;
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) lines += merges[i] == '\n';
    if (lines > MOST_MERGES + 1) lines = MOST_MERGES + 1;
    builder b = { .strings = malloc(size + (size_t)BYTE_SYMBOLS * 4),
                  .spans = malloc((BYTE_SYMBOLS + 3 * lines) * sizeof(span)),
                  .merges = malloc(lines * sizeof(merge)) };
    uc_bpe *bpe = calloc(1, sizeof *bpe);
    unclip_status status = UNCLIP_OK;
    if (!b.strings || !b.spans || !b.merges || !bpe) {
        status = uc_fail_memory(err, size, "the tokenizer's merges");
    } else {
        add_byte_symbols(&b, bpe);
        status = add_merges(&b, merges, size, err);
        if (!status && (!number_symbols(&b, bpe, token, user) || !index_merges(&b, bpe))) {
            status = uc_fail_memory(err, size, "the tokenizer's merges");
        }
    }
    free(b.strings);
    free(b.spans);
    free(b.merges);
    if (status) uc_bpe_free(bpe);
    else *out = bpe;
    return status;
}

void uc_bpe_free(uc_bpe *bpe) {
    if (!bpe) return;
    free(bpe->token);
    free(bpe->begin);
    free(bpe->merges);
    free(bpe);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static const merge *find_merge(const uc_bpe *bpe, uint32_t first, uint32_t second) {
    size_t low = bpe->begin[first], high = bpe->begin[first + 1];
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const merge *m = &bpe->merges[middle];
        if (m->second == second) return m;
        if (m->second < second) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static bool heap_push(uc_bpe_scratch *s, uint64_t value) {
    if (s->heap_count == s->heap_capacity) {
        const size_t capacity = s->heap_capacity ? s->heap_capacity * 2 : 64;
        uint64_t *heap = realloc(s->heap, capacity * sizeof *heap);
        if (!heap) return false;
        s->heap = heap;
        s->heap_capacity = capacity;
    }
    size_t i = s->heap_count++;
    for (; i > 0 && s->heap[(i - 1) / 2] > value; i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = value;
    return true;
}

static uint64_t heap_pop(uc_bpe_scratch *s) {
    const uint64_t top = s->heap[0], last = s->heap[--s->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count) break;
        if (child + 1 < s->heap_count && s->heap[child + 1] < s->heap[child]) child++;
        if (s->heap[child] >= last) break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

/* Looks up the pair that begins at position p and queues it when it can be joined. */
static bool rank_pair(const uc_bpe *bpe, uc_bpe_scratch *s, uint32_t p) {
    s->rank.data[p] = NONE;
    if (s->next.data[p] == NONE) return true;
    const merge *m = find_merge(bpe, s->symbol.data[p], s->symbol.data[s->next.data[p]]);
    if (!m) return true;
    s->rank.data[p] = m->rank;
    return heap_push(s, (uint64_t)m->rank << 32 | p);
}

static bool join_pair(const uc_bpe *bpe, uc_bpe_scratch *s, uint32_t p) {
    const uint32_t gone = s->next.data[p], after = s->next.data[gone], before = s->prev.data[p];
    s->symbol.data[p] = find_merge(bpe, s->symbol.data[p], s->symbol.data[gone])->result;
    s->rank.data[gone] = NONE;
    s->next.data[p] = after;
    if (after != NONE) s->prev.data[after] = p;
    return rank_pair(bpe, s, p) && (before == NONE || rank_pair(bpe, s, before));
}

/* Joins every occurrence of the most urgent pair. */
static bool join_round(const uc_bpe *bpe, uc_bpe_scratch *s) {
    const uint32_t rank = (uint32_t)(s->heap[0] >> 32);
    s->batch.count = 0;
    while (s->heap_count > 0 && (uint32_t)(s->heap[0] >> 32) == rank) {
        if (!uc_text_push(&s->batch, (uint32_t)heap_pop(s))) return false;
    }
    for (size_t i = 0; i < s->batch.count; i++) {
        const uint32_t p = s->batch.data[i];
        /* an earlier join may have taken one of its symbols */
        if (s->rank.data[p] == rank && !join_pair(bpe, s, p)) return false;
    }
    return true;
}

static bool start_word(const uc_bpe *bpe, uc_bpe_scratch *s, const uint32_t *word, size_t count) {
    s->symbol.count = 0;
    s->heap_count = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[4];
        const size_t n = uc_utf8_encode(word[i], bytes);
        for (size_t k = 0; k < n; k++) {
            const bool last = i + 1 == count && k + 1 == n;
            if (!uc_text_push(&s->symbol, bpe->byte_symbol[bytes[k]][last])) return false;
        }
    }
    const size_t size = s->symbol.count;
    if (!uc_text_reserve(&s->next, size) || !uc_text_reserve(&s->prev, size) || !uc_text_reserve(&s->rank, size)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        s->next.data[i] = i + 1 < size ? (uint32_t)(i + 1) : NONE;
        s->prev.data[i] = i > 0 ? (uint32_t)(i - 1) : NONE;
    }
    for (size_t i = 0; i < size; i++) {
        if (!rank_pair(bpe, s, (uint32_t)i)) return false;
    }
    return true;
}

bool uc_bpe_encode(const uc_bpe *bpe, uc_bpe_scratch *s, const uint32_t *word, size_t count, uc_text *ids) {
    if (count == 0) return true;
    if (!start_word(bpe, s, word, count)) return false;
    while (s->heap_count > 0) {
        if (!join_round(bpe, s)) return false;
    }
    for (uint32_t p = 0; p != NONE; p = s->next.data[p]) {
        if (!uc_text_push(ids, (uint32_t)bpe->token[s->symbol.data[p]])) return false;
    }
    return true;
}

void uc_bpe_scratch_free(uc_bpe_scratch *s) {
    uc_text_free(&s->symbol);
    uc_text_free(&s->prev);
    uc_text_free(&s->next);
    uc_text_free(&s->rank);
    uc_text_free(&s->batch);
    free(s->heap);
    s->heap = NULL;
    s->heap_count = s->heap_capacity = 0;
}

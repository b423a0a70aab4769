/* unicode.c - characters for the tokenizer (the arrow prompt -> tokens): UTF-8, classes, lower-casing, NFC.
 *
 * CPython's unicodedata is the model, since the reference tokenizer is written in Python; libutf8proc has the same
 * tables, give or take the Unicode version. Two things are done here because the library does not: the context rule of
 * the Greek sigma, and canonical ordering in linear time (the library's is quadratic in a run of combining marks, and a
 * prompt may be a megabyte of them). */
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

#ifdef UC_HAVE_UTF8PROC
#include <utf8proc.h>
#endif

bool uc_text_reserve(uc_text *text, size_t capacity) {
    if (capacity <= text->capacity) return true;
    if (capacity > SIZE_MAX / 2 / sizeof *text->data) return false;
    size_t rounded = text->capacity ? text->capacity : 64;
    while (rounded < capacity) rounded *= 2;
    uint32_t *data = realloc(text->data, rounded * sizeof *data);
    if (!data) return false;
    text->data = data;
    text->capacity = rounded;
    return true;
}

bool uc_text_push(uc_text *text, uint32_t value) {
    if (text->count == text->capacity && !uc_text_reserve(text, text->count + 1)) return false;
    text->data[text->count++] = value;
    return true;
}

void uc_text_free(uc_text *text) {
    free(text->data);
    *text = (uc_text){ 0 };
}

size_t uc_utf8_decode(const uint8_t *bytes, size_t length, uint32_t *code_point) {
    static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    if (length == 0) return 0;
    const uint8_t lead = bytes[0];
    if (lead < 0x80) {
        *code_point = lead;
        return 1;
    }
    if (lead < 0xC0 || lead >= 0xF8) return 0;
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (size > length) return 0;
    uint32_t value = lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3Fu);
    }
    if (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return 0;
    *code_point = value;
    return size;
}

size_t uc_utf8_encode(uint32_t c, uint8_t bytes[4]) {
    if (c < 0x80) {
        bytes[0] = (uint8_t)c;
        return 1;
    }
    const size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80u | (c & 0x3Fu));
        c >>= 6;
    }
    bytes[0] = (uint8_t)((0xF00u >> size & 0xF0u) | c);
    return size;
}

const char *uc_quote(char buf[UC_QUOTE_TEXT], const char *text, size_t length) {
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    buf[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if (used > UC_QUOTE_TEXT - 10) {
            memcpy(buf + used, "...", 3);
            used += 3;
            break;
        }
        if (byte >= 0x20 && byte < 0x7F) {
            buf[used++] = (char)byte;
        } else {
            buf[used++] = '\\';
            buf[used++] = 'x';
            buf[used++] = digits[byte >> 4];
            buf[used++] = digits[byte & 15];
        }
    }
    buf[used++] = '"';
    buf[used] = '\0';
    return buf;
}

static uc_char_class ascii_class(uint32_t c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return UC_CHAR_LETTER;
    if (c >= '0' && c <= '9') return UC_CHAR_NUMBER;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return UC_CHAR_SPACE;
    return c < 0x20 || c == 0x7F ? UC_CHAR_CONTROL : UC_CHAR_OTHER;
}

static uint32_t ascii_lower(uint32_t c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

#ifndef UC_HAVE_UTF8PROC

bool uc_unicode_available(void) { return false; }

uc_char_class uc_char_class_of(uint32_t c) { return c < 0x80 ? ascii_class(c) : UC_CHAR_OTHER; }

bool uc_text_nfc(uc_text *text) {
    (void)text; /* ASCII is composed as it is */
    return true;
}

bool uc_text_append_lower(uc_text *out, const uint32_t *word, size_t count) {
    if (!uc_text_reserve(out, out->count + count)) return false;
    for (size_t i = 0; i < count; i++) out->data[out->count++] = ascii_lower(word[i]);
    return true;
}

#else

bool uc_unicode_available(void) { return true; }

static utf8proc_category_t category(uint32_t c) { return utf8proc_category((utf8proc_int32_t)c); }

uc_char_class uc_char_class_of(uint32_t c) {
    if (c < 0x80) return ascii_class(c);
    switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return UC_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return UC_CHAR_NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return UC_CHAR_SPACE;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO: return UC_CHAR_CONTROL;
    default: return UC_CHAR_OTHER;
    }
}

/* ---- NFC --------------------------------------------------------------------------------------------------------- */

static unsigned combining_class(uint32_t c) {
    if (c < 0x300) return 0;
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class & 0xFFu;
}

/* Sorts a run of combining marks by class, equal classes in their order: by counting, so a long run stays cheap. */
static bool order_marks(uint32_t *run, size_t count, uc_text *spare) {
    size_t begin[257] = { 0 };
    if (count < 2) return true;
    if (!uc_text_reserve(spare, count)) return false;
    for (size_t i = 0; i < count; i++) begin[combining_class(run[i]) + 1]++;
    for (size_t k = 1; k < 257; k++) begin[k] += begin[k - 1];
    for (size_t i = 0; i < count; i++) spare->data[begin[combining_class(run[i])]++] = run[i];
    memcpy(run, spare->data, count * sizeof *run);
    return true;
}

static bool decompose(const uc_text *text, uc_text *out) {
    enum { LONGEST = 32 }; /* canonical decompositions have at most 4 characters */
    for (size_t i = 0; i < text->count; i++) {
        utf8proc_int32_t part[LONGEST];
        int boundary = 0;
        const utf8proc_ssize_t n =
            utf8proc_decompose_char((utf8proc_int32_t)text->data[i], part, LONGEST, UTF8PROC_DECOMPOSE, &boundary);
        if (n < 1 || n > LONGEST) {
            if (!uc_text_push(out, text->data[i])) return false;
            continue;
        }
        for (utf8proc_ssize_t k = 0; k < n; k++) {
            if (!uc_text_push(out, (uint32_t)part[k])) return false;
        }
    }
    return true;
}

static bool compose(uc_text *text) {
    uc_text spare = { 0 };
    bool ok = true;
    for (size_t i = 0; ok && i < text->count;) {
        size_t end = i;
        while (end < text->count && combining_class(text->data[end]) != 0) end++;
        ok = order_marks(text->data + i, end - i, &spare);
        i = end + 1;
    }
    uc_text_free(&spare);
    if (!ok) return false;
    /* U+11A7 composes with nothing, but the library takes it for an empty final consonant and swallows it after a
     * Hangul syllable: compose what lies between. (int32 and uint32 may alias, and every value is below 2^21.) */
    size_t kept = 0;
    for (size_t i = 0; i < text->count;) {
        size_t end = i;
        while (end < text->count && text->data[end] != 0x11A7) end++;
        const utf8proc_ssize_t count = utf8proc_normalize_utf32(
            (utf8proc_int32_t *)text->data + i, (utf8proc_ssize_t)(end - i), UTF8PROC_COMPOSE | UTF8PROC_STABLE);
        const size_t composed = count < 0 ? end - i : (size_t)count;
        memmove(text->data + kept, text->data + i, composed * sizeof *text->data);
        kept += composed;
        if (end < text->count) text->data[kept++] = 0x11A7;
        i = end + 1;
    }
    text->count = kept;
    return true;
}

bool uc_text_nfc(uc_text *text) {
    bool plain = true;
    for (size_t i = 0; plain && i < text->count; i++) plain = text->data[i] < 0x300;
    if (plain) return true; /* nothing below U+0300 combines */
    uc_text out = { 0 };
    if (!decompose(text, &out) || !compose(&out)) {
        uc_text_free(&out);
        return false;
    }
    uc_text_free(text);
    *text = out;
    return true;
}

/* ---- lower case -------------------------------------------------------------------------------------------------- */

/* Unicode's Cased: upper, lower and title case letters, and what Other_Uppercase and Other_Lowercase add that is not
 * also case-ignorable. */
static bool is_cased(uint32_t c) {
    const utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT || c == 0xAA ||
           c == 0xBA || (c >= 0x2160 && c <= 0x217F) || (c >= 0x24B6 && c <= 0x24E9) ||
           (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

/* Unicode's Case_Ignorable: marks, format characters, modifier letters and symbols, and the punctuation of the word
 * break classes MidLetter, MidNumLet and Single_Quote. */
static bool is_case_ignorable(uint32_t c) {
    static const uint16_t punctuation[] = { 0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,  0x5F4,  0x2018, 0x2019,
                                            0x2024, 0x2027, 0xFE13, 0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A };
    switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: break;
    }
    for (size_t i = 0; i < sizeof punctuation / sizeof *punctuation; i++) {
        if (c == punctuation[i]) return true;
    }
    return false;
}

/* A sigma is final when a cased letter stands before it and none behind, not counting case-ignorable characters. The
 * look ahead never passes another sigma, so a word of a million of them stays linear. */
static bool sigma_is_final(const uint32_t *word, size_t count, size_t at, bool after_cased) {
    if (!after_cased) return false;
    size_t next = at + 1;
    while (next < count && is_case_ignorable(word[next])) next++;
    return next == count || !is_cased(word[next]);
}

bool uc_text_append_lower(uc_text *out, const uint32_t *word, size_t count) {
    bool after_cased = false;
    if (!uc_text_reserve(out, out->count + count)) return false;
    for (size_t i = 0; i < count; i++) {
        const uint32_t c = word[i];
        uint32_t lower = c < 0x80 ? ascii_lower(c) : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        if (c == 0x3A3 && sigma_is_final(word, count, i, after_cased)) lower = 0x3C2;
        if (!uc_text_push(out, lower)) return false;
        if (c == 0x130 && !uc_text_push(out, 0x307)) return false; /* the dotted capital I is an i and its dot */
        if (!is_case_ignorable(c)) after_cased = is_cased(c);
    }
    return true;
}

#endif

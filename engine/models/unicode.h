/* unicode.h - what the tokenizer needs to know of Unicode (the arrow prompt -> tokens): strict UTF-8, character
 * classes, Python's lower-casing and NFC. The tables are libutf8proc's; a build without that library knows ASCII only
 * and says so through uc_unicode_available(). */
#ifndef UC_MODELS_UNICODE_H
#define UC_MODELS_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing row of code points (or of other 32-bit numbers). Starts as all zero; free() the data. */
typedef struct uc_text {
    uint32_t *data;
    size_t count, capacity;
} uc_text;

bool uc_text_reserve(uc_text *text, size_t capacity); /* false: out of memory, the text is as before */
bool uc_text_push(uc_text *text, uint32_t value);
void uc_text_free(uc_text *text);

/* Reads one character of strict UTF-8 (no surrogates, no overlong forms, nothing above U+10FFFF) from bytes[0, length)
 * and returns its number of bytes; 0 when they are not UTF-8. */
size_t uc_utf8_decode(const uint8_t *bytes, size_t length, uint32_t *code_point);

/* Writes 1 to 4 bytes and returns how many. */
size_t uc_utf8_encode(uint32_t code_point, uint8_t bytes[4]);

/* Writes text in quotes for a message: printable ASCII as it is, other bytes as \xhh, a long text cut with "...". */
enum { UC_QUOTE_TEXT = 72 };
const char *uc_quote(char buf[UC_QUOTE_TEXT], const char *text, size_t length);

/* True when the build has tables for characters above U+007F. */
bool uc_unicode_available(void);

/* The division that CLIP's cleaning and its regular expression make. */
typedef enum uc_char_class {
    UC_CHAR_OTHER,
    UC_CHAR_LETTER, /* category L* */
    UC_CHAR_NUMBER, /* category N* */
    UC_CHAR_SPACE,  /* tab, line feed, carriage return and category Z* */
    UC_CHAR_CONTROL /* category C* (unassigned, private and format characters too), less those three */
} uc_char_class;

uc_char_class uc_char_class_of(uint32_t code_point);

/* Canonical composition (NFC) in place, in linear time whatever the number of combining marks. False: out of memory. */
bool uc_text_nfc(uc_text *text);

/* Appends word[0, count) to out as Python's str.lower() writes it: with the dotted capital I as two characters and a
 * capital sigma at the end of a word as the final small one. False: out of memory. */
bool uc_text_append_lower(uc_text *out, const uint32_t *word, size_t count);

#endif

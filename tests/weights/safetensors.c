/* safetensors.c - the strict reader: hand-made hostile files with the exact message each must get, damage at every byte and
 * bit of a header, files that are odd but valid, and the writer. Rerun one: test_weights --filter 'safetensors/NAME'. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

TestSuite(safetensors, .fini = remove_folder);

/* One tensor with an offsets pair, as text. */
#define T(name, dtype, shape, begin, end) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

/* header: the bytes between length and data. expect: the message behind "PATH: ". */
typedef struct hostile {
    const char *header;
    size_t data;
    const char *expect;
} hostile;

static const hostile not_json[] = {
    { "", 0, "the header does not begin with '{'" },
    { "[]", 0, "the header does not begin with '{'" },
    { " {}", 0, "the header does not begin with '{'" },
    { "\xEF\xBB\xBF{}", 0, "the header does not begin with '{'" },
    { "    ", 0, "the header does not begin with '{'" },
    { "{}\n", 0, "the header does not end with '}' and spaces" },
    { "{}\t ", 0, "the header does not end with '}' and spaces" },
    { "{}x", 0, "the header does not end with '}' and spaces" },
    { "{", 0, "the header does not end with '}' and spaces" },
    { "{}{}", 0, "the header is not valid JSON at byte 3: syntax error" },
    { "{}}", 0, "the header is not valid JSON at byte 3: syntax error" },
    { "{ }, }", 0, "the header is not valid JSON at byte 4: syntax error" },
    { "{\"a\":}", 0, "the header is not valid JSON at byte 6: syntax error" },
    { "{\"a\" 1}", 0, "the header is not valid JSON at byte 6: syntax error" },
    { "{a:1}", 0, "the header is not valid JSON at byte 2: syntax error" },
    { "{\"a\":1,}", 0, "the header is not valid JSON at byte 8: syntax error" },
    { "{\"a\":NaN}", 0, "the header is not valid JSON at byte 8: syntax error" },
    { "{\"a\":1e999}", 0, "the header is not valid JSON at byte 10: syntax error" },
    { "{\"a\":99999999999999999999}", 0, "the header is not valid JSON at byte 25: syntax error" },
    { "{\"a\\u0000b\":1}", 0, "the header is not valid JSON at byte 11: syntax error" },
    { "{\"\\ud800\":1}", 0, "the header is not valid JSON at byte 9: syntax error" },
    { "{\"\xFF\":1}", 0, "the header is not valid JSON at byte 2: not UTF-8" },
    { "{\"\xC0\xAF\":1}", 0, "the header is not valid JSON at byte 2: not UTF-8" },
    { "{\"\xED\xA0\x80\":1}", 0, "the header is not valid JSON at byte 2: not UTF-8" },
    { "{" T("a", "F32", "[1]", 0, 4) "," T("a", "F32", "[1]", 4, 8) "}", 8,
      "the header is not valid JSON at byte 57: a key occurs twice" },
    { "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
      "the header is not valid JSON at byte 27: a key occurs twice" },
    { "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0,
      "the header is not valid JSON at byte 28: a key occurs twice" },
    { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "the header is not valid JSON at byte 33: a key occurs twice" },
};

static const hostile not_a_tensor[] = {
    { "{\"__metadata__\":[]}", 0, "__metadata__ is a list, expected an object" },
    { "{\"__metadata__\":null}", 0, "__metadata__ is null, expected an object" },
    { "{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k is an integer, expected a string" },
    { "{\"__metadata__\":{\"k\":null}}", 0, "__metadata__: k is null, expected a string" },
    { "{\"__metadata__\":{\"k\":{}}}", 0, "__metadata__: k is an object, expected a string" },
    { "{\"a\":[]}", 0, "tensor a: is a list, expected an object" },
    { "{\"a\":1}", 0, "tensor a: is an integer, expected an object" },
    { "{\"a\":1.5}", 0, "tensor a: is a fractional number, expected an object" },
    { "{\"a\":null}", 0, "tensor a: is null, expected an object" },
    { "{\"a\":\"x\"}", 0, "tensor a: is a string, expected an object" },
    { "{\"a\":true}", 0, "tensor a: is true, expected an object" },
    { "{\"a\":{}}", 0, "tensor a: dtype is missing" },
    { "{\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "a tensor has an empty name" },
    { "{\"a\\u001b[2Jb\":{}}", 0, "tensor a?[2Jb: a control character is in its name" },
    { "{\"a\\nb\":{}}", 0, "tensor a?b: a control character is in its name" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[1]}}", 4,
      "tensor a: unknown key \"strides\"" },
};

static const hostile bad_dtype_or_shape[] = {
    { "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "tensor a: dtype is missing" },
    { "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
      "tensor a: dtype is an integer, expected a string" },
    { "{" T("a", "F8_E4M3", "[4]", 0, 4) "}", 4, "tensor a: dtype \"F8_E4M3\" is not known" },
    { "{" T("a", "f32", "[1]", 0, 4) "}", 4, "tensor a: dtype \"f32\" is not known" },
    { "{" T("a", "", "[1]", 0, 4) "}", 4, "tensor a: dtype \"\" is not known" },
    { "{" T("a", "F\\u000732", "[1]", 0, 4) "}", 4, "tensor a: dtype \"F?32\" is not known" },
    { "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "tensor a: shape is missing" },
    { "{" T("a", "F32", "{}", 0, 4) "}", 4, "tensor a: shape is an object, expected a list" },
    { "{" T("a", "F32", "1", 0, 4) "}", 4, "tensor a: shape is an integer, expected a list" },
    { "{" T("a", "F32", "null", 0, 4) "}", 4, "tensor a: shape is null, expected a list" },
    { "{" T("a", "F32", "[-1]", 0, 4) "}", 4, "tensor a: shape[0] is -1, expected a non-negative integer" },
    { "{" T("a", "F32", "[1,-9223372036854775808]", 0, 4) "}", 4,
      "tensor a: shape[1] is -9223372036854775808, expected a non-negative integer" },
    { "{" T("a", "F32", "[1.0]", 0, 4) "}", 4,
      "tensor a: shape[0] is a fractional number, expected a non-negative integer" },
    { "{" T("a", "F32", "[\"1\"]", 0, 4) "}", 4, "tensor a: shape[0] is a string, expected a non-negative integer" },
    { "{" T("a", "F32", "[true]", 0, 4) "}", 4, "tensor a: shape[0] is true, expected a non-negative integer" },
    { "{" T("a", "F32", "[1,null]", 0, 4) "}", 4, "tensor a: shape[1] is null, expected a non-negative integer" },
    { "{" T("a", "F32", "[[1]]", 0, 4) "}", 4, "tensor a: shape[0] is a list, expected a non-negative integer" },
    { "{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "tensor a: has 9 dimensions, at most 8 are allowed" },
    { "{" T("a", "F32", "[4294967296,4294967296]", 0, 4) "}", 4, "tensor a: the product of its sizes overflows" },
    { "{" T("a", "F64", "[2305843009213693952]", 0, 4) "}", 4, "tensor a: the product of its sizes overflows" },
    { "{" T("a", "U8", "[9223372036854775807,2]", 0, 4) "}", 4, "tensor a: the product of its sizes overflows" },
    { "{" T("a", "U8", "[4611686018427387904,4,0]", 0, 0) "}", 0, "tensor a: the product of its sizes overflows" },
};

static const hostile bad_offsets[] = {
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "tensor a: data_offsets is missing" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{}}}", 4,
      "tensor a: data_offsets is an object, expected a list" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
      "tensor a: data_offsets has 1 numbers, expected 2" },
    { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4,
      "tensor a: data_offsets has 3 numbers, expected 2" },
    { "{" T("a", "F32", "[1]", -4, 0) "}", 4,
      "tensor a: data_offsets[0] is negative, expected a non-negative integer" },
    { "{" T("a", "F32", "[1]", 0, -4) "}", 4,
      "tensor a: data_offsets[1] is negative, expected a non-negative integer" },
    { "{" T("a", "F32", "[1]", 0, 4.0) "}", 4,
      "tensor a: data_offsets[1] is a fractional number, expected a non-negative integer" },
    { "{" T("a", "F32", "[1]", "0", 4) "}", 4,
      "tensor a: data_offsets[0] is a string, expected a non-negative integer" },
    { "{" T("a", "F32", "[1]", 4, 0) "}", 4, "tensor a: data_offsets end at 0 before they begin at 4" },
    { "{" T("a", "F32", "[1]", 0, 4) "}", 3,
      "tensor a: data_offsets end at 4, but the file has only 3 bytes of data (truncated?)" },
    { "{" T("a", "F32", "[1]", 9223372036854775803, 9223372036854775807) "}", 4,
      "tensor a: data_offsets end at 9223372036854775807, but the file has only 4 bytes of data (truncated?)" },
    { "{" T("a", "F32", "[2]", 0, 4) "}", 4, "tensor a: has 4 bytes, its shape and dtype make 8" },
    { "{" T("a", "F32", "[1]", 0, 8) "}", 8, "tensor a: has 8 bytes, its shape and dtype make 4" },
    { "{" T("a", "F16", "[]", 0, 4) "}", 4, "tensor a: has 4 bytes, its shape and dtype make 2" },
    { "{" T("a", "F32", "[0]", 0, 4) "}", 4, "tensor a: has 4 bytes, its shape and dtype make 0" },
    { "{" T("a", "F32", "[1]", 4, 8) "}", 8, "tensor a: begins at 4, expected 0: the tensors leave a hole" },
    { "{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 8, 12) "}", 12,
      "tensor b: begins at 8, expected 4: the tensors leave a hole" },
    { "{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 2, 6) "}", 6,
      "tensor b: begins at 2, expected 4: the tensors overlap" },
    { "{" T("a", "F32", "[1]", 0, 4) "," T("b", "F32", "[1]", 0, 4) "}", 4,
      "tensor b: begins at 0, expected 4: the tensors overlap" },
    { "{" T("a", "F32", "[2]", 0, 8) "," T("b", "F32", "[1]", 2, 6) "}", 8,
      "tensor b: begins at 2, expected 8: the tensors overlap" },
    { "{" T("a", "F32", "[0]", 2, 2) "," T("b", "F32", "[1]", 0, 4) "}", 4,
      "tensor a: begins at 2, expected 4: the tensors overlap" },
    { "{" T("a", "F32", "[1]", 0, 4) "}", 5, "1 bytes follow the last tensor" },
    { "{}", 1, "1 bytes follow the last tensor" },
    { "{\"__metadata__\":{\"format\":\"pt\"}}", 16, "16 bytes follow the last tensor" },
};

/* Opens path, which must fail with exactly this. */
static void expect_failure(const char *path, unclip_status status, const char *message, const char *what) {
    uc_safetensors file;
    unclip_error err = { 0 };
    char full[1400];
    const unclip_status got = uc_safetensors_open(&file, path, &err);
    snprintf(full, sizeof full, "%s: %s", path, message);
    cr_expect_eq(got, status, "%s: status %d, expected %d", what, (int)got, (int)status);
    cr_expect_str_eq(err.message, full, "%s:\n  got      %s\n  expected %s", what, err.message, full);
    cr_expect_eq(err.status, status, "%s", what);
    cr_expect(file.items == NULL && file.map == NULL && file.path == NULL, "%s: something is still held", what);
    if (!got) uc_safetensors_close(&file);
}

static void check_table(const hostile *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *path = path_in("hostile.safetensors");
        write_raw_tensors(path, cases[i].header, strlen(cases[i].header), cases[i].data);
        expect_failure(path, UNCLIP_ERR_MODEL_DATA, cases[i].expect, cases[i].header);
    }
}

#define CHECK_TABLE(table) check_table(table, sizeof table / sizeof *table)

Test(safetensors, header_that_is_not_json) { CHECK_TABLE(not_json); }
Test(safetensors, entry_that_is_no_tensor) { CHECK_TABLE(not_a_tensor); }
Test(safetensors, wrong_dtype_or_shape) { CHECK_TABLE(bad_dtype_or_shape); }
Test(safetensors, wrong_offsets) { CHECK_TABLE(bad_offsets); }

Test(safetensors, file_that_is_none) {
    static const unsigned char all_ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
    static const unsigned char limit[8] = { 0x01, 0xE1, 0xF5, 0x05 }; /* 100,000,001 */
    static const unsigned char nine[16] = { 9 };
    const char *path = path_in("file");
    expect_failure(path, UNCLIP_ERR_MODEL_MISSING, "cannot be opened: No such file or directory", "absent");
    expect_failure(path_in("file/deeper"), UNCLIP_ERR_MODEL_MISSING, "cannot be opened: No such file or directory",
                   "absent folder");
    write_bytes(path, "", 0);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "has 0 bytes, a safetensors file has at least 8", "empty");
    write_bytes(path, nine, 7);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "has 7 bytes, a safetensors file has at least 8", "7 bytes");
    write_bytes(path, nine, 16);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "header length is 9, but only 8 bytes follow", "header too long");
    write_bytes(path, all_ones, 8);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "header length is 18446744073709551615, at most 100000000 is allowed",
                   "2^64 - 1");
    write_bytes(path, limit, 8);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "header length is 100000001, at most 100000000 is allowed",
                   "100 MB + 1");
    expect_failure(folder(), UNCLIP_ERR_MODEL_MISSING, "is a directory, expected a file", "folder");
    cr_assert_eq(mkfifo(path_in("pipe"), 0600), 0);
    expect_failure(path_in("pipe"), UNCLIP_ERR_MODEL_MISSING, "is not a regular file, expected a file", "named pipe");
}

Test(safetensors, zero_byte_and_deep_nesting_in_the_header) {
    const char *path = path_in("hostile.safetensors");
    write_raw_tensors(path, "{\"a\0b\":1}", 9, 0);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "the header is not valid JSON at byte 3: syntax error", "zero byte");
    char deep[100008];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"a\":", 5);
    deep[sizeof deep - 1] = '}';
    write_raw_tensors(path, deep, sizeof deep, 0);
    expect_failure(path, UNCLIP_ERR_MODEL_DATA, "the header is not valid JSON at byte 2053: syntax error",
                   "deep nesting");
}

/* 156 bytes are shown at most: whole characters, wherever the last one begins. */
Test(safetensors, long_name_is_cut_in_the_message) {
    for (int shift = 0; shift < 2; shift++) {
        char header[2000] = "{\"", expect[400] = "tensor ";
        if (shift) strcat(header, "x"), strcat(expect, "x");
        for (int i = 0; i < 300; i++) strcat(header, "\xC3\xA9"); /* e with acute accent */
        strcat(header, "\":{}}");
        for (int i = 0; i < 78 - shift; i++) strcat(expect, "\xC3\xA9");
        strcat(expect, "...: dtype is missing");
        const char *path = path_in("hostile.safetensors");
        write_raw_tensors(path, header, strlen(header), 0);
        expect_failure(path, UNCLIP_ERR_MODEL_DATA, expect, "long name");
    }
}

Test(safetensors, null_error_is_allowed) {
    uc_safetensors file;
    cr_expect_eq(uc_safetensors_open(&file, path_in("absent"), NULL), UNCLIP_ERR_MODEL_MISSING);
}

/* ---- valid files ------------------------------------------------------------------------------------------------- */

static void open_valid(uc_safetensors *file, const char *header, size_t data) {
    unclip_error err = { 0 };
    const char *path = path_in("valid.safetensors");
    write_raw_tensors(path, header, strlen(header), data);
    cr_assert_eq(uc_safetensors_open(file, path, &err), UNCLIP_OK, "%s: %s", header, err.message);
}

/* The data bytes are 1, 2, 3, ... (mod 256): the item must show those from begin on. */
static void expect_bytes(const uc_param *item, size_t begin, size_t size) {
    const unsigned char *bytes = item->data;
    for (size_t i = 0; i < size; i++)
        cr_assert_eq(bytes[i], (unsigned char)(begin + i + 1), "tensor %s, byte %zu", item->name, i);
    cr_expect_eq((uintptr_t)item->data % uc_dtype_size(item->dtype), 0, "tensor %s is not aligned", item->name);
}

Test(safetensors, odd_but_valid) {
    uc_safetensors file;
    static const char *const empty[] = { "{}", "{}       ", "{ \"__metadata__\" : { } }", "{\n}",
                                         "{\"__metadata__\":{\"a\":\"\"}}   " };
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        open_valid(&file, empty[i], 0);
        cr_expect_eq(file.count, 0);
        uc_safetensors_close(&file);
    }
    open_valid(&file, "{" T("b", "F32", "[]", 4, 8) "," T("a", "I32", "[1,1,1,1,1,1,1,1]", 0, 4) "}", 8);
    cr_assert_eq(file.count, 2);
    cr_expect_str_eq(file.items[0].name, "a");
    cr_expect_eq(file.items[0].rank, 8);
    cr_expect_eq(file.items[1].rank, 0);
    expect_bytes(&file.items[1], 4, 4);
    uc_safetensors_close(&file);
    open_valid(&file, "{" T("e", "F32", "[0,5]", 2, 2) "," T("x", "U8", "[2]", 0, 2) "}", 2);
    cr_assert_eq(file.count, 2);
    cr_expect_eq(file.items[0].dim[1], 5);
    cr_expect_not_null(file.items[0].data);
    uc_safetensors_close(&file);
    open_valid(&file,
               "{" T("gr\xC3\xB6\xC3\x9F"
                     "e",
                     "BOOL", "[3]", 0, 3) "}",
               3);
    cr_expect_str_eq(file.items[0].name, "gr\xC3\xB6\xC3\x9F"
                                         "e");
    uc_safetensors_close(&file);
}

Test(safetensors, every_type_at_every_misalignment) {
    static const char spaces[] = "        ";
    for (int type = 0; type < UC_DTYPE_COUNT; type++)
        for (int pad = 0; pad < 8; pad++) {
            uc_safetensors file;
            char header[300];
            const size_t size = uc_dtype_size((uc_dtype)type);
            snprintf(header, sizeof header,
                     "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                     "\"b\":{\"dtype\":\"%s\",\"shape\":[5],\"data_offsets\":[3,%zu]}}%.*s",
                     uc_dtype_name((uc_dtype)type), 3 + 5 * size, pad, spaces);
            open_valid(&file, header, 3 + 5 * size);
            cr_assert_eq(file.count, 2);
            expect_bytes(&file.items[0], 0, 3);
            expect_bytes(&file.items[1], 3, 5 * size);
            const bool suits = (8 + strlen(header) + 3) % size == 0;
            cr_expect_eq(file.copies[1] == NULL, suits, "%s behind %d spaces: aligned tensors are not copied",
                         uc_dtype_name((uc_dtype)type), pad);
            uc_safetensors_close(&file);
        }
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

/* A linear congruential generator: the same items in every run. */
static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static const char small_header[] = "{\"__metadata__\":{\"format\":\"pt\"}," T("conv.bias", "F32", "[2]", 0, 8) "," T(
    "conv.weight", "F16", "[2,3]", 8, 20) "," T("ids", "I64", "[1]", 20, 28) "}";
enum { SMALL_HEADER = sizeof small_header - 1, SMALL_DATA = 28, SMALL = 8 + SMALL_HEADER + SMALL_DATA };

static void read_file(const char *path, unsigned char *bytes, size_t size) {
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f);
    cr_assert_eq(fread(bytes, 1, size, f), size);
    fclose(f);
}

Test(safetensors, truncated_at_every_byte) {
    unsigned char bytes[SMALL];
    const char *path = path_in("small.safetensors");
    write_raw_tensors(path, small_header, SMALL_HEADER, SMALL_DATA);
    read_file(path, bytes, SMALL);
    for (size_t size = 0; size < SMALL; size++) {
        uc_safetensors file;
        unclip_error err = { 0 };
        write_bytes(path, bytes, size);
        cr_assert_eq(uc_safetensors_open(&file, path, &err), UNCLIP_ERR_MODEL_DATA, "cut to %zu bytes", size);
        cr_assert(strstr(err.message, path) == err.message && strlen(err.message) > strlen(path) + 10,
                  "cut to %zu bytes: %s", size, err.message);
        if (size >= 8 + SMALL_HEADER) cr_assert(strstr(err.message, ": tensor "), "%s", err.message);
    }
}

/* Touches every byte that an item promises. */
static unsigned sum_of(const uc_safetensors *file) {
    unsigned sum = 0;
    for (size_t i = 0; i < file->count; i++) {
        uint64_t size = uc_dtype_size(file->items[i].dtype);
        for (int d = 0; d < file->items[i].rank; d++) size *= (uint64_t)file->items[i].dim[d];
        cr_assert(size <= SMALL_DATA, "tensor %s has more bytes than the file", file->items[i].name);
        for (uint64_t k = 0; k < size; k++) sum += ((const unsigned char *)file->items[i].data)[k];
    }
    return sum;
}

Test(safetensors, every_header_bit_flipped) {
    unsigned char bytes[SMALL];
    const char *path = path_in("small.safetensors");
    size_t valid = 0, refused = 0;
    write_raw_tensors(path, small_header, SMALL_HEADER, SMALL_DATA);
    read_file(path, bytes, SMALL);
    for (size_t bit = 0; bit < 8 * (8 + SMALL_HEADER); bit++) {
        uc_safetensors file;
        unclip_error err = { 0 };
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        write_bytes(path, bytes, SMALL);
        const unclip_status status = uc_safetensors_open(&file, path, &err);
        if (status) {
            cr_assert_eq(status, UNCLIP_ERR_MODEL_DATA, "bit %zu: %s", bit, err.message);
            for (const char *c = err.message; *c; c++)
                cr_assert((unsigned char)*c >= 0x20, "bit %zu: the message echoes byte %d", bit, *c);
            refused++;
        } else {
            sum_of(&file);
            uc_safetensors_close(&file);
            valid++;
        }
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    /* Letters of names may change; lengths, braces, types and numbers may not. */
    cr_expect(valid > 100 && refused > 1000, "%zu valid, %zu refused", valid, refused);
}

/* Several bytes replaced by others that JSON and safetensors care about: seed 11. */
Test(safetensors, random_damage) {
    static const char alphabet[] = "{}[]\",:0123456789-.eE\\u truefalsnl\xFF\xC3";
    unsigned char bytes[SMALL], damaged[SMALL];
    const char *path = path_in("small.safetensors");
    uint64_t state = 11;
    write_raw_tensors(path, small_header, SMALL_HEADER, SMALL_DATA);
    read_file(path, bytes, SMALL);
    for (int round = 0; round < 3000; round++) {
        uc_safetensors file;
        unclip_error err = { 0 };
        memcpy(damaged, bytes, SMALL);
        for (uint32_t i = 0, n = 1 + next_random(&state) % 4; i < n; i++)
            damaged[8 + next_random(&state) % SMALL_HEADER] =
                (unsigned char)alphabet[next_random(&state) % (sizeof alphabet - 1)];
        write_bytes(path, damaged, SMALL);
        const unclip_status status = uc_safetensors_open(&file, path, &err);
        cr_assert(!status || status == UNCLIP_ERR_MODEL_DATA, "round %d: %s", round, err.message);
        if (!status) {
            sum_of(&file);
            uc_safetensors_close(&file);
        }
    }
}

Test(safetensors, changed_after_it_was_opened) {
    uc_safetensors file;
    unclip_error err = { 0 };
    char expect[1400];
    const char *path = path_in("valid.safetensors");
    open_valid(&file, "{" T("a", "F32", "[1]", 0, 4) "}", 4);
    cr_expect_eq(uc_safetensors_unchanged(&file, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(truncate(path, 20), 0);
    cr_expect_eq(uc_safetensors_unchanged(&file, &err), UNCLIP_ERR_MODEL_DATA);
    snprintf(expect, sizeof expect, "%s: changed on disk since it was opened", path);
    cr_expect_str_eq(err.message, expect);
    uc_safetensors_close(&file);
    open_valid(&file, "{" T("a", "F32", "[1]", 0, 4) "}", 4);
    write_text(path_in("other"), "another file");
    cr_assert_eq(rename(path_in("other"), path), 0);
    cr_expect_eq(uc_safetensors_unchanged(&file, &err), UNCLIP_OK, "replaced by rename: the old file stays mapped");
    expect_bytes(&file.items[0], 0, 4);
    uc_safetensors_close(&file);
}

/* ---- the writer -------------------------------------------------------------------------------------------------- */

Test(safetensors, round_trip) {
    enum { ITEMS = 40, BYTES = 4096 };
    uint64_t state = 3;
    static unsigned char data[ITEMS][BYTES];
    char names[ITEMS][32];
    uc_param items[ITEMS];
    const char *path = path_in("written.safetensors");
    for (int i = 0; i < ITEMS; i++) {
        snprintf(names[i], sizeof names[i], "block.%u.%d", next_random(&state) % 100, i);
        items[i] = (uc_param){ .name = names[i],
                               .dtype = (uc_dtype)(next_random(&state) % UC_DTYPE_COUNT),
                               .rank = (int)(next_random(&state) % 5),
                               .data = data[i] };
        for (int d = 0; d < items[i].rank; d++) items[i].dim[d] = next_random(&state) % 5;
        for (int k = 0; k < BYTES; k++) data[i][k] = (unsigned char)next_random(&state);
    }
    unclip_error err = { 0 };
    cr_assert_eq(uc_safetensors_write(path, items, ITEMS, &err), UNCLIP_OK, "%s", err.message);
    uc_safetensors file;
    cr_assert_eq(uc_safetensors_open(&file, path, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(file.count, ITEMS);
    const uc_params params = { .count = file.count, .items = file.items };
    for (int i = 0; i < ITEMS; i++) {
        const uc_param *got = uc_params_find(&params, names[i]);
        cr_assert_not_null(got, "tensor %s is lost", names[i]);
        cr_assert(got->dtype == items[i].dtype && got->rank == items[i].rank, "tensor %s", names[i]);
        size_t size = uc_dtype_size(got->dtype);
        for (int d = 0; d < got->rank; d++) {
            cr_assert_eq(got->dim[d], items[i].dim[d], "tensor %s", names[i]);
            size *= (size_t)got->dim[d];
        }
        cr_assert(memcmp(got->data, data[i], size) == 0, "tensor %s", names[i]);
        cr_expect_null(file.copies[got - file.items], "the writer aligns tensors, %s is not", names[i]);
    }
    uc_safetensors_close(&file);
}

Test(safetensors, writer_pads_the_header) {
    static const double one = 1;
    for (int length = 1; length <= 8; length++) {
        uc_safetensors file;
        unclip_error err = { 0 };
        char name[16];
        const char *path = path_in("padded.safetensors");
        snprintf(name, sizeof name, "%.*s", length, "abcdefgh");
        const uc_param item = { .name = name, .dtype = UC_F64, .rank = 1, .dim = { 1 }, .data = &one };
        cr_assert_eq(uc_safetensors_write(path, &item, 1, &err), UNCLIP_OK, "%s", err.message);
        cr_assert_eq(uc_safetensors_open(&file, path, &err), UNCLIP_OK, "%s", err.message);
        cr_expect_null(file.copies[0], "the data begin misaligned behind a name of %d letters", length);
        uc_safetensors_close(&file);
    }
}

Test(safetensors, writer_failures_leave_nothing) {
    static const float one = 1;
    const uc_param two[] = { { .name = "same", .dtype = UC_F32, .rank = 1, .dim = { 1 }, .data = &one },
                             { .name = "same", .dtype = UC_F32, .rank = 1, .dim = { 1 }, .data = &one } };
    unclip_error err = { 0 };
    cr_expect_eq(uc_safetensors_write(path_in("no/such/folder"), two, 1, &err), UNCLIP_ERR_WRITE);
    cr_expect(strstr(err.message, "no/such/folder: cannot be created: No such file or directory"), "%s", err.message);
    cr_expect_eq(uc_safetensors_write(path_in("twice"), two, 2, &err), UNCLIP_ERR_ARGUMENT);
    cr_expect(strstr(err.message, "twice: two tensors are named same"), "%s", err.message);
    make_folder(path_in("taken"));
    cr_expect_eq(uc_safetensors_write(path_in("taken"), two, 1, &err), UNCLIP_ERR_WRITE);
    cr_expect(strstr(err.message, "taken: cannot be written: Is a directory"), "%s", err.message);
    remove(path_in("taken"));
    cr_expect_eq(rmdir(folder()), 0, "a failed write left a file in %s", folder());
}

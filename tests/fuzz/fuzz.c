/* fuzz.c - the targets of targets.h on a good file, on every prefix of some length, and on seeded damage: bits, bytes,
 * pieces moved and repeated. What a fuzzer that watches coverage does for hours is libfuzzer/entry.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core/philox.h"
#include "targets.h"

enum { LARGEST = 1 << 17, ROUNDS = 300 };

static uint8_t good[LARGEST], damaged[2 * LARGEST];
static size_t good_size;

static void read_seed(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/goldens/%s", UC_TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    good_size = fread(good, 1, sizeof good, f);
    fclose(f);
    cr_assert_gt(good_size, 0, "%s", path);
}

/* A number below `limit`, drawn by round and place. */
static size_t drawn(uint32_t round, uint32_t place, size_t limit) {
    float four[4];
    uc_philox_normal4(2024, round, place, 0, four);
    uint32_t bits;
    memcpy(&bits, &four[0], sizeof bits);
    bits = (bits ^ bits >> 13) * 0x9E3779B1u;
    return limit ? (bits >> 4) % limit : 0;
}

static size_t damage(uint32_t round) {
    size_t size = good_size;
    memcpy(damaged, good, size);
    for (uint32_t k = 0; k <= round % 4 && size; k++) {
        const size_t near = round % 3 || size < 400 ? size : 400; /* headers lie at the beginning */
        const size_t at = drawn(round, 4 * k, near), length = drawn(round, 4 * k + 1, 40);
        switch (drawn(round, 4 * k + 2, 5)) {
        case 0: damaged[at] ^= (uint8_t)(1u << drawn(round, 4 * k + 3, 8)); break;
        case 1: damaged[at] = (uint8_t)drawn(round, 4 * k + 3, 256); break;
        case 2: memset(damaged + at, (int)drawn(round, 4 * k + 3, 256), at + length < size ? length : size - at); break;
        case 3: /* a piece twice */
            if (at + length > size || size + length > sizeof damaged) break;
            memmove(damaged + at + length, damaged + at, size - at);
            size += length;
            break;
        default: size = at; break;
        }
    }
    return size;
}

static void run(const char *seed, void (*target)(const uint8_t *data, size_t size)) {
    read_seed(seed);
    target(good, good_size);
    target(good, 0);
    for (size_t size = 1; size < good_size; size += 1 + good_size / 60) target(good, size);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        const size_t size = damage(round);
        uint8_t *exact = malloc(size + !size); /* so that a sanitizer sees a byte too far */
        cr_assert_not_null(exact);
        memcpy(exact, damaged, size);
        target(exact, size);
        free(exact);
    }
}

#define FUZZ_TEST(name, seed) \
    Test(fuzz, name, .timeout = 300) { run(seed, fuzz_##name); }
FUZZ_TARGETS(FUZZ_TEST)

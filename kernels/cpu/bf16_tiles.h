/* bf16_tiles.h - products of f32 numbers on the processor's tiles: each number as the sum of three bf16 ones, high +
 * middle + low, 8 bits each, all 24 bits of it. Of the nine products of two such sums six matter; the other three are
 * below 2^-24 of the whole. Tiles multiply bf16 exactly and sum in f32, sixteen times as fast as vectors multiply f32.
 *
 * Shared by winograd_tiles.c and matmul_tiles.c, which include it after simd.h, compiled for these instructions. */

enum {
    ROWS = 16, CHANNELS = 32, OUTPUTS = 16, /* of a register: rows by channels by outputs */
    PANEL = 2 * OUTPUTS,
    WORDS = ROWS * CHANNELS / 2, /* of one register, 32 bits each */
    HIGH = 0, MIDDLE, LOW, PARTS,
    RUN = 4 /* blocks of CHANNELS that are summed before they are added to the others */
};

/* x's largest part as f32, and what is left of x. */
UC_SIMD vf part_of(vf *x) {
    const vf part = (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(*x)), 16);
    *x -= part;
    return part;
}

/* CHANNELS numbers in two vectors: their parts, PARTS rows of a register, `step` words apart. */
UC_SIMD void split_row(vf low, vf high, uint32_t *to, int64_t step) {
    for (int part = HIGH; part < PARTS; part++, to += step) {
        const __m512i bits = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        (void)part_of(&low), (void)part_of(&high);
        _mm512_storeu_si512(to, bits);
    }
}

/* OUTPUTS weights of an even and the next channel: a row of a register, `parts` of them `step` words apart. */
UC_SIMD void split_pair(vf even, vf odd, uint32_t *to, int64_t step, int parts) {
    for (int part = HIGH; part < parts; part++, to += step) {
        const __m512i low = _mm512_srli_epi32((__m512i)part_of(&even), 16);
        _mm512_storeu_si512(to, _mm512_or_si512(low, (__m512i)part_of(&odd)));
    }
}

/* What the products to come need, brought from afar into the L2 cache between those of now, a few lines at a time: more
 * at once would hold them up. */
typedef struct ahead {
    const uint32_t *next, *end;
    int64_t step; /* words at a time */
} ahead;

UC_SIMD void fetch(ahead *a) {
    enum { LINE = 16 };
    const uint32_t *until = a->next + a->step < a->end ? a->next + a->step : a->end;
    for (; a->next < until; a->next += LINE) __builtin_prefetch(a->next, 0, 2);
}

/* Where the numbers of a product lie: words from one part, from one block of channels, and from the first register to
 * the second. A weight of two parts has no LOW. */
typedef struct operand {
    const uint32_t *at;
    int64_t part, block, second;
    int parts;
} operand;

/* A run of `count` blocks of 32 rows by 32 outputs, smallest products of a block first. to: [2 * ROWS][PANEL]. */
UC_SIMD void multiply(operand x, operand w, int64_t count, float *to, ahead *next, int nexts) {
    __asm__ volatile("" ::: "memory"); /* a register's load says nothing to the compiler of the memory that it reads */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
#define LOAD_ROWS(which)                       \
    _tile_loadd(4, x.at + (which) * x.part, 64); \
    _tile_loadd(5, x.at + (which) * x.part + x.second, 64)
#define LOAD_WEIGHTS(which)                    \
    _tile_loadd(6, w.at + (which) * w.part, 64); \
    _tile_loadd(7, w.at + (which) * w.part + w.second, 64)
#define MULTIPLY                                     \
    for (int n = 0; n < nexts; n++) fetch(&next[n]); \
    _tile_dpbf16ps(0, 4, 6);                         \
    _tile_dpbf16ps(1, 4, 7);                         \
    _tile_dpbf16ps(2, 5, 6);                         \
    _tile_dpbf16ps(3, 5, 7)
    for (int64_t j = 0; j < count; j++, x.at += x.block, w.at += w.block) {
        LOAD_ROWS(LOW);
        LOAD_WEIGHTS(HIGH);
        MULTIPLY;
        LOAD_ROWS(MIDDLE);
        MULTIPLY;
        LOAD_WEIGHTS(MIDDLE);
        MULTIPLY;
        LOAD_ROWS(HIGH);
        MULTIPLY;
        if (w.parts > LOW) {
            LOAD_WEIGHTS(LOW);
            MULTIPLY;
        }
        LOAD_WEIGHTS(HIGH);
        MULTIPLY;
    }
#undef LOAD_ROWS
#undef LOAD_WEIGHTS
#undef MULTIPLY
    _tile_stored(0, to, PANEL * sizeof *to);
    _tile_stored(1, to + OUTPUTS, PANEL * sizeof *to);
    _tile_stored(2, to + ROWS * PANEL, PANEL * sizeof *to);
    _tile_stored(3, to + ROWS * PANEL + OUTPUTS, PANEL * sizeof *to);
    __asm__ volatile("" ::: "memory");
}

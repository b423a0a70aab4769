/* digit_tiles.h - products of f32 numbers on the processor's int8 tiles, in f32's precision.
 *
 * The numbers of a run (a row's, or an output's weights; RUN_MOST blocks of channels at most) are scaled by the largest
 * to whole numbers of 23 bits and a sign, q = 65536 a + 256 b + c with three digits of -128 ... 127. Of the nine
 * products of two such numbers' digits six are taken; the other three are below 2^-22 of the largest product. Tiles
 * multiply and sum digits exactly, in 32 bits, 32 times as fast as vectors multiply f32: products of the same weight
 * share a sum, and three sums make a result, in which no order of summing shows. What is lost of normally distributed
 * numbers is 0.5e-6 of their product's root mean square. After Ozaki's scheme (Ootomo, Ozaki, Yokota, "DGEMM on
 * integer matrix multiplication unit", 2024), with one exponent a run.
 *
 * Numbers that are not finite make a row's results so. Shared by winograd_tiles.c and matmul_tiles.c, which include it
 * after simd.h, compiled for these instructions. */

enum {
    ROWS = 16, CHANNELS = 64, OUTPUTS = 16, /* of a register: rows by channels by outputs */
    PANEL = 2 * OUTPUTS,
    REGISTER = ROWS * CHANNELS,        /* bytes */
    DIGITS = 3,                        /* the highest first */
    W_BLOCK = 2 * DIGITS * REGISTER,   /* of a panel's channels, [digit][half][channel / 4][output][channel % 4] */
    RUN_MOST = 5,                      /* blocks of a run: a panel's run stays in the L1 cache */
    SUMS = ROWS * OUTPUTS, LEVELS = 2 * DIGITS * SUMS /* of a register; of a tile of results */
};

/* The largest whole number with three digits is 127 * 65537 + 32512; a little less, for roundings. */
#define DIGITS_LARGEST 8355000.0f
#define LEAST_LARGEST 1e-30f /* of a run that is not taken for zeros */

/* What whole numbers of a run are multiplied by, from its largest magnitude, and its inverse. */
UC_SIMD vf scale_of(vf largest) { return largest * vf_set(1 / DIGITS_LARGEST); }
UC_SIMD vf inverse_of(vf largest) {
    const __mmask16 some = _mm512_cmp_ps_mask(largest, vf_set(LEAST_LARGEST), _CMP_GT_OQ);
    return _mm512_maskz_div_ps(some, vf_set(DIGITS_LARGEST), largest);
}

/* The larger magnitude, as bits: NaN is larger than all. */
UC_SIMD __m512i larger(__m512i most, vf x) {
    return _mm512_max_epi32(most, _mm512_and_si512((__m512i)x, _mm512_set1_epi32(0x7fffffff)));
}

/* Whole numbers whose bytes 2, 1 and 0 are the digits: carries are made by the sum, and undone in the signs. */
UC_SIMD __m512i digits_of(vf x, vf inverse) {
    const __m512i half = _mm512_set1_epi32(0x00808080);
    return _mm512_xor_si512(_mm512_add_epi32(_mm512_cvtps_epi32(x * inverse), half), half);
}

/* Where bytes come from in the pair of registers a, b (64 and up: b): the lowest and the middle of every number; the
 * highest. */
typedef struct byte_maps {
    __m512i low_middle, high;
} byte_maps;

static inline byte_maps row_maps(void) {
    uint8_t low_middle[64], high[64];
    for (int i = 0; i < 32; i++) {
        low_middle[i] = (uint8_t)(4 * i);
        low_middle[32 + i] = (uint8_t)(4 * i + 1);
        high[i] = high[32 + i] = (uint8_t)(4 * i + 2);
    }
    return (byte_maps){ _mm512_loadu_si512(low_middle), _mm512_loadu_si512(high) };
}

/* Where rows' digits lie: bytes from one digit to the next, and from one block of channels; rows are CHANNELS apart. */
typedef struct row_steps {
    int64_t digit, block;
} row_steps;

/* CHANNELS numbers of a row: its digits' rows. */
UC_SIMD void split_row(const float *from, vf inverse, byte_maps maps, uint8_t *to, int64_t step) {
    __m512i q[4];
    for (int i = 0; i < 4; i++) q[i] = digits_of(vf_load(from + i * VL), inverse);
    const __m512i a = _mm512_permutex2var_epi8(q[0], maps.low_middle, q[1]);
    const __m512i b = _mm512_permutex2var_epi8(q[2], maps.low_middle, q[3]);
    const __m512i c = _mm512_permutex2var_epi8(q[0], maps.high, q[1]);
    const __m512i d = _mm512_permutex2var_epi8(q[2], maps.high, q[3]);
    _mm512_store_si512(to, _mm512_shuffle_i64x2(c, d, 0x44));
    _mm512_store_si512(to + step, _mm512_shuffle_i64x2(a, b, 0xee));
    _mm512_store_si512(to + 2 * step, _mm512_shuffle_i64x2(a, b, 0x44));
}

/* A row's run of `count` blocks: its scale, and its digits. */
UC_SIMD float split_run(const float *from, int64_t count, byte_maps maps, uint8_t *to, row_steps steps) {
    __m512i most = _mm512_setzero_si512();
    for (int64_t i = 0; i < count * CHANNELS; i += VL) most = larger(most, vf_load(from + i));
    const vf largest = (vf)_mm512_set1_epi32(_mm512_reduce_max_epi32(most)), inverse = inverse_of(largest);
    for (int64_t i = 0; i < count; i++)
        split_row(from + i * CHANNELS, inverse, maps, to + i * steps.block, steps.digit);
    return _mm512_cvtss_f32(scale_of(largest));
}

static inline byte_maps weight_maps(void) {
    uint8_t low_middle[64], high[64];
    for (int i = 0; i < 64; i++) {
        const int byte = (i / 4 * 4) | (i & 1) << 6;
        low_middle[i] = (uint8_t)(byte | (i & 2) >> 1);
        high[i] = (uint8_t)(byte | 2);
    }
    return (byte_maps){ _mm512_loadu_si512(low_middle), _mm512_loadu_si512(high) };
}

/* OUTPUTS weights of four channels: a line of each digit's register, which lie two registers apart. */
UC_SIMD void split_weights_of(const vf *four, vf inverse, byte_maps maps, uint8_t *to) {
    __m512i q[4];
    for (int i = 0; i < 4; i++) q[i] = digits_of(four[i], inverse);
    const __m512i a = _mm512_permutex2var_epi8(q[0], maps.low_middle, q[1]); /* low, low, middle, middle */
    const __m512i b = _mm512_permutex2var_epi8(q[2], maps.low_middle, q[3]);
    const __m512i c = _mm512_permutex2var_epi8(q[0], maps.high, q[1]);
    const __m512i d = _mm512_permutex2var_epi8(q[2], maps.high, q[3]);
    const __mmask32 upper = 0xaaaaaaaa;
    _mm512_store_si512(to, _mm512_mask_mov_epi16(c, upper, d));
    _mm512_store_si512(to + 2 * REGISTER, _mm512_mask_mov_epi16(_mm512_srli_epi32(a, 16), upper, b));
    _mm512_store_si512(to + 4 * REGISTER, _mm512_mask_mov_epi16(a, upper, _mm512_slli_epi32(b, 16)));
}

/* What the products to come need, brought from afar into the L2 cache between those of now, a few lines at a time: more
 * at once would hold them up. */
typedef struct ahead {
    const char *next, *end;
    int64_t step; /* bytes at a time */
} ahead;

UC_SIMD void fetch(ahead *a) {
    const char *until = a->next + a->step < a->end ? a->next + a->step : a->end;
    for (; a->next < until; a->next += 64) __builtin_prefetch(a->next, 0, 2);
}

/* Sums of which results are to be made while the next products are under way: ROWS by PANEL, put or added to what is
 * there, rows `stride` floats apart. A row's levels weigh 65536 times 65536, 256 and 1. */
typedef struct pending {
    const int32_t *sums; /* [half][level][row][output] */
    const float *x_scale, *w_scale;
    float *to;
    int64_t stride;
    bool add;
    int row; /* the next */
} pending;

UC_SIMD void put_rows(pending *p, int count) {
    const int end = p->row + count < ROWS ? p->row + count : ROWS;
    for (; p->row < end; p->row++) {
        float *to = p->to + p->row * p->stride;
        __builtin_prefetch(to + 2 * ROWS * p->stride, 1, 2);
        __builtin_prefetch(to + 2 * ROWS * p->stride + OUTPUTS, 1, 2);
        for (int half = 0; half < 2; half++) {
            const int32_t *at = p->sums + half * DIGITS * SUMS + p->row * OUTPUTS;
            const vf high = _mm512_cvtepi32_ps(_mm512_load_si512(at));
            const vf middle = _mm512_cvtepi32_ps(_mm512_load_si512(at + SUMS));
            const vf low = _mm512_cvtepi32_ps(_mm512_load_si512(at + 2 * SUMS));
            const vf whole = vf_fma(high, vf_set(65536), vf_fma(middle, vf_set(256), low));
            const vf scale = vf_load(p->w_scale + half * OUTPUTS) * vf_set(65536 * p->x_scale[p->row]);
            float *y = to + half * OUTPUTS;
            vf_store(y, p->add ? vf_fma(whole, scale, vf_load(y)) : whole * scale);
        }
    }
}

/* The exact sums of a run of `count` blocks, ROWS by PANEL, [half][level][row][output]: those of both highest digits,
 * of a highest and a middle one, and of the rest; of the first half in registers 0 to 2, of the other in 3 to 5. The
 * order is one in which no sum is added to again before it is there, few registers are loaded twice, and sums are
 * stored as they come. Meanwhile the results before are put. */
UC_SIMD void multiply(const uint8_t *x, row_steps steps, const uint8_t *w, int64_t count, int32_t *sums,
                      pending *before, ahead *next, int nexts) {
    const int put = (int)(ROWS / (3 * count) + 1);
    __asm__ volatile("" ::: "memory"); /* a register's load says nothing to the compiler of the memory that it reads */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
#define ROW(which) _tile_loadd(6, x + (which) * steps.digit, CHANNELS)
#define WEIGHT(digit, half) _tile_loadd(7, w + (2 * (digit) + (half)) * REGISTER, CHANNELS)
#define SUM(sum) _tile_dpbssd(sum, 6, 7)
#define MEANWHILE                                    \
    for (int n = 0; n < nexts; n++) fetch(&next[n]); \
    put_rows(before, put)
    for (int64_t i = 0; i < count; i++, x += steps.block, w += W_BLOCK) {
        ROW(2);
        WEIGHT(0, 0); SUM(2);
        WEIGHT(0, 1); SUM(5);
        MEANWHILE;
        ROW(1);
        SUM(4);
        WEIGHT(0, 0); SUM(1);
        WEIGHT(1, 0); SUM(2);
        WEIGHT(1, 1); SUM(5);
        MEANWHILE;
        ROW(0);
        SUM(4);
        WEIGHT(1, 0); SUM(1);
        WEIGHT(2, 0); SUM(2);
        WEIGHT(2, 1); SUM(5);
        WEIGHT(0, 0); SUM(0);
        WEIGHT(0, 1); SUM(3);
        MEANWHILE;
    }
#undef ROW
#undef WEIGHT
#undef SUM
#undef MEANWHILE
#define STORE(sum) _tile_stored(sum, sums + (sum) * SUMS, OUTPUTS * sizeof *sums)
    STORE(4);
    STORE(1);
    STORE(2);
    STORE(5);
    STORE(0);
    STORE(3);
#undef STORE
    __asm__ volatile("" ::: "memory");
}

/* winograd_transforms.h - the three transforms of Winograd's F(4 x 4, 3 x 3) and F(6 x 6, 3 x 3), which both ways of
 * multiplying between them share (winograd.c: products in f32; winograd_tiles.c: by the processor's int8 tiles). See
 * winograd.c for the method. `tile`, 4 or 6, is a constant where they are inlined. Included once per instruction set,
 * after simd.h. */

#ifndef UC_WINOGRAD_PICTURE
#define UC_WINOGRAD_PICTURE
/* A tile of so many outputs along each side is made from a patch of inputs, at as many places of the transforms. */
#define WINOGRAD_PATCH(tile) ((tile) + 2)
#define WINOGRAD_PLACES(tile) (WINOGRAD_PATCH(tile) * WINOGRAD_PATCH(tile))
enum { WINOGRAD_MOST = 6, WINOGRAD_MOST_PLACES = WINOGRAD_PLACES(WINOGRAD_MOST) };

/* Pictures cut into tiles. */
typedef struct winograd_picture {
    const uc_launch *l;
    int tile;
    int64_t batch, c, h, w, o;
    int64_t across, down, tiles; /* tiles of a row, of a column, of all images */
    uc_dtype type;               /* of the pictures: f32 or bf16 */
    const float *zeros;          /* [c] */
} winograd_picture;

static inline winograd_picture winograd_picture_of(const uc_launch *l, int tile) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim;
    winograd_picture p = { .l = l,
                           .tile = tile,
                           .batch = x[0],
                           .c = x[1],
                           .h = x[2],
                           .w = x[3],
                           .o = l->out[0].shape.dim[1],
                           .type = l->out[0].dtype };
    p.across = uc_ceil_div(p.w, tile);
    p.down = uc_ceil_div(p.h, tile);
    p.tiles = p.batch * p.across * p.down;
    return p;
}
#endif

/* Two rows of a transform: a pair of points that differ in sign gives the same even part and opposite odd ones. */
UC_SIMD void UC_ISA(both_signs)(vf even, vf odd, const int step, vf *out) {
    out[0] = even + odd;
    out[step] = even - odd;
}

/* ---- F(4 x 4): the points 0, +-a, +-b and infinity -------------------------------------------------------------- */

#define W_A 0.625f
#define W_B 1.5f
#define W_AA 0.390625f
#define W_BB 2.25f

UC_SIMD void UC_ISA(from_six_inputs)(const vf *d, const int step, vf *out) {
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const vf both = vf_set(W_AA * W_BB), sum = vf_set(-W_AA - W_BB);
    const vf even_a = vf_fma(vf_set(-W_BB), d2, d4), odd_a = vf_set(W_A) * vf_fma(vf_set(-W_BB), d1, d3);
    const vf even_b = vf_fma(vf_set(-W_AA), d2, d4), odd_b = vf_set(W_B) * vf_fma(vf_set(-W_AA), d1, d3);
    out[0] = vf_fma(both, d0, vf_fma(sum, d2, d4));
    UC_ISA(both_signs)(even_a, odd_a, step, out + step);
    UC_ISA(both_signs)(even_b, odd_b, step, out + 3 * step);
    out[5 * step] = vf_fma(both, d1, vf_fma(sum, d3, d5));
}

UC_SIMD void UC_ISA(taps_to_six)(vf g0, vf g1, vf g2, const int step, vf *out) {
    const float na = 1 / (2 * W_AA * (W_AA - W_BB)), nb = 1 / (2 * W_BB * (W_BB - W_AA));
    const vf even_a = vf_fma(vf_set(na), g0, vf_set(na * W_AA) * g2), odd_a = vf_set(na * W_A) * g1;
    const vf even_b = vf_fma(vf_set(nb), g0, vf_set(nb * W_BB) * g2), odd_b = vf_set(nb * W_B) * g1;
    out[0] = vf_set(1 / (W_AA * W_BB)) * g0;
    UC_ISA(both_signs)(even_a, odd_a, step, out + step);
    UC_ISA(both_signs)(even_b, odd_b, step, out + 3 * step);
    out[5 * step] = g2;
}

UC_SIMD void UC_ISA(to_four_outputs)(const vf *m, const int step, vf *out) {
    const vf sum_a = m[step] + m[2 * step], off_a = m[step] - m[2 * step];
    const vf sum_b = m[3 * step] + m[4 * step], off_b = m[3 * step] - m[4 * step];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = vf_fma(vf_set(W_A), off_a, vf_set(W_B) * off_b);
    out[2 * step] = vf_fma(vf_set(W_AA), sum_a, vf_set(W_BB) * sum_b);
    out[3 * step] = vf_fma(vf_set(W_A * W_AA), off_a, vf_fma(vf_set(W_B * W_BB), off_b, m[5 * step]));
}

#undef W_A
#undef W_B
#undef W_AA
#undef W_BB

/* ---- F(6 x 6): the points 0, +-1/2, +-1, +-2 and infinity ------------------------------------------------------- */

UC_SIMD void UC_ISA(from_eight_inputs)(const vf *d, const int step, vf *out) {
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const vf d6 = d[6 * step], d7 = d[7 * step];
    const vf even_half = vf_fma(vf_set(4), d2, vf_fma(vf_set(-5), d4, d6));
    const vf odd_half = vf_set(0.5f) * vf_fma(vf_set(4), d1, vf_fma(vf_set(-5), d3, d5));
    const vf even_one = d2 + vf_fma(vf_set(-4.25f), d4, d6), odd_one = d1 + vf_fma(vf_set(-4.25f), d3, d5);
    const vf even_two = vf_fma(vf_set(0.25f), d2, vf_fma(vf_set(-1.25f), d4, d6));
    const vf odd_two = vf_set(2) * vf_fma(vf_set(0.25f), d1, vf_fma(vf_set(-1.25f), d3, d5));
    out[0] = vf_fma(vf_set(5.25f), d2 - d4, d6 - d0);
    UC_ISA(both_signs)(even_half, odd_half, step, out + step);
    UC_ISA(both_signs)(even_one, odd_one, step, out + 3 * step);
    UC_ISA(both_signs)(even_two, odd_two, step, out + 5 * step);
    out[7 * step] = vf_fma(vf_set(5.25f), d3 - d5, d7 - d1);
}

UC_SIMD void UC_ISA(taps_to_eight)(vf g0, vf g1, vf g2, const int step, vf *out) {
    const vf even_half = vf_fma(vf_set(32 / 45.f), g0, vf_set(8 / 45.f) * g2), odd_half = vf_set(16 / 45.f) * g1;
    const vf even_one = vf_set(-2 / 9.f) * (g0 + g2), odd_one = vf_set(-2 / 9.f) * g1;
    const vf even_two = vf_fma(vf_set(1 / 90.f), g0, vf_set(2 / 45.f) * g2), odd_two = vf_set(1 / 45.f) * g1;
    out[0] = -g0;
    UC_ISA(both_signs)(even_half, odd_half, step, out + step);
    UC_ISA(both_signs)(even_one, odd_one, step, out + 3 * step);
    UC_ISA(both_signs)(even_two, odd_two, step, out + 5 * step);
    out[7 * step] = g2;
}

UC_SIMD void UC_ISA(to_six_outputs)(const vf *m, const int step, vf *out) {
    const vf sum_half = m[step] + m[2 * step], off_half = m[step] - m[2 * step];
    const vf sum_one = m[3 * step] + m[4 * step], off_one = m[3 * step] - m[4 * step];
    const vf sum_two = m[5 * step] + m[6 * step], off_two = m[5 * step] - m[6 * step];
    out[0] = m[0] + sum_half + (sum_one + sum_two);
    out[step] = vf_fma(vf_set(0.5f), off_half, vf_fma(vf_set(2), off_two, off_one));
    out[2 * step] = vf_fma(vf_set(0.25f), sum_half, vf_fma(vf_set(4), sum_two, sum_one));
    out[3 * step] = vf_fma(vf_set(0.125f), off_half, vf_fma(vf_set(8), off_two, off_one));
    out[4 * step] = vf_fma(vf_set(0.0625f), sum_half, vf_fma(vf_set(16), sum_two, sum_one));
    out[5 * step] = vf_fma(vf_set(0.03125f), off_half, vf_fma(vf_set(32), off_two, off_one)) + m[7 * step];
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* B^T d: the inputs of a row or column, `step` apart, to as many places. */
UC_SIMD void UC_ISA(from_inputs)(const int tile, const vf *d, const int step, vf *out) {
    if (tile == 4) UC_ISA(from_six_inputs)(d, step, out);
    else UC_ISA(from_eight_inputs)(d, step, out);
}

/* G g: three taps to as many places. */
UC_SIMD void UC_ISA(from_taps)(const int tile, vf g0, vf g1, vf g2, const int step, vf *out) {
    if (tile == 4) UC_ISA(taps_to_six)(g0, g1, g2, step, out);
    else UC_ISA(taps_to_eight)(g0, g1, g2, step, out);
}

/* A^T m: the sums at the places, `step` apart, to the outputs. */
UC_SIMD void UC_ISA(to_outputs)(const int tile, const vf *m, const int step, vf *out) {
    if (tile == 4) UC_ISA(to_four_outputs)(m, step, out);
    else UC_ISA(to_six_outputs)(m, step, out);
}

/* VL channels, or the `left` of them, of a patch: B^T d B, place by place. Meanwhile what the tile to the right adds is
 * brought near, `pixel` numbers being from one pixel to the next. */
UC_SIMD void UC_ISA(inputs_of)(const int tile, const char *const *at, const uc_dtype type, int64_t pixel, int64_t c,
                               int64_t left, vf *d) {
    const int patch = WINOGRAD_PATCH(tile), places = WINOGRAD_PLACES(tile);
    const int64_t size = float_bytes(type);
    for (int k = 0; k < places; k++)
        if (k % patch >= patch - tile) __builtin_prefetch(at[k] + (tile * pixel + c) * size, 0, 2);
    for (int k = 0; k < places; k++) d[k] = vf_load_part_as(at[k] + c * size, type, left);
    for (int x = 0; x < patch; x++) UC_ISA(from_inputs)(tile, d + x, patch, d + x);
    for (int y = 0; y < patch; y++) UC_ISA(from_inputs)(tile, d + patch * y, 1, d + patch * y);
}

/* The nine taps of VL weights: G g G^T. */
UC_SIMD void UC_ISA(places_of)(const int tile, const vf tap[9], vf *full) {
    const int patch = WINOGRAD_PATCH(tile);
    vf half[3 * WINOGRAD_PATCH(WINOGRAD_MOST)];
    for (int x = 0; x < 3; x++) UC_ISA(from_taps)(tile, tap[x], tap[3 + x], tap[6 + x], 3, half + x);
    for (int y = 0; y < patch; y++)
        UC_ISA(from_taps)(tile, half[3 * y], half[3 * y + 1], half[3 * y + 2], 1, full + patch * y);
}

/* Where the inputs of tile `i` lie; zeros beyond the picture. */
UC_SIMD void UC_ISA(patch_of)(const winograd_picture *p, const int tile, int64_t i, const char **at) {
    const int patch = WINOGRAD_PATCH(tile);
    const int64_t n = i / (p->across * p->down), y0 = i / p->across % p->down * tile - 1;
    const int64_t x0 = i % p->across * tile - 1;
    const int64_t pixel = p->c * (int64_t)uc_dtype_size(p->type);
    const char *image = (const char *)p->l->in[UC_CONV_X].data + n * p->h * p->w * pixel;
    for (int y = 0; y < patch; y++) {
        const bool inside = y0 + y >= 0 && y0 + y < p->h;
        for (int x = 0; x < patch; x++) {
            const bool here = inside && x0 + x >= 0 && x0 + x < p->w;
            at[patch * y + x] = here ? image + ((y0 + y) * p->w + x0 + x) * pixel : (const char *)p->zeros;
        }
    }
}

/* The results of one tile: VL channels, `left` of them; at is the tile's first element. Meanwhile the places of those
 * of the tile to the right are brought near. */
UC_SIMD void UC_ISA(put_tile)(const winograd_picture *p, const int tile, const uc_dtype type, const vf *y, int64_t at,
                              int64_t height, int64_t width, int64_t left) {
    const int64_t size = float_bytes(type), next = tile * p->o * size;
    const char *residual = p->l->in[UC_CONV_RESIDUAL].data;
    char *out = p->l->out[0].data;
    for (int64_t r = 0; r < height; r++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t to = (at + (r * p->w + x) * p->o) * size;
            vf value = y[r * tile + x];
            __builtin_prefetch(out + to + next, 1, 2);
            if (residual) __builtin_prefetch(residual + to + next, 0, 2);
            if (residual) value += vf_load_part_as(residual + to, type, left);
            vf_store_part_as(out + to, type, value, left);
        }
}

/* VL channels of tile `i`, from `channel` on, `end` being the last's successor: A^T m A and bias, from sums that lie
 * `place` floats apart, into the picture. */
UC_SIMD void UC_ISA(outputs_to)(const winograd_picture *p, const int tile, const uc_dtype type, int64_t i,
                                const float *m, int64_t place, const float *bias, int64_t channel, int64_t end) {
    const int patch = WINOGRAD_PATCH(tile), places = WINOGRAD_PLACES(tile);
    const int64_t n = i / (p->across * p->down), y0 = i / p->across % p->down * tile;
    const int64_t x0 = i % p->across * tile;
    const int64_t height = uc_min64(tile, p->h - y0), width = uc_min64(tile, p->w - x0);
    const vf shift = vf_load(bias + channel);
    vf sums[WINOGRAD_MOST_PLACES], half[WINOGRAD_MOST * WINOGRAD_PATCH(WINOGRAD_MOST)];
    vf y[WINOGRAD_MOST * WINOGRAD_MOST];
    for (int k = 0; k < places; k++) sums[k] = vf_load(m + k * place);
    for (int x = 0; x < patch; x++) UC_ISA(to_outputs)(tile, sums + x, patch, half + x);
    for (int r = 0; r < tile; r++) UC_ISA(to_outputs)(tile, half + patch * r, 1, y + tile * r);
    for (int k = 0; k < tile * tile; k++) y[k] += shift;
    UC_ISA(put_tile)(p, tile, type, y, ((n * p->h + y0) * p->w + x0) * p->o + channel, height, width, end - channel);
}

/* winograd_transforms.h - the three transforms of Winograd's F(4 x 4, 3 x 3), which both ways of multiplying between
 * them share (winograd.c: products in f32; winograd_tiles.c: by the processor's int8 tiles). See winograd.c for the
 * method. Included once per instruction set, after simd.h. */

#ifndef UC_WINOGRAD_PICTURE
#define UC_WINOGRAD_PICTURE
enum {
    TILE = 4,         /* outputs of a tile, along each side */
    PATCH = TILE + 2, /* its inputs */
    PLACES = PATCH * PATCH
};

/* Pictures cut into tiles. */
typedef struct winograd_picture {
    const uc_launch *l;
    int64_t batch, c, h, w, o;
    int64_t across, down, tiles; /* tiles of a row, of a column, of all images */
    uc_dtype type;               /* of the pictures: f32 or bf16 */
    const float *zeros;          /* [c] */
} winograd_picture;

static inline winograd_picture winograd_picture_of(const uc_launch *l) {
    const int64_t *x = l->in[UC_CONV_X].shape.dim;
    winograd_picture p = { .l = l, .batch = x[0], .c = x[1], .h = x[2], .w = x[3], .o = l->out[0].shape.dim[1],
                           .type = l->out[0].dtype };
    p.across = uc_ceil_div(p.w, TILE);
    p.down = uc_ceil_div(p.h, TILE);
    p.tiles = p.batch * p.across * p.down;
    return p;
}
#endif

/* The points 5/8 and 3/2: S and R their squares. */
#define W_A 0.625f
#define W_B 1.5f
#define W_S 0.390625f
#define W_R 2.25f

/* B^T d: six inputs, `step` apart, to six. */
UC_SIMD void UC_ISA(from_inputs)(const vf *d, const int step, vf *out) {
    const vf d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step], d5 = d[5 * step];
    const vf both = vf_set(W_S * W_R), sum = vf_set(W_S + W_R);
    const vf even_a = d4 - vf_set(W_R) * d2, odd_a = vf_set(W_A) * (d3 - vf_set(W_R) * d1);
    const vf even_b = d4 - vf_set(W_S) * d2, odd_b = vf_set(W_B) * (d3 - vf_set(W_S) * d1);
    out[0] = vf_fma(both, d0, d4 - sum * d2);
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = vf_fma(both, d1, d5 - sum * d3);
}

/* G g: three taps to six. */
UC_SIMD void UC_ISA(from_taps)(vf g0, vf g1, vf g2, const int step, vf *out) {
    const float na = 1 / (2 * W_S * (W_S - W_R)), nb = 1 / (2 * W_R * (W_R - W_S));
    const vf even_a = vf_set(na) * g0 + vf_set(na * W_S) * g2, odd_a = vf_set(na * W_A) * g1;
    const vf even_b = vf_set(nb) * g0 + vf_set(nb * W_R) * g2, odd_b = vf_set(nb * W_B) * g1;
    out[0] = vf_set(1 / (W_S * W_R)) * g0;
    out[step] = even_a + odd_a;
    out[2 * step] = even_a - odd_a;
    out[3 * step] = even_b + odd_b;
    out[4 * step] = even_b - odd_b;
    out[5 * step] = g2;
}

/* A^T m: six sums, `step` apart, to four outputs. */
UC_SIMD void UC_ISA(to_outputs)(const vf *m, const int step, vf *out) {
    const vf sum_a = m[step] + m[2 * step], off_a = m[step] - m[2 * step];
    const vf sum_b = m[3 * step] + m[4 * step], off_b = m[3 * step] - m[4 * step];
    out[0] = m[0] + sum_a + sum_b;
    out[step] = vf_set(W_A) * off_a + vf_set(W_B) * off_b;
    out[2 * step] = vf_set(W_S) * sum_a + vf_set(W_R) * sum_b;
    out[3 * step] = vf_set(W_A * W_S) * off_a + vf_set(W_B * W_R) * off_b + m[5 * step];
}

/* VL channels, or the `left` of them, of a patch: B^T d B, place by place. Meanwhile what the tile to the right adds is
 * brought near, `pixel` numbers being from one pixel to the next. */
UC_SIMD void UC_ISA(inputs_of)(const char *const at[PLACES], const uc_dtype type, int64_t pixel, int64_t c,
                               int64_t left, vf d[PLACES]) {
    const int64_t size = float_bytes(type);
    for (int k = 0; k < PLACES; k++)
        if (k % PATCH >= PATCH - TILE) __builtin_prefetch(at[k] + (TILE * pixel + c) * size, 0, 2);
    for (int k = 0; k < PLACES; k++) d[k] = vf_load_part_as(at[k] + c * size, type, left);
    for (int x = 0; x < PATCH; x++) UC_ISA(from_inputs)(d + x, PATCH, d + x);
    for (int y = 0; y < PATCH; y++) UC_ISA(from_inputs)(d + PATCH * y, 1, d + PATCH * y);
}

/* The nine taps of VL weights: G g G^T. */
UC_SIMD void UC_ISA(places_of)(const vf tap[9], vf full[PLACES]) {
    vf half[3 * PATCH];
    for (int x = 0; x < 3; x++) UC_ISA(from_taps)(tap[x], tap[3 + x], tap[6 + x], 3, half + x);
    for (int y = 0; y < PATCH; y++)
        UC_ISA(from_taps)(half[3 * y], half[3 * y + 1], half[3 * y + 2], 1, full + PATCH * y);
}

/* Where the 36 inputs of a tile lie; zeros beyond the picture. */
static inline void UC_ISA(patch_of)(const winograd_picture *p, int64_t tile, const char *at[PLACES]) {
    const int64_t n = tile / (p->across * p->down), y0 = tile / p->across % p->down * TILE - 1;
    const int64_t x0 = tile % p->across * TILE - 1;
    const int64_t pixel = p->c * (int64_t)uc_dtype_size(p->type);
    const char *image = (const char *)p->l->in[UC_CONV_X].data + n * p->h * p->w * pixel;
    for (int k = 0; k < PLACES; k++) {
        const int64_t y = y0 + k / PATCH, x = x0 + k % PATCH;
        const bool inside = y >= 0 && y < p->h && x >= 0 && x < p->w;
        at[k] = inside ? image + (y * p->w + x) * pixel : (const char *)p->zeros;
    }
}

/* The results of one tile: VL channels, `left` of them; at is the tile's first element. Meanwhile the places of those
 * of the tile to the right are brought near. */
UC_SIMD void UC_ISA(put_tile)(const winograd_picture *p, const uc_dtype type, const vf *y, int64_t at, int64_t height,
                              int64_t width, int64_t left) {
    const int64_t size = float_bytes(type), next = TILE * p->o * size;
    const char *residual = p->l->in[UC_CONV_RESIDUAL].data;
    char *out = p->l->out[0].data;
    for (int64_t r = 0; r < height; r++)
        for (int64_t x = 0; x < width; x++) {
            const int64_t to = (at + (r * p->w + x) * p->o) * size;
            vf value = y[r * TILE + x];
            __builtin_prefetch(out + to + next, 1, 2);
            if (residual) __builtin_prefetch(residual + to + next, 0, 2);
            if (residual) value += vf_load_part_as(residual + to, type, left);
            vf_store_part_as(out + to, type, value, left);
        }
}

/* VL channels of a tile, from `channel` on, `end` being the last's successor: A^T m A and bias, from sums that lie
 * `place` floats apart, into the picture. */
UC_SIMD void UC_ISA(outputs_to)(const winograd_picture *p, const uc_dtype type, int64_t tile, const float *m,
                                int64_t place, const float *bias, int64_t channel, int64_t end) {
    const int64_t n = tile / (p->across * p->down), y0 = tile / p->across % p->down * TILE;
    const int64_t x0 = tile % p->across * TILE;
    const int64_t height = uc_min64(TILE, p->h - y0), width = uc_min64(TILE, p->w - x0);
    const vf shift = vf_load(bias + channel);
    vf sums[PLACES], half[TILE * PATCH], y[TILE * TILE];
    for (int k = 0; k < PLACES; k++) sums[k] = vf_load(m + k * place);
    for (int x = 0; x < PATCH; x++) UC_ISA(to_outputs)(sums + x, PATCH, half + x);
    for (int r = 0; r < TILE; r++) UC_ISA(to_outputs)(half + PATCH * r, 1, y + TILE * r);
    for (int i = 0; i < TILE * TILE; i++) y[i] += shift;
    UC_ISA(put_tile)(p, type, y, ((n * p->h + y0) * p->w + x0) * p->o + channel, height, width, end - channel);
}

#undef W_A
#undef W_B
#undef W_S
#undef W_R

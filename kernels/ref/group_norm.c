/* group_norm.c - the meaning of group normalisation (torch.nn.GroupNorm) with what surrounds it in a residual block:
 * before it the addition of a time embedding, behind it scale and shift by one, and SiLU. Decoder and upsamplers.
 *
 *   y = x + add[n,c];  y = (y - mean) / sqrt(variance + eps) * weight[c] + bias[c];
 *   y = y * (1 + scale[n,c]) + shift[n,c];  out = act(y)
 *
 * over each image's group of neighbouring channels. A row of add or scale_shift serves all images when there is one. */
#include "ref.h"

#include <math.h>

/* Offset of channel c, pixel or token p of image n. */
static int64_t at(const uc_view *v, int64_t n, int64_t c, int64_t p) {
    const int64_t *d = v->shape.dim;
    if (v->shape.rank == 4) return uc_at4(v, n, c, p / d[3], p % d[3]);
    return v->shape.rank == 3 ? (n * d[1] + p) * d[2] + c : n * d[1] + c;
}

/* Element j of the row that belongs to image n. */
static double row_value(const uc_view *rows, int64_t n, int64_t j) {
    return uc_ref_load(rows, (rows->shape.dim[0] == 1 ? 0 : n) * rows->shape.dim[1] + j);
}

static double input(const uc_launch *launch, int64_t n, int64_t c, int64_t p) {
    const uc_view *x = &launch->in[UC_GN_X], *add = &launch->in[UC_GN_ADD];
    return uc_ref_load(x, at(x, n, c, p)) + (uc_ref_given(add) ? row_value(add, n, c) : 0);
}

typedef struct moments {
    double mean, rstd;
} moments;

static moments group_moments(const uc_launch *launch, int64_t n, int64_t first, int64_t width, int64_t pixels) {
    double sum = 0, squares = 0;
    for (int64_t c = first; c < first + width; c++)
        for (int64_t p = 0; p < pixels; p++) sum += input(launch, n, c, p);
    const double mean = sum / (double)(width * pixels);
    for (int64_t c = first; c < first + width; c++)
        for (int64_t p = 0; p < pixels; p++) {
            const double distance = input(launch, n, c, p) - mean;
            squares += distance * distance;
        }
    const double variance = squares / (double)(width * pixels);
    return (moments){ mean, 1 / sqrt(variance + (double)launch->attrs.group_norm.eps) };
}

void uc_ref_group_norm(const uc_launch *launch) {
    const uc_view *weight = &launch->in[UC_GN_WEIGHT], *bias = &launch->in[UC_GN_BIAS];
    const uc_view *scale_shift = &launch->in[UC_GN_SCALE_SHIFT], *out = &launch->out[0];
    const uc_shape s = out->shape;
    const int64_t channels = s.rank == 3 ? s.dim[2] : s.dim[1];
    const int64_t pixels = s.rank == 4 ? s.dim[2] * s.dim[3] : s.rank == 3 ? s.dim[1] : 1;
    const int64_t width = channels / launch->attrs.group_norm.groups;
    for (int64_t n = 0; n < s.dim[0]; n++)
        for (int64_t first = 0; first < channels; first += width) {
            const moments m = group_moments(launch, n, first, width, pixels);
            for (int64_t c = first; c < first + width; c++)
                for (int64_t p = 0; p < pixels; p++) {
                    double y = (input(launch, n, c, p) - m.mean) * m.rstd;
                    y = y * uc_ref_load(weight, c) + uc_ref_load(bias, c);
                    if (uc_ref_given(scale_shift))
                        y = y * (1 + row_value(scale_shift, n, c)) + row_value(scale_shift, n, channels + c);
                    uc_ref_store(out, at(out, n, c, p), uc_ref_act(launch->attrs.group_norm.act, y));
                }
        }
}

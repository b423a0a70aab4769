/* conv2d.c - the meaning of 2-D convolution (cross-correlation, as torch.nn.Conv2d): the bulk of the decoder and the
 * upsamplers, and the patch embedding of the CLIP image encoder.
 *
 *   out[n,o,y,x] = bias[o] + residual[n,o,y,x]
 *                + sum over c, i, j of in[n, c, y stride + i - pad, x stride + j - pad] * weight[o,c,i,j] */
#include "ref.h"

typedef struct conv_site {
    int64_t n, o, y, x;
} conv_site;

static double convolve(const uc_view *in, const uc_view *weight, uc_conv2d_attrs attrs, conv_site at) {
    const int64_t channels = in->shape.dim[1], height = in->shape.dim[2], width = in->shape.dim[3];
    const int64_t kernel_h = weight->shape.dim[2], kernel_w = weight->shape.dim[3];
    double sum = 0;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < kernel_h; i++) {
            const int64_t y = at.y * attrs.stride + i - attrs.pad;
            if (y < 0 || y >= height) continue;
            for (int64_t j = 0; j < kernel_w; j++) {
                const int64_t x = at.x * attrs.stride + j - attrs.pad;
                if (x < 0 || x >= width) continue;
                sum += uc_ref_load(in, uc_at4(in, at.n, c, y, x)) * uc_ref_load(weight, uc_at4(weight, at.o, c, i, j));
            }
        }
    return sum;
}

void uc_ref_conv2d(const uc_launch *launch) {
    const uc_view *in = &launch->in[UC_CONV_X], *weight = &launch->in[UC_CONV_WEIGHT];
    const uc_view *bias = &launch->in[UC_CONV_BIAS], *residual = &launch->in[UC_CONV_RESIDUAL], *out = &launch->out[0];
    const int64_t *d = out->shape.dim;
    for (int64_t n = 0; n < d[0]; n++)
        for (int64_t o = 0; o < d[1]; o++)
            for (int64_t y = 0; y < d[2]; y++)
                for (int64_t x = 0; x < d[3]; x++) {
                    double value = convolve(in, weight, launch->attrs.conv2d, (conv_site){ n, o, y, x });
                    if (uc_ref_given(bias)) value += uc_ref_load(bias, o);
                    if (uc_ref_given(residual)) value += uc_ref_load(residual, uc_at4(residual, n, o, y, x));
                    uc_ref_store(out, uc_at4(out, n, o, y, x), value);
                }
}

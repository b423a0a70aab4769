/* layer_norm.c - the meaning of layer normalisation over the last dimension (torch.nn.LayerNorm): CLIP, the prior and
 * the text projection. out = (x - mean) / sqrt(variance + eps) * weight + bias, weight and bias optional. */
#include "ref.h"

#include <math.h>

void uc_ref_layer_norm(const uc_launch *launch) {
    const uc_view *x = &launch->in[UC_LN_X], *weight = &launch->in[UC_LN_WEIGHT], *bias = &launch->in[UC_LN_BIAS];
    const uc_view *out = &launch->out[0];
    const int64_t channels = x->shape.dim[x->shape.rank - 1];
    const int64_t rows = channels > 0 ? uc_shape_count(x->shape) / channels : 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, squares = 0;
        for (int64_t c = 0; c < channels; c++) sum += uc_ref_load(x, r * channels + c);
        const double mean = sum / (double)channels;
        for (int64_t c = 0; c < channels; c++) {
            const double distance = uc_ref_load(x, r * channels + c) - mean;
            squares += distance * distance;
        }
        const double rstd = 1 / sqrt(squares / (double)channels + (double)launch->attrs.layer_norm.eps);
        for (int64_t c = 0; c < channels; c++) {
            double y = (uc_ref_load(x, r * channels + c) - mean) * rstd;
            if (uc_ref_given(weight)) y *= uc_ref_load(weight, c);
            if (uc_ref_given(bias)) y += uc_ref_load(bias, c);
            uc_ref_store(out, r * channels + c, y);
        }
    }
}

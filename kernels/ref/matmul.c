/* matmul.c - the meaning of a linear layer (torch.nn.Linear) with its activation and residual: nearly all of CLIP and
 * the prior, and the projections of the decoder.
 *
 *   out[r,o] = act(bias[o] + sum over i of x[r,i] * weight[o,i]) + residual[r,o] */
#include "ref.h"

void uc_ref_matmul(const uc_launch *launch) {
    const uc_view *x = &launch->in[UC_MATMUL_X], *weight = &launch->in[UC_MATMUL_WEIGHT];
    const uc_view *bias = &launch->in[UC_MATMUL_BIAS], *residual = &launch->in[UC_MATMUL_RESIDUAL];
    const uc_view *out = &launch->out[0];
    const int64_t features = weight->shape.dim[0], inner = weight->shape.dim[1];
    const int64_t rows = features > 0 ? uc_shape_count(out->shape) / features : 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < features; o++) {
            double value = uc_ref_given(bias) ? uc_ref_load(bias, o) : 0;
            for (int64_t i = 0; i < inner; i++)
                value += uc_ref_load(x, r * inner + i) * uc_ref_load(weight, o * inner + i);
            value = uc_ref_act(launch->attrs.matmul.act, value);
            if (uc_ref_given(residual)) value += uc_ref_load(residual, r * features + o);
            uc_ref_store(out, r * features + o, value);
        }
}

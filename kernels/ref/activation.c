/* activation.c - the meaning of the pointwise activations, alone and at the end of other operations; in every network
 * of the flow. */
#include "ref.h"

#include <math.h>

double uc_ref_act(uc_act act, double x) {
    switch (act) {
    case UC_SILU: return x / (1 + exp(-x));
    case UC_GELU: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case UC_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case UC_ACT_NONE: break;
    }
    return x;
}

void uc_ref_activation(const uc_launch *launch) {
    const uc_view *x = &launch->in[0], *out = &launch->out[0];
    const int64_t count = uc_shape_count(out->shape);
    for (int64_t i = 0; i < count; i++)
        uc_ref_write(out, i, uc_ref_act(launch->attrs.activation.act, uc_ref_read(x, i)));
}

/* ops.c - what is known of every operation without running it: its description, how exact it must be, and how much
 * arithmetic it is. Serves all arrows of the flow. */
#include "ops.h"

const uc_op_info *uc_op_info_of(uc_op_kind kind) {
    static const uc_op_info table[UC_OP_COUNT] = {
        [UC_OP_NONE] = { "none", "", "no operation", 0, 0 },
#define UC_OP(name, inputs, atol, rtol, what) [UC_OP_##name] = { #name, inputs, what, atol, rtol },
#include "ops.def"
#undef UC_OP
    };
    return &table[kind > UC_OP_NONE && kind < UC_OP_COUNT ? kind : UC_OP_NONE];
}

void uc_tolerance(uc_op_kind kind, uc_dtype type, double *atol, double *rtol) {
    const uc_op_info *info = uc_op_info_of(kind);
    /* Unit roundoff of the type: half the distance between neighbours, as a part of the value. */
    const double roundoff = type == UC_F16 ? 0x1p-11 : type == UC_BF16 ? 0x1p-8 : 0;
    *atol = info->atol;
    *rtol = info->rtol;
    /* One rounding of the result, and one of something inside; what only moves data stays exact. Two results on either
     * side of a rounding boundary are a whole distance between neighbours, two roundoffs, apart. */
    if (info->atol > 0) *atol += 2 * roundoff;
    if (info->rtol > 0) *rtol += 2 * roundoff;
}

static double attention_flops(const uc_launch *launch) {
    const uc_shape q = launch->in[UC_ATT_Q].shape, k = launch->in[UC_ATT_K].shape;
    const uc_view *ctx_k = &launch->in[UC_ATT_CTX_K];
    const double t = (double)q.dim[1], s = (double)k.dim[1];
    const double context = ctx_k->shape.rank > 0 ? (double)ctx_k->shape.dim[1] : 0;
    const double self = launch->attrs.attention.causal ? t * (s - t) + t * (t + 1) / 2 : t * s;
    return 4 * (double)q.dim[0] * (double)q.dim[2] * (self + t * context);
}

static double resample_flops(const uc_launch *launch, double count) {
    const uc_shape in = launch->in[0].shape, out = launch->out[0].shape;
    const double down = (double)(in.dim[2] * in.dim[3]) / (double)(out.dim[2] * out.dim[3]);
    switch (launch->attrs.resample.mode) {
    case UC_NEAREST: return 0;
    case UC_BICUBIC: return count * 2 * 2 * 4 * (down > 1 ? down : 1);
    case UC_AVERAGE:
    case UC_AREA: break;
    }
    return count * (down > 1 ? down : 1);
}

double uc_op_flops(const uc_launch *launch) {
    const double count = (double)uc_shape_count(launch->out[0].shape);
    switch (launch->kind) {
    case UC_OP_conv2d: {
        const int64_t *w = launch->in[UC_CONV_WEIGHT].shape.dim;
        return 2 * count * (double)(w[1] * w[2] * w[3]);
    }
    case UC_OP_matmul: return 2 * count * (double)launch->in[UC_MATMUL_WEIGHT].shape.dim[1];
    case UC_OP_attention: return attention_flops(launch);
    case UC_OP_resample: return resample_flops(launch, count);
    /* mean 1, variance 3, normalisation 2, affine 2 an element */
    case UC_OP_group_norm:
    case UC_OP_layer_norm: return 8 * count;
    case UC_OP_activation: return 4 * count;
    case UC_OP_embedding:
    case UC_OP_add: return count;
    case UC_OP_scale_shift:
    case UC_OP_timestep: return 2 * count;
    case UC_OP_to_bytes: return 3 * count;
    /* guidance 3, clean sample 3, mean 7, noise 2 */
    case UC_OP_noise_step: return 15 * count;
    /* guidance 3, temperature 1, two logarithms, comparison */
    case UC_OP_sample_token: return 7 * (double)uc_shape_count(launch->in[UC_SAMPLE_LOGITS].shape);
    default: return 0;
    }
}

static double view_bytes(const uc_view *v) {
    return v->shape.rank ? (double)uc_shape_count(v->shape) * (double)uc_dtype_size(v->dtype) : 0;
}

double uc_op_bytes(const uc_launch *launch) {
    const uc_op_kind kind = launch->kind;
    const bool takes_a_part = kind == UC_OP_embedding || kind == UC_OP_select_row || kind == UC_OP_gather_token ||
                              kind == UC_OP_slice;
    double bytes = 0;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) bytes += view_bytes(&launch->out[k]);
    if (takes_a_part) return 2 * bytes;
    for (int k = 0; k < UC_MAX_INPUTS; k++) bytes += view_bytes(&launch->in[k]);
    return bytes;
}

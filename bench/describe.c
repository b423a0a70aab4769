/* describe.c - see describe.h. */
#include "describe.h"

#include <stdarg.h>
#include <stdio.h>

#include "bench.h"

typedef struct text { char *at; size_t left; } text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    const size_t used = n < 0 ? 0 : (size_t)n < t->left ? (size_t)n : t->left - 1;
    t->at += used;
    t->left -= used;
}

static const char *act_name(uc_act act) {
    static const char *const names[] = { "", " silu", " gelu", " quick_gelu" };
    return names[act];
}

static void put_attrs(text *t, const uc_launch *l) {
    static const char *const modes[] = { "nearest", "average", "bicubic", "area" };
    const uc_attrs *a = &l->attrs;
    switch (l->kind) {
    case UC_OP_conv2d:
        put(t, " s%d p%d%s", a->conv2d.stride, a->conv2d.pad, l->in[UC_CONV_RESIDUAL].shape.rank ? " +residual" : "");
        break;
    case UC_OP_matmul:
        put(t, "%s%s", act_name(a->matmul.act), l->in[UC_MATMUL_RESIDUAL].shape.rank ? " +residual" : "");
        break;
    case UC_OP_group_norm:
        put(t, " g%d%s%s%s", a->group_norm.groups, act_name(a->group_norm.act),
            l->in[UC_GN_SCALE_SHIFT].shape.rank ? " scale_shift" : "", l->in[UC_GN_ADD].shape.rank ? " add" : "");
        break;
    case UC_OP_attention: put(t, " h%d%s", a->attention.heads, a->attention.causal ? " causal" : ""); break;
    case UC_OP_activation: put(t, "%s", act_name(a->activation.act)); break;
    case UC_OP_resample: put(t, " %s", modes[a->resample.mode]); break;
    case UC_OP_concat: put(t, " dim%d", a->concat.dim); break;
    case UC_OP_slice: put(t, " dim%d", a->slice.dim); break;
    case UC_OP_noise_step:
        put(t, "%s%s%s", a->noise_step.guided ? " guided" : "", a->noise_step.learned_variance ? " learned" : "",
            a->noise_step.threshold ? " threshold" : "");
        break;
    default: break;
    }
}

uc_dtype bench_launch_type(const uc_launch *l) {
    const uc_dtype out = l->out[0].dtype, in = l->in[0].dtype;
    return uc_dtype_is_float(in) && l->kind != UC_OP_reorder ? in : uc_dtype_is_float(out) ? out : UC_F32;
}

void bench_launch_text(const uc_launch *l, char out[BENCH_LAUNCH_TEXT]) {
    text t = { out, BENCH_LAUNCH_TEXT };
    char shape[UC_SHAPE_TEXT];
    /* inputs that are a channel's few numbers say nothing; what makes the work is the first ones and the attention's */
    const int shown = l->kind == UC_OP_attention ? UC_MAX_INPUTS : l->kind == UC_OP_concat ? 4 : 2;
    const bool normed = l->kind == UC_OP_group_norm || l->kind == UC_OP_layer_norm;
    put(&t, "%s", uc_op_info_of(l->kind)->name);
    for (int k = 0; k < (normed ? 1 : shown); k++) {
        const uc_view *v = &l->in[k];
        if (!v->shape.rank || (l->kind == UC_OP_attention && k > UC_ATT_K && k != UC_ATT_CTX_K)) continue;
        put(&t, "%s%s", k ? " * " : " ", uc_shape_text(v->shape, shape));
        if (k && v->dtype != l->in[0].dtype) put(&t, " %s", uc_dtype_name(v->dtype));
    }
    put_attrs(&t, l);
    put(&t, " -> %s %s", uc_shape_text(l->out[0].shape, shape), uc_dtype_name(l->out[0].dtype));
    if (l->in[0].shape.rank == 4 && l->in[0].layout != l->out[0].layout) put(&t, " other layout");
    if (l->in[0].dtype != l->out[0].dtype) put(&t, " from %s", uc_dtype_name(l->in[0].dtype));
}

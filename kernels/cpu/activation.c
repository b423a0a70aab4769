/* activation.c - SiLU and the GELUs on their own: between the two linear layers of the time embeddings of prior,
 * decoder and upsamplers. Elsewhere they are fused into group_norm and matmul. */
#define UC_FILE "activation.c"
#include "foreach_isa.h"
#include "simd.h"

enum { UC_ISA(block) = 1024 };

static void UC_ISA(act_block)(const uc_launch *l, int64_t at, int64_t count) {
    const uc_view *x = &l->in[0], *y = &l->out[0];
    const uc_act act = l->attrs.activation.act;
    float tmp[UC_ISA(block)];
    const float *in = row_in(x->data, x->dtype, at, count, tmp);
    float *out = y->dtype == UC_F32 ? (float *)y->data + at : tmp;
    int64_t i = 0;
    for (; i + VL <= count; i += VL) vf_store(out + i, vf_act(vf_load(in + i), act));
    if (i < count) vf_store_part(out + i, vf_act(vf_load_part(in + i, count - i), act), count - i);
    if (out == tmp) row_out((uint16_t *)y->data + at, y->dtype, tmp, count);
}

static void UC_ISA(activation)(const uc_launch *l) {
    const int64_t count = uc_shape_count(l->in[0].shape), blocks = uc_ceil_div(count, UC_ISA(block));
    UC_OMP(parallel for num_threads(uc_threads_for(l, count)) schedule(static))
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t at = b * UC_ISA(block);
        UC_ISA(act_block)(l, at, uc_min64(UC_ISA(block), count - at));
    }
}

#ifdef UC_ISA_ONCE
UC_CPU_VARIANTS(activation, activation)
UC_CPU_NO_SCRATCH(activation)
#endif

/* record.h - the calls that record operations, with their shape rules. kernels/ops.h says what each computes.
 *
 * Optional operands are named in the variadic tail: uc_group_norm(g, x, .groups = 32, .eps = 1e-5f, .act = UC_SILU).
 * Weights are looked up by name in the current scope: uc_conv2d(g, x, "conv1", ...) uses conv1.weight and, unless
 * .no_bias, conv1.bias. */
#ifndef UC_CORE_RECORD_H
#define UC_CORE_RECORD_H

#include "graph.h"

typedef struct uc_conv2d_call {
    const char *name;
    int64_t channels;    /* out */
    int kernel, stride;  /* stride 0 means 1 */
    int pad;
    bool no_bias;
    uc_val residual;
} uc_conv2d_call;
uc_val uc_conv2d_(uc_graph *g, uc_val x, uc_conv2d_call call);
#define uc_conv2d(g, x, ...) uc_conv2d_((g), (x), (uc_conv2d_call){ .name = __VA_ARGS__ })

typedef struct uc_linear_call {
    const char *name;
    int64_t features;    /* out */
    bool no_bias;
    uc_act act;
    uc_val residual;
} uc_linear_call;
uc_val uc_linear_(uc_graph *g, uc_val x, uc_linear_call call);
#define uc_linear(g, x, ...) uc_linear_((g), (x), (uc_linear_call){ .name = __VA_ARGS__ })

typedef struct uc_group_norm_call {
    const char *name;
    int groups;
    float eps;
    uc_act act;
    uc_val scale_shift, add;
} uc_group_norm_call;
uc_val uc_group_norm_(uc_graph *g, uc_val x, uc_group_norm_call call);
#define uc_group_norm(g, x, ...) uc_group_norm_((g), (x), (uc_group_norm_call){ .name = __VA_ARGS__ })

uc_val uc_layer_norm(uc_graph *g, uc_val x, const char *name, float eps);

typedef struct uc_attention_call {
    uc_val q, k, v, bias, ctx_k, ctx_v, ctx_bias;
    int heads;
    bool causal;
    float scale;         /* 0 = 1 / sqrt(head size) */
} uc_attention_call;
uc_val uc_attention_(uc_graph *g, uc_attention_call call);
#define uc_attention(g, ...) uc_attention_((g), (uc_attention_call){ __VA_ARGS__ })

uc_val uc_embedding(uc_graph *g, uc_val ids, uc_val table, uc_val positions);
uc_val uc_timestep(uc_graph *g, uc_val t, int64_t dim, bool flip_sin_to_cos, float freq_shift);
uc_val uc_activation(uc_graph *g, uc_val x, uc_act act);
uc_val uc_add(uc_graph *g, uc_val a, uc_val b);           /* b's shape is a tail of a's; sizes of 1 there broadcast */
uc_val uc_scale_shift(uc_graph *g, uc_val x, uc_val scale, uc_val shift); /* [c] each */
uc_val uc_resample(uc_graph *g, uc_val x, uc_resample_mode mode, int64_t height, int64_t width);
uc_val uc_concat(uc_graph *g, int dim, const uc_val *parts, int count);  /* 2 to 4 parts */
uc_val uc_repeat(uc_graph *g, uc_val x, int times);       /* times 1 returns x */
uc_val uc_slice(uc_graph *g, uc_val x, int dim, int64_t begin, int64_t size);
uc_val uc_select_row(uc_graph *g, uc_val table);
uc_val uc_gather_token(uc_graph *g, uc_val x, uc_val index); /* index [b] I32 */
uc_val uc_take_token(uc_graph *g, uc_val x, int64_t token);
uc_val uc_transpose(uc_graph *g, uc_val x);
uc_val uc_image_to_tokens(uc_graph *g, uc_val x);         /* [n,c,h,w] -> [n,h*w,c] */
uc_val uc_tokens_to_image(uc_graph *g, uc_val x, int64_t height, int64_t width);
uc_val uc_reshape(uc_graph *g, uc_val x, uc_shape shape); /* same memory, not for rank 4 */
uc_val uc_copy(uc_graph *g, uc_val x, uc_dtype dtype);    /* in another type */
void uc_store(uc_graph *g, uc_val state, uc_val x);       /* state = x, with conversion */

typedef struct uc_noise_call {
    uc_val x, prediction, x0, seeds, noise;
    uc_prediction kind;
    bool guided, learned_variance, threshold;
} uc_noise_call;
void uc_noise_step_(uc_graph *g, uc_noise_call call);
#define uc_noise_step(g, ...) uc_noise_step_((g), (uc_noise_call){ __VA_ARGS__ })

/* bytes [b,h*w,4] (a U8 state) = the picture x [b,3,h,w] (F32). */
void uc_to_bytes(uc_graph *g, uc_val bytes, uc_val x);

/* token [b,1] (an I32 state) = a draw by logits [b or 2b, n]; seeds [b]. */
void uc_sample_token(uc_graph *g, uc_val token, uc_val seeds, uc_val logits, bool guided);

#endif

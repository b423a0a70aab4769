/* ops.h - the operations: their attributes, and the interface of a kernel. The list itself is ops.def.
 *
 * Each operation has kernels/ref/<name>.c, the reference: plain loops, double accumulation, any layout and type through
 * accessors; and kernels/cpu/<name>.c, fast. Both have the signature uc_kernel. The rules:
 *   - Shapes have been checked when the operation was recorded (engine/core/record.c); a kernel trusts them.
 *   - Activations are F32, F16 or BF16, all of one type per operation unless its comment says otherwise; weights have
 *     their own type. Arithmetic is f32 (double in ref).
 *   - A kernel writes every element of its outputs, allocates nothing, and keeps no state between calls.
 *   - The same inputs give the same bytes whatever the number of threads and whatever else is in the batch: each output
 *     element is computed in an order that depends on its image's shape alone. */
#ifndef UC_KERNELS_OPS_H
#define UC_KERNELS_OPS_H

#include "../engine/core/error.h"
#include "../engine/core/tensor.h"

typedef enum uc_op_kind {
    UC_OP_NONE,
#define UC_OP(name, inputs, atol, rtol, what) UC_OP_##name,
#include "ops.def"
#undef UC_OP
    UC_OP_COUNT
} uc_op_kind;

enum { UC_MAX_INPUTS = 7, UC_MAX_OUTPUTS = 2 };

typedef struct uc_op_info {
    const char *name, *inputs, *what;
    double atol, rtol;
} uc_op_info;

const uc_op_info *uc_op_info_of(uc_op_kind kind);

/* Whether a launch of it reads uc_launch.step. */
static inline bool uc_op_reads_step(uc_op_kind kind) {
    return kind == UC_OP_select_row || kind == UC_OP_noise_step || kind == UC_OP_sample_token;
}

/* The tolerance of an operation whose activations and weights have at worst this type. */
void uc_tolerance(uc_op_kind kind, uc_dtype type, double *atol, double *rtol);

typedef enum uc_act { UC_ACT_NONE, UC_SILU, UC_GELU /* exact, erf */, UC_QUICK_GELU /* x sigmoid(1.702 x) */ } uc_act;

/* Slots of each operation's inputs, in the order of ops.def. */
enum { UC_CONV_X, UC_CONV_WEIGHT, UC_CONV_BIAS, UC_CONV_RESIDUAL };
enum { UC_MATMUL_X, UC_MATMUL_WEIGHT, UC_MATMUL_BIAS, UC_MATMUL_RESIDUAL };
enum { UC_GN_X, UC_GN_WEIGHT, UC_GN_BIAS, UC_GN_SCALE_SHIFT, UC_GN_ADD };
enum { UC_LN_X, UC_LN_WEIGHT, UC_LN_BIAS };
enum { UC_ATT_Q, UC_ATT_K, UC_ATT_V, UC_ATT_BIAS, UC_ATT_CTX_K, UC_ATT_CTX_V, UC_ATT_CTX_BIAS };
enum { UC_EMB_IDS, UC_EMB_TABLE, UC_EMB_POSITIONS };
enum { UC_NOISE_X, UC_NOISE_PREDICTION, UC_NOISE_X0, UC_NOISE_SEEDS, UC_NOISE_NOISE };
enum { UC_SAMPLE_SEEDS, UC_SAMPLE_LOGITS };

/* conv2d: x [n,c,h,w], weight [o,c,kh,kw], bias [o], residual and out [n,o,h',w'], h' = (h + 2 pad - kh) / stride + 1;
 * out = conv(x) + bias + residual. */
typedef struct uc_conv2d_attrs { int stride, pad; } uc_conv2d_attrs;

/* matmul: x [..., i], weight [o, i] as nn.Linear stores it, bias [o], out and residual [..., o];
 * out = act(x weight^T + bias) + residual. */
typedef struct uc_matmul_attrs { uc_act act; } uc_matmul_attrs;

/* group_norm: x [n,c,h,w] (or [n,tokens,c], normalised over all tokens of a group's channels), weight and bias [c];
 * y = x + add[n,c]; y = (y - mean) / sqrt(var + eps) * weight + bias, mean and variance (biased) over each image's group
 * of c / groups neighbouring channels; y = y * (1 + scale) + shift with scale_shift [n, 2c] = (scale | shift); act(y). */
typedef struct uc_group_norm_attrs { int groups; float eps; uc_act act; } uc_group_norm_attrs;

/* layer_norm over the last dimension of x [..., c]; weight, bias [c]. */
typedef struct uc_layer_norm_attrs { float eps; } uc_layer_norm_attrs;

/* attention: q [b,t,heads*d], k and v [b,s,heads*d], head h in channels h*d ... h*d+d-1; optional context keys and values
 * [b,s0,heads*d], seen by every query, before the self ones; bias [b,s] and ctx_bias [b,s0] (F32) are added to the
 * scores after scaling; causal: query i sees self keys 0 ... i + (s - t). out [b,t,heads*d]. */
typedef struct uc_attention_attrs { int heads; bool causal; float scale; } uc_attention_attrs;

/* embedding: ids [b,t] (I32), table [vocab,c], positions [>= t, c] added; out [b,t,c]. Ids are in range. */

/* timestep: t [n] (F32) -> [n, dim]: f_i = exp(-ln(10000) i / (dim/2 - freq_shift)); [cos | sin] when flip, else
 * [sin | cos]; a trailing zero when dim is odd (diffusers get_timestep_embedding). Every operation up to the argument
 * t f_i is rounded to float, in ref too: the networks were trained with that, and it moves the result by up to 1e-4. */
typedef struct uc_timestep_attrs { bool flip_sin_to_cos; float freq_shift; } uc_timestep_attrs;

typedef struct uc_activation_attrs { uc_act act; } uc_activation_attrs;

/* resample: x [n,c,h,w] -> [n,c,h',w'].
 * NEAREST: h' = 2h, w' = 2w exactly. AVERAGE: 2 x 2 mean, h and w even. BICUBIC: PyTorch's interpolate(mode="bicubic",
 * align_corners=False, antialias=True): Keys a = -0.5, support widened when shrinking, weights normalised, first along
 * the width, then along the height, not clamped. AREA: PyTorch's interpolate(mode="area"). */
typedef enum uc_resample_mode { UC_NEAREST, UC_AVERAGE, UC_BICUBIC, UC_AREA } uc_resample_mode;
typedef struct uc_resample_attrs { uc_resample_mode mode; } uc_resample_attrs;

/* concat along dim 0 or 1 of the logical shape. */
typedef struct uc_concat_attrs { int dim; } uc_concat_attrs;

/* repeat: x [b, ...] -> [times b, ...]: the whole batch, times over. */
typedef struct uc_repeat_attrs { int times; } uc_repeat_attrs;

/* select_row: table [rows, c] -> [1, c], row = uc_step.index. */

/* slice: indices begin ... begin + size - 1 of dimension 0 or 1; size is the output's. Not for rank 4 along dim 1. */
typedef struct uc_slice_attrs { int dim; int64_t begin; } uc_slice_attrs;

/* gather_token: x [b,t,c] -> [b,c]: token index[b] (I32), or the attribute when the input is absent. */
typedef struct uc_gather_attrs { int64_t token; } uc_gather_attrs;

/* ---- the sampler ------------------------------------------------------------------------------------------------- */

typedef enum uc_prediction { UC_PREDICT_EPSILON, UC_PREDICT_SAMPLE, UC_PREDICT_V } uc_prediction;

/* What changes from step to step; kernels read it at run time (on a GPU from device memory), so that one recorded list
 * serves every step. Filled by engine/sampling. All of noise_step in one place, per element, in f32:
 *
 *   m    = prediction, or with guidance: u + guidance * (c - u), u and c the halves of its batch [u rows; c rows]
 *   x0   = EPSILON: (x - sqrt_beta_bar * m) / sqrt_alpha_bar
 *          SAMPLE:  m
 *          V:       sqrt_alpha_bar * x - sqrt_beta_bar * m
 *   x0   = min(max(x0, -clip), clip)                        when clip > 0 and there is no dynamic threshold
 *   x0   = min(max(x0, -s), s) / s                          with a dynamic threshold, see below
 *   mean = c_x0 * x0 + c_x * x + c_pred * m + c_old * x0_old (x0_old: the x0 that the step before left)
 *   sd   = learned: exp(0.5 * (f * log_max + (1 - f) * log_min)), f = (v + 1) / 2, v the second half of the channels of
 *                   the CONDITIONAL rows of prediction (never guided)
 *          else:    sigma
 *   x'   = mean + sd * noise                                 when add_noise, else mean
 *
 * Dynamic threshold (Imagen, arXiv 2205.11487, section 2.3; diffusers' _threshold_sample): s = min(max(q, 1),
 * threshold_max), q the quantile `threshold` of |x0| over all channels and pixels of one image as torch.quantile takes it:
 * of the n sorted numbers the one at rank r = threshold * (n - 1), a float, and for what r has behind the point that share
 * of the way to the next one. A NaN sorts behind infinity and stays NaN.
 *
 * m and x0 are rounded to float after each operation, in this order and without fused multiply-add, in every kernel and
 * in ref: near the noisy end sqrt_alpha_bar is 5e-5, so that a last bit of x - sqrt_beta_bar * m is a visible piece of x0.
 */
typedef struct uc_step {
    int32_t index;          /* which step of the run, from 0 */
    uint32_t stage;         /* key of the noise: which stage ... */
    uint32_t noise_index;   /* ... and which draw of it; 0 is the initial noise, step i draws i + 1 */
    int32_t add_noise;
    float guidance;
    float sqrt_alpha_bar, sqrt_beta_bar;
    float clip;             /* 0 = none */
    float threshold, threshold_max; /* read with a dynamic threshold: 0 ... 1; above 0, INFINITY = none */
    float c_x0, c_x, c_pred, c_old;
    float sigma;
    float log_min, log_max; /* of the variance */
    float temperature;      /* sample_token: 0 takes the most probable token */
} uc_step;

/* noise_step: x, x0 [b,c,...] F32 PLAIN, both updated in place (outputs 0 and 1 share the memory of inputs X and X0);
 * prediction [b or 2b, c or 2c, ...] PLAIN, 2b when guided, 2c when the network predicts a variance; the second half is
 * read only if learned_variance, and otherwise skipped. Noise: `noise` [b,c,...] when that input is present, else Philox
 * keyed by seeds [b] (I64) and the step: uc_philox_normal of element i of the image in its logical row-major order. */
typedef struct uc_noise_attrs {
    uc_prediction prediction;
    bool guided, learned_variance;
    bool threshold; /* dynamic; the step says which quantile */
} uc_noise_attrs;

/* sample_token: seeds [b] (I64), logits [b or 2b, n], 2b when guided (u rows; c rows) -> tokens [b,1] (I32), each drawn
 * from softmax(m / temperature), m the logits or u + guidance * (c - u) in f32 as above: the j with the largest
 * m_j / temperature - log(-log(r_j)), r_j uc_philox_uniform4 of (seed, stage, noise_index, j), the smallest j of equal
 * ones; without noise when the temperature is 0. -1 when a logit is NaN. Exact but for ties: two scores that differ by
 * a rounding, once in about a million draws, may be ordered differently by another device. */
typedef struct uc_sample_attrs { bool guided; } uc_sample_attrs;

/* to_bytes: x [b,3,h,w] (F32, PLAIN) in [-1, 1] -> [b, h*w, 4] (U8): of each pixel red, green and blue as
 * round(255 min(max(x/2 + 1/2, 0), 1)), half to even, rounded to float after each operation in every kernel; and 255 when
 * all three numbers were finite, else 0, so that what is not a picture is known without another pass. Exact. */

typedef union uc_attrs {
    uc_conv2d_attrs conv2d;
    uc_matmul_attrs matmul;
    uc_group_norm_attrs group_norm;
    uc_layer_norm_attrs layer_norm;
    uc_attention_attrs attention;
    uc_timestep_attrs timestep;
    uc_activation_attrs activation;
    uc_resample_attrs resample;
    uc_concat_attrs concat;
    uc_repeat_attrs repeat;
    uc_slice_attrs slice;
    uc_gather_attrs gather_token;
    uc_noise_attrs noise_step;
    uc_sample_attrs sample_token;
} uc_attrs;

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

/* One launch: the operation with its operands in memory. */
typedef struct uc_launch {
    uc_op_kind kind;
    uc_attrs attrs;
    uc_view in[UC_MAX_INPUTS];   /* data NULL = absent */
    uc_view out[UC_MAX_OUTPUTS];
    const uc_step *step;         /* for select_row, noise_step and sample_token */
    void *scratch;               /* as much as the kernel's scratch function asked for, aligned to 256 */
    int threads;                 /* how many the kernel may use */
} uc_launch;

typedef void (*uc_kernel)(const uc_launch *launch);

/* Reference kernels: uc_ref_conv2d and so on. */
#define UC_OP(name, inputs, atol, rtol, what) void uc_ref_##name(const uc_launch *launch);
#include "ops.def"
#undef UC_OP

/* The reference kernel of an operation. */
uc_kernel uc_ref_kernel(uc_op_kind kind);

/* Fast CPU kernels, and the bytes of scratch that one launch of each needs (a function of shapes and threads; data
 * pointers are not read). conv2d and matmul here are the plain C ones: with oneDNN the cpu backend uses onednn.h. */
#define UC_OP(name, inputs, atol, rtol, what) \
    void uc_cpu_##name(const uc_launch *launch); \
    size_t uc_cpu_##name##_scratch(const uc_launch *launch);
#include "ops.def"
#undef UC_OP

typedef struct uc_cpu_kernel_entry {
    uc_kernel run;
    size_t (*scratch)(const uc_launch *launch);
} uc_cpu_kernel_entry;

uc_cpu_kernel_entry uc_cpu_kernel(uc_op_kind kind);

/* 2 FLOP a multiply-add; zero for what only moves data. */
double uc_op_flops(const uc_launch *launch);

/* Bytes that must be read and written at least: every operand once, as it lies in memory; of tables only the rows that
 * are taken. */
double uc_op_bytes(const uc_launch *launch);

#endif

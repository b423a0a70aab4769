/* attention.cuh - what the attention kernels have in common: the problem, and keys in two segments read as one row of keys.
 * CLIP, the prior, and the decoder, whose queries see the text's keys before the picture's own. */
#ifndef UC_CUDA_ATTENTION_CUH
#define UC_CUDA_ATTENTION_CUH

#include "device.cuh"

namespace uc {

struct attention_problem {
    const void *q, *k, *v, *ctx_k, *ctx_v;
    const float *bias, *ctx_bias;
    void *out;
    uc_dtype type;
    int batch, heads, head_size, width; /* width = heads * head_size, the row of a token */
    int queries, keys, context;         /* keys without the context's */
    int causal;
    float scale;
};

/* How many keys, the context's first, query i sees. */
__device__ inline int visible_keys(const attention_problem &p, int i) {
    const int self = p.causal && i + 1 + p.keys - p.queries < p.keys ? i + 1 + p.keys - p.queries : p.keys;
    return p.context + self;
}

/* Where head h of key (or value) j of batch entry b begins. */
template <class T>
__device__ inline const T *key_row(const attention_problem &p, const void *self, const void *context, int b, int h, int j) {
    const bool first = j < p.context;
    const T *from = static_cast<const T *>(first ? context : self);
    const long long token = first ? (long long)b * p.context + j : (long long)b * p.keys + (j - p.context);
    return from + token * p.width + h * p.head_size;
}

/* The address of key j's bias, or NULL. */
__device__ inline const float *bias_of(const attention_problem &p, int b, int j) {
    if (j < p.context) return p.ctx_bias ? p.ctx_bias + (long long)b * p.context + j : nullptr;
    return p.bias ? p.bias + (long long)b * p.keys + (j - p.context) : nullptr;
}

} // namespace uc

#endif

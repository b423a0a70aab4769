/* attention.h - what the ways of multi-head attention on the CPU share (attention.c: products in f32; attention_bf16.c:
 * products of bf16 numbers, summed in f32). */
#ifndef UC_KERNELS_CPU_ATTENTION_H
#define UC_KERNELS_CPU_ATTENTION_H

#include "bf16.h"

/* Rows of the batch; queries; keys of the context, of the sequence itself, and of both; channels of a head. */
typedef struct uc_attention_sizes { int64_t batch, queries, context, own, keys, heads, size; } uc_attention_sizes;

uc_attention_sizes uc_attention_sizes_of(const uc_launch *l); /* data is not read */

/* What is added to the scores of the keys of batch row n: [wide], zeros where nothing is and beyond the last key. */
void uc_attention_bias(const uc_launch *l, int64_t n, float *bias, int64_t wide);

/* How many keys query i sees: the context, then its own up to itself when causal. */
static inline int64_t uc_attention_seen(const uc_launch *l, const uc_attention_sizes *s, int64_t i) {
    const int64_t last = s->context + i + s->own - s->queries + 1;
    return l->attrs.attention.causal ? uc_min64(uc_max64(last, 0), s->keys) : s->keys;
}

/* Queries that are so few that their keys are read where they lie. */
enum { UC_ATTENTION_FEW = 4 };

/* With which instructions for products of bf16 a launch is done, or NONE: as in f32, by attention.c. */
uc_bf16_products uc_attention_products(const uc_launch *l);

/* Whether attention_bf16.c can do this launch: all operands are bf16, and the queries many enough. */
bool uc_attention_is_bf16(const uc_launch *l);
size_t uc_attention_bf16_scratch(const uc_launch *l);
void uc_attention_bf16(const uc_launch *l, uc_bf16_products with); /* with: not more than the machine has, not NONE */

#endif

/* attention.c - the meaning of multi-head attention: CLIP's and the prior's (causal), and the decoder's, whose queries
 * see the text's keys and values before the picture's own.
 *
 *   out[b,i,h] = sum over j of softmax_j(scale * q[b,i,h] . k[b,j,h] + bias[b,j]) * v[b,j,h]
 *
 * The keys are the context ones (if given), then the self ones; a causal query i sees self keys 0 ... i + (s - t). */
#include "ref.h"

#include <math.h>

/* One row of the softmax: head `head` of query `query` of batch entry `batch`. */
typedef struct attention_row {
    const uc_launch *launch;
    int64_t batch, head, query, head_size;
    int64_t context, visible; /* numbers of context keys, and of self keys that this query sees */
} attention_row;

static int64_t at(const uc_view *v, const attention_row *row, int64_t token, int64_t channel) {
    return (row->batch * v->shape.dim[1] + token) * v->shape.dim[2] + row->head * row->head_size + channel;
}

/* Splits key j into its tensor (context or self) and its position there. */
static const uc_view *side(const attention_row *row, int context_slot, int self_slot, int64_t *j) {
    if (*j < row->context) return &row->launch->in[context_slot];
    *j -= row->context;
    return &row->launch->in[self_slot];
}

static double score(const attention_row *row, int64_t j) {
    int64_t token = j, position = j;
    const uc_view *q = &row->launch->in[UC_ATT_Q], *k = side(row, UC_ATT_CTX_K, UC_ATT_K, &token);
    const uc_view *bias = side(row, UC_ATT_CTX_BIAS, UC_ATT_BIAS, &position);
    double dot = 0;
    for (int64_t d = 0; d < row->head_size; d++)
        dot += uc_ref_load(q, at(q, row, row->query, d)) * uc_ref_load(k, at(k, row, token, d));
    dot *= (double)row->launch->attrs.attention.scale;
    return uc_ref_given(bias) ? dot + uc_ref_load(bias, row->batch * bias->shape.dim[1] + position) : dot;
}

/* Channels are taken a few at a time, the scores computed anew for each lot: no memory is needed whatever the sizes. */
static void attend(const attention_row *row) {
    enum { LOT = 64 };
    const uc_view *out = &row->launch->out[0];
    const int64_t keys = row->context + row->visible;
    double highest = -INFINITY;
    for (int64_t j = 0; j < keys; j++) highest = fmax(highest, score(row, j));
    for (int64_t first = 0; first < row->head_size; first += LOT) {
        const int64_t count = row->head_size - first < LOT ? row->head_size - first : LOT;
        double sum[LOT] = { 0 }, total = 0;
        for (int64_t j = 0; j < keys; j++) {
            const double weight = exp(score(row, j) - highest);
            int64_t token = j;
            const uc_view *v = side(row, UC_ATT_CTX_V, UC_ATT_V, &token);
            for (int64_t d = 0; d < count; d++) sum[d] += weight * uc_ref_load(v, at(v, row, token, first + d));
            total += weight;
        }
        for (int64_t d = 0; d < count; d++) uc_ref_store(out, at(out, row, row->query, first + d), sum[d] / total);
    }
}

void uc_ref_attention(const uc_launch *launch) {
    const uc_view *q = &launch->in[UC_ATT_Q], *k = &launch->in[UC_ATT_K], *ctx_k = &launch->in[UC_ATT_CTX_K];
    const int64_t batch = q->shape.dim[0], queries = q->shape.dim[1], keys = k->shape.dim[1];
    const int heads = launch->attrs.attention.heads;
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t i = 0; i < queries; i++)
                attend(&(attention_row){ .launch = launch,
                                         .batch = b,
                                         .head = h,
                                         .query = i,
                                         .head_size = q->shape.dim[2] / heads,
                                         .context = uc_ref_given(ctx_k) ? ctx_k->shape.dim[1] : 0,
                                         .visible = launch->attrs.attention.causal ? i + 1 + keys - queries : keys });
}

/* sample_token.c - the meaning of one draw of the autoregressive prior: logits -> the image embedding's next token. */
#include "ref.h"

#include <math.h>

#include "../../engine/core/philox.h"

/* The guided logit, rounded to float after each operation as in every kernel. */
static float logit(const uc_launch *l, int64_t n, int64_t j) {
    const uc_view *logits = &l->in[UC_SAMPLE_LOGITS];
    const int64_t batch = l->in[UC_SAMPLE_SEEDS].shape.dim[0], count = logits->shape.dim[1];
    const float u = (float)uc_ref_load(logits, n * count + j);
    if (!l->attrs.sample_token.guided) return u;
    const float c = (float)uc_ref_load(logits, (batch + n) * count + j);
    return u + l->step->guidance * (c - u);
}

/* Gumbel noise: whichever token has the largest sum of logit and noise is a draw from softmax(logits). */
static double gumbel(const uc_launch *l, int64_t n, int64_t j) {
    const int64_t seed = ((const int64_t *)l->in[UC_SAMPLE_SEEDS].data)[n];
    float four[4];
    uc_philox_uniform4((uint64_t)seed, l->step->stage, l->step->noise_index, (uint64_t)j / 4, four);
    return -log(-log((double)four[j % 4]));
}

void uc_ref_sample_token(const uc_launch *launch) {
    const int64_t batch = launch->in[UC_SAMPLE_SEEDS].shape.dim[0];
    const int64_t count = launch->in[UC_SAMPLE_LOGITS].shape.dim[1];
    const double temperature = (double)launch->step->temperature;
    for (int64_t n = 0; n < batch; n++) {
        int32_t best = 0;
        double most = -INFINITY;
        for (int64_t j = 0; j < count && best >= 0; j++) {
            const float m = logit(launch, n, j);
            const double value = temperature > 0 ? (double)m / temperature + gumbel(launch, n, j) : (double)m;
            if (isnan(value)) best = -1;
            else if (value > most) {
                most = value;
                best = (int32_t)j;
            }
        }
        ((int32_t *)launch->out[0].data)[n] = best;
    }
}

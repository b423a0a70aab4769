/* sample_token.c - one draw of the autoregressive prior: logits -> the next token. A few hundred numbers a row; each row
 * is drawn from its own seed alone. */
#include "cpu.h"

#include "../../engine/core/philox.h"

enum { BLOCK = 64 };

/* Logits from ... from + count of image n, after guidance. */
static void read_logits(const uc_launch *l, int64_t n, int64_t from, int64_t count, float *m) {
    const uc_view *logits = &l->in[UC_SAMPLE_LOGITS];
    const int64_t batch = l->in[UC_SAMPLE_SEEDS].shape.dim[0], row = logits->shape.dim[1];
    uc_convert(m, UC_F32, uc_at(logits->data, logits->dtype, n * row + from), logits->dtype, count);
    if (!l->attrs.sample_token.guided) return;
    float cond[BLOCK];
    uc_convert(cond, UC_F32, uc_at(logits->data, logits->dtype, (batch + n) * row + from), logits->dtype, count);
    for (int64_t i = 0; i < count; i++) m[i] += l->step->guidance * (cond[i] - m[i]);
}

static int32_t draw(const uc_launch *l, int64_t n) {
    const int64_t row = l->in[UC_SAMPLE_LOGITS].shape.dim[1];
    const uint64_t seed = (uint64_t)((const int64_t *)l->in[UC_SAMPLE_SEEDS].data)[n];
    const float temperature = l->step->temperature;
    float most = -INFINITY;
    int32_t best = 0;
    for (int64_t from = 0; from < row; from += BLOCK) {
        const int64_t count = uc_min64(BLOCK, row - from);
        float m[BLOCK], four[4] = { 0 };
        read_logits(l, n, from, count, m);
        for (int64_t i = 0; i < count; i++) {
            if (temperature > 0) {
                if (i % 4 == 0)
                    uc_philox_uniform4(seed, l->step->stage, l->step->noise_index, (uint64_t)(from + i) / 4, four);
                m[i] = m[i] / temperature - logf(-logf(four[i % 4]));
            }
            if (isnan(m[i])) return -1;
            if (m[i] > most) {
                most = m[i];
                best = (int32_t)(from + i);
            }
        }
    }
    return best;
}

static void sample_token(const uc_launch *l) {
    const int64_t batch = l->in[UC_SAMPLE_SEEDS].shape.dim[0];
    for (int64_t n = 0; n < batch; n++) ((int32_t *)l->out[0].data)[n] = draw(l, n);
}

UC_CPU_SINGLE(sample_token, sample_token)
UC_CPU_NO_SCRATCH(sample_token)

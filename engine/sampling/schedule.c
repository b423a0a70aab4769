/* schedule.c - betas and their running products. See schedule.h for the arrows of the flow that this serves. */
#include "schedule.h"

#include <math.h>
#include <stdlib.h>

static double cosine_alpha_bar(double u) {
    const double pi = 3.14159265358979323846, c = cos((u + 0.008) / 1.008 * pi / 2);
    return c * c;
}

/* torch.linspace in float: from both ends towards the middle. */
static float linspace(double start, double end, int count, int i) {
    const float first = (float)start, last = (float)end;
    if (count == 1) return first;
    const float step = (last - first) / (float)(count - 1);
    return i < count / 2 ? first + step * (float)i : last - step * (float)(count - i - 1);
}

static float beta_of(const uc_scheduler_config *config, int i) {
    const int count = (int)config->train_timesteps;
    if (config->beta_schedule == UC_BETA_LINEAR) return linspace(config->beta_start, config->beta_end, count, i);
    if (config->beta_schedule == UC_BETA_SCALED_LINEAR) {
        const float root = linspace(sqrt(config->beta_start), sqrt(config->beta_end), count, i);
        return root * root;
    }
    const double here = (double)i / count, next = (double)(i + 1) / count;
    return (float)fmin(1 - cosine_alpha_bar(next) / cosine_alpha_bar(here), 0.999);
}

static void accumulate(uc_schedule *s) {
    double product = 1;
    for (int i = 0; i < s->count; i++) {
        s->alphas[i] = 1.0f - s->betas[i];
        product *= (double)s->alphas[i];
        s->alpha_bars[i] = (float)product;
    }
}

/* diffusers' rescale_zero_terminal_snr (arXiv 2305.08891, algorithm 1): the last timestep becomes pure noise. */
static void rescale_to_zero_snr(uc_schedule *s) {
    const float first = sqrtf(s->alpha_bars[0]), last = sqrtf(s->alpha_bars[s->count - 1]);
    const float scale = first / (first - last);
    float before = 1;
    for (int i = 0; i < s->count; i++) {
        const float root = (sqrtf(s->alpha_bars[i]) - last) * scale, alpha_bar = root * root;
        s->betas[i] = 1.0f - (i == 0 ? alpha_bar : alpha_bar / before);
        before = alpha_bar;
    }
    accumulate(s);
}

unclip_status uc_schedule_new(uc_schedule **schedule, const uc_scheduler_config *config, unclip_error *err) {
    *schedule = NULL;
    enum { MOST = 1000000 };
    if (config->train_timesteps < 1 || config->train_timesteps > MOST)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "num_train_timesteps must be between 1 and %d, not %lld", MOST,
                       (long long)config->train_timesteps);
    const size_t count = (size_t)config->train_timesteps, bytes = sizeof(uc_schedule) + 3 * count * sizeof(float);
    uc_schedule *s = malloc(bytes);
    if (!s) return uc_fail_memory(err, bytes, "a noise schedule");
    s->count = (int)count;
    s->betas = (float *)(s + 1);
    s->alphas = s->betas + count;
    s->alpha_bars = s->alphas + count;
    for (int i = 0; i < s->count; i++) s->betas[i] = beta_of(config, i);
    accumulate(s);
    if (config->rescale_betas_zero_snr) rescale_to_zero_snr(s);
    *schedule = s;
    return UNCLIP_OK;
}

void uc_schedule_free(uc_schedule *schedule) { free(schedule); }

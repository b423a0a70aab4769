/* degrade.c - see degrade.h: picture -> the worse picture that an upsampler was trained to forgive. */
#include "degrade.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/philox.h"
#include "noise.h"

enum { CHANNELS = 3, BLOCK = 8 };

/* The stages' noise has keys 0 to 3. */
enum { KEY = 0x64656772, DRAW_ORDER = 0, DRAW_STRENGTH = 1, DRAW_NOISE = 2 };

static void clamp_all(float *planes, int64_t count) {
    for (int64_t i = 0; i < count; i++) planes[i] = fminf(fmaxf(planes[i], -1.0f), 1.0f);
}

static int64_t inside(int64_t i, int64_t count) { return i < 0 ? 0 : i >= count ? count - 1 : i; }

/* ---- blur -------------------------------------------------------------------------------------------------------- */

/* out sample i = the weighted samples around it, for `count` samples `step` apart. */
static void blur_line(const double *kernel, int radius, const float *line, int64_t count, int64_t step, float *out) {
    for (int64_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (int k = -radius; k <= radius; k++) sum += kernel[k + radius] * (double)line[inside(i + k, count) * step];
        out[i * step] = (float)sum;
    }
}

unclip_status uc_degrade_blur(float *planes, int64_t height, int64_t width, int radius, double sigma,
                              unclip_error *err) {
    double kernel[2 * UC_BLUR_RADIUS_BSR + 1], sum = 0.0;
    for (int k = -radius; k <= radius; k++) sum += kernel[k + radius] = exp(-k * k / (2.0 * sigma * sigma));
    for (int k = 0; k <= 2 * radius; k++) kernel[k] /= sum;
    const size_t bytes = (size_t)(height * width) * sizeof(float);
    float *between = malloc(bytes);
    if (!between) return uc_fail_memory(err, bytes, "the blurred picture");
    for (int64_t c = 0; c < CHANNELS; c++) {
        float *plane = planes + c * height * width;
        for (int64_t y = 0; y < height; y++)
            blur_line(kernel, radius, plane + y * width, width, 1, between + y * width);
        for (int64_t x = 0; x < width; x++) blur_line(kernel, radius, between + x, height, width, plane + x);
    }
    free(between);
    return UNCLIP_OK;
}

/* ---- resize ------------------------------------------------------------------------------------------------------ */

unclip_status uc_degrade_resize(float *planes, int64_t height, int64_t width, double smaller, uc_resize_filter filter,
                                unclip_error *err) {
    const int64_t low_height = inside((int64_t)(smaller * (double)height + 0.5) - 1, height) + 1;
    const int64_t low_width = inside((int64_t)(smaller * (double)width + 0.5) - 1, width) + 1;
    const size_t bytes = (size_t)(CHANNELS * low_height * low_width) * sizeof(float);
    float *low = malloc(bytes);
    if (!low) return uc_fail_memory(err, bytes, "the smaller picture");
    unclip_status status = uc_planes_resize(planes, CHANNELS, height, width, low, low_height, low_width, filter, err);
    if (!status) status = uc_planes_resize(low, CHANNELS, low_height, low_width, planes, height, width, filter, err);
    free(low);
    return status;
}

/* ---- JPEG -------------------------------------------------------------------------------------------------------- */

/* ITU-T T.81, annex K, tables K.1 (luma) and K.2 (chroma). */
static const uint8_t tables[2][BLOCK * BLOCK] = {
    { 16, 11,  10,  16, 24, 40, 51, 61, 12,  12,  14,  19,  26, 58, 60, 55,  14,  13,  16,  24, 40, 57,
      69, 56,  14,  17, 22, 29, 51, 87, 80,  62,  18,  22,  37, 56, 68, 109, 103, 77,  24,  35, 55, 64,
      81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,  112, 100, 103, 99 },
    { 17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
      99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
      99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99 }
};

int uc_jpeg_step(int chroma, int i, int quality) {
    const int percent = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    const int step = (tables[chroma][i] * percent + 50) / 100;
    return step < 1 ? 1 : step > 255 ? 255 : step;
}

/* Orthonormal: row f holds frequency f. */
static void cosines(double basis[BLOCK][BLOCK]) {
    for (int f = 0; f < BLOCK; f++)
        for (int x = 0; x < BLOCK; x++)
            basis[f][x] = sqrt((f ? 2.0 : 1.0) / BLOCK) * cos((2 * x + 1) * f * 3.14159265358979324 / (2 * BLOCK));
}

/* out = a b, or a b with a, b or both read across. */
static void multiply(double out[BLOCK][BLOCK], double a[BLOCK][BLOCK], int a_across, double b[BLOCK][BLOCK],
                     int b_across) {
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++) {
            out[i][j] = 0.0;
            for (int k = 0; k < BLOCK; k++)
                out[i][j] += (a_across ? a[k][i] : a[i][k]) * (b_across ? b[j][k] : b[k][j]);
        }
}

/* One block of a plane of levels around 0: transform, round, transform back. */
static void quantise_block(float *plane, int64_t height, int64_t width, int64_t top, int64_t left, const int *steps,
                           double basis[BLOCK][BLOCK]) {
    double block[BLOCK][BLOCK], half[BLOCK][BLOCK];
    for (int y = 0; y < BLOCK; y++)
        for (int x = 0; x < BLOCK; x++)
            block[y][x] = (double)plane[inside(top + y, height) * width + inside(left + x, width)];
    multiply(half, basis, 0, block, 0);
    multiply(block, half, 0, basis, 1);
    for (int i = 0; i < BLOCK * BLOCK; i++) {
        double *coefficient = &block[i / BLOCK][i % BLOCK];
        *coefficient = nearbyint(*coefficient / steps[i]) * steps[i];
    }
    multiply(half, basis, 1, block, 0);
    multiply(block, half, 0, basis, 0);
    for (int y = 0; y < BLOCK && top + y < height; y++)
        for (int x = 0; x < BLOCK && left + x < width; x++) plane[(top + y) * width + left + x] = (float)block[y][x];
}

/* JFIF's colours, around 0 in all three. */
static void to_ycbcr(float *planes, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++) {
        float *p = planes + i;
        const double r = 127.5 * (double)p[0], g = 127.5 * (double)p[pixels], b = 127.5 * (double)p[2 * pixels];
        p[0] = (float)(0.299 * r + 0.587 * g + 0.114 * b - 0.5); /* 127.5 + ... - 128 */
        p[pixels] = (float)(-0.168735892 * r - 0.331264108 * g + 0.5 * b);
        p[2 * pixels] = (float)(0.5 * r - 0.418687589 * g - 0.081312411 * b);
    }
}

static void to_rgb(float *planes, int64_t pixels) {
    for (int64_t i = 0; i < pixels; i++) {
        float *p = planes + i;
        const double y = (double)p[0] + 0.5, cb = (double)p[pixels], cr = (double)p[2 * pixels];
        p[0] = (float)((y + 1.402 * cr) / 127.5);
        p[pixels] = (float)((y - 0.344136286 * cb - 0.714136286 * cr) / 127.5);
        p[2 * pixels] = (float)((y + 1.772 * cb) / 127.5);
    }
}

void uc_degrade_jpeg(float *planes, int64_t height, int64_t width, int quality) {
    double basis[BLOCK][BLOCK];
    const int64_t pixels = height * width;
    cosines(basis);
    to_ycbcr(planes, pixels);
    for (int c = 0; c < CHANNELS; c++) {
        int steps[BLOCK * BLOCK];
        for (int i = 0; i < BLOCK * BLOCK; i++) steps[i] = uc_jpeg_step(c > 0, i, quality);
        for (int64_t top = 0; top < height; top += BLOCK)
            for (int64_t left = 0; left < width; left += BLOCK)
                quantise_block(planes + c * pixels, height, width, top, left, steps, basis);
    }
    to_rgb(planes, pixels);
    clamp_all(planes, CHANNELS * pixels);
}

/* ---- BSR --------------------------------------------------------------------------------------------------------- */

/* Four numbers in (0, 1). */
static void uniforms(uint64_t seed, uint32_t draw, uint32_t index, double out[4]) {
    const uc_philox_words counter = { { index, 0, draw, KEY } };
    const uc_philox_words r = uc_philox4x32_10(counter, (uint32_t)seed, (uint32_t)(seed >> 32));
    for (int i = 0; i < 4; i++) out[i] = (r.word[i] + 0.5) / 4294967296.0;
}

static uc_bsr_step draw_step(uint64_t seed, uc_bsr_kind kind) {
    double u[4];
    uniforms(seed, DRAW_STRENGTH, kind, u);
    uc_bsr_step step = { .kind = kind };
    switch (kind) {
    case UC_BSR_BLUR: step.amount = 0.2 + 0.8 * u[0]; break;
    case UC_BSR_RESIZE:
        step.amount = 0.6 + 0.4 * u[0];
        step.filter = u[1] < 0.5 ? UC_RESIZE_BILINEAR : UC_RESIZE_BICUBIC;
        break;
    case UC_BSR_NOISE:
        step.amount = 0.01 + 0.05 * u[0];
        step.grey = u[1] < 0.4;
        break;
    case UC_BSR_JPEG: step.amount = 40 + floor(56 * u[0]); break;
    }
    return step;
}

void uc_bsr_plan(uint64_t seed, uc_bsr_step steps[UC_BSR_STEPS]) {
    double u[4];
    uniforms(seed, DRAW_ORDER, 0, u);
    for (int i = 0; i < UC_BSR_STEPS; i++) steps[i] = draw_step(seed, (uc_bsr_kind)i);
    for (int i = UC_BSR_STEPS - 1; i > 0; i--) { /* Fisher and Yates */
        const int j = (int)(u[i] * (i + 1));
        const uc_bsr_step other = steps[j];
        steps[j] = steps[i];
        steps[i] = other;
    }
}

static unclip_status add_noise(float *planes, int64_t pixels, const uc_bsr_step *step, uint64_t seed,
                               unclip_error *err) {
    const size_t bytes = (size_t)(CHANNELS * pixels) * sizeof(float);
    float *noise = malloc(bytes);
    if (!noise) return uc_fail_memory(err, bytes, "the noise of a degraded picture");
    uc_philox_fill(noise, CHANNELS * pixels, seed, KEY, DRAW_NOISE);
    for (int64_t i = 0; i < CHANNELS * pixels; i++)
        planes[i] += (float)step->amount * noise[step->grey ? i % pixels : i];
    free(noise);
    return UNCLIP_OK;
}

static unclip_status run_bsr(float *planes, int64_t height, int64_t width, uint64_t seed, unclip_error *err) {
    uc_bsr_step steps[UC_BSR_STEPS];
    uc_bsr_plan(seed, steps);
    unclip_status status = UNCLIP_OK;
    for (int i = 0; i < UC_BSR_STEPS && !status; i++) {
        const uc_bsr_step *s = &steps[i];
        switch (s->kind) {
        case UC_BSR_BLUR: status = uc_degrade_blur(planes, height, width, UC_BLUR_RADIUS_BSR, s->amount, err); break;
        case UC_BSR_RESIZE: status = uc_degrade_resize(planes, height, width, s->amount, s->filter, err); break;
        case UC_BSR_NOISE: status = add_noise(planes, height * width, s, seed, err); break;
        case UC_BSR_JPEG: uc_degrade_jpeg(planes, height, width, (int)s->amount); break;
        }
        clamp_all(planes, CHANNELS * height * width);
    }
    return status;
}

unclip_status uc_degrade(float *planes, int64_t height, int64_t width, unclip_degrade kind, uint64_t seed,
                         unclip_error *err) {
    switch (kind) {
    case UNCLIP_DEGRADE_NONE: return UNCLIP_OK;
    case UNCLIP_DEGRADE_BLUR:
        return uc_degrade_blur(planes, height, width, UC_BLUR_RADIUS_PAPER, UC_BLUR_SIGMA_PAPER, err);
    case UNCLIP_DEGRADE_BSR: return run_bsr(planes, height, width, seed, err);
    }
    return uc_fail(err, UNCLIP_ERR_ARGUMENT, "degradation %d is unknown", (int)kind);
}

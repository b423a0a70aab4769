/* picture_resize.c - see picture_resize.h. Rows first, then columns; sums in double, so that a picture's samples do not
 * depend on how a compiler orders them. */
#include "picture_resize.h"

#include <math.h>
#include <stdlib.h>

/* What output i takes: weight[i * longest + k] of sample first[i] + k, for k below count[i]. */
typedef struct taps {
    int64_t outputs, longest;
    int64_t *first, *count;
    double *weight;
} taps;

static double filter_value(uc_resize_filter filter, double x) {
    const double a = -0.5;
    x = fabs(x);
    if (filter == UC_RESIZE_BILINEAR) return x < 1.0 ? 1.0 - x : 0.0;
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static void taps_free(taps *t) {
    free(t->first);
    free(t->count);
    free(t->weight);
}

/* Output i covers the samples from i * in / out to (i + 1) * in / out; the overlaps are exact in integers / out. */
static void area_taps(taps *t, int64_t in, int64_t i) {
    const int64_t out = t->outputs, begin = i * in, end = begin + in;
    double *weight = t->weight + i * t->longest;
    t->first[i] = begin / out;
    t->count[i] = (end + out - 1) / out - t->first[i];
    for (int64_t k = 0; k < t->count[i]; k++) {
        const int64_t left = (t->first[i] + k) * out, right = left + out;
        const int64_t covered = (right < end ? right : end) - (left > begin ? left : begin);
        weight[k] = (double)covered / (double)in;
    }
}

static void windowed_taps(taps *t, int64_t in, int64_t i, uc_resize_filter filter) {
    const double scale = (double)in / (double)t->outputs, wide = scale < 1.0 ? 1.0 : scale;
    const double support = (filter == UC_RESIZE_BICUBIC ? 2.0 : 1.0) * wide, center = scale * ((double)i + 0.5);
    double *weight = t->weight + i * t->longest, sum = 0.0;
    int64_t first = (int64_t)(center - support + 0.5), end = (int64_t)(center + support + 0.5);
    if (first < 0) first = 0;
    if (end > in) end = in;
    for (int64_t k = 0; k < end - first; k++) {
        weight[k] = filter_value(filter, ((double)(first + k) - center + 0.5) / wide);
        sum += weight[k];
    }
    for (int64_t k = 0; k < end - first; k++) weight[k] /= sum;
    t->first[i] = first;
    t->count[i] = end - first;
}

static unclip_status taps_new(taps *t, int64_t in, int64_t out, uc_resize_filter filter, unclip_error *err) {
    const double scale = (double)in / (double)out;
    *t = (taps){ .outputs = out, .longest = 2 * (int64_t)ceil(2.0 * (scale < 1.0 ? 1.0 : scale)) + 2 };
    const size_t bytes = (size_t)(out * t->longest) * sizeof *t->weight;
    t->first = malloc((size_t)out * sizeof *t->first);
    t->count = malloc((size_t)out * sizeof *t->count);
    t->weight = malloc(bytes);
    if (!t->first || !t->count || !t->weight) {
        taps_free(t);
        *t = (taps){ 0 };
        return uc_fail_memory(err, bytes, "the picture's resize weights");
    }
    for (int64_t i = 0; i < out; i++) {
        if (filter == UC_RESIZE_AREA) area_taps(t, in, i);
        else windowed_taps(t, in, i, filter);
    }
    return UNCLIP_OK;
}

/* Output i of the samples line[0], line[step], ... */
static float weigh(const taps *t, int64_t i, const float *line, int64_t step) {
    double sum = 0.0;
    for (int64_t k = 0; k < t->count[i]; k++)
        sum += t->weight[i * t->longest + k] * (double)line[(t->first[i] + k) * step];
    return (float)sum;
}

static void resize_row(const taps *t, const float *row, float *out) {
    for (int64_t i = 0; i < t->outputs; i++) out[i] = weigh(t, i, row, 1);
}

/* plane [height, width] -> out [outputs, width] */
static void resize_columns(const taps *t, const float *plane, int64_t width, float *out) {
    for (int64_t i = 0; i < t->outputs; i++)
        for (int64_t x = 0; x < width; x++) *out++ = weigh(t, i, plane + x, width);
}

unclip_status uc_planes_resize(const float *in, int64_t channels, int64_t in_height, int64_t in_width, float *out,
                               int64_t out_height, int64_t out_width, uc_resize_filter filter, unclip_error *err) {
    taps across = { 0 }, down = { 0 };
    const size_t bytes = (size_t)(in_height * out_width) * sizeof(float);
    unclip_status status = taps_new(&across, in_width, out_width, filter, err);
    if (!status) status = taps_new(&down, in_height, out_height, filter, err);
    float *between = status ? NULL : malloc(bytes);
    if (!status && !between) status = uc_fail_memory(err, bytes, "the resized picture");
    for (int64_t c = 0; c < channels && !status; c++) {
        for (int64_t y = 0; y < in_height; y++)
            resize_row(&across, in + (c * in_height + y) * in_width, between + y * out_width);
        resize_columns(&down, between, out_width, out + c * out_height * out_width);
    }
    free(between);
    taps_free(&across);
    taps_free(&down);
    return status;
}

/* One channel of one row of the square, in [-1, 1]. */
static void read_row(const uint8_t *pixel, int64_t side, float *row) {
    for (int64_t x = 0; x < side; x++) row[x] = (float)pixel[3 * x] / 127.5f - 1.0f;
}

unclip_status uc_picture_square(const uint8_t *rgb, int width, int height, int64_t size, float *out,
                                unclip_error *err) {
    if (width < 1 || height < 1) return uc_fail(err, UNCLIP_ERR_IMAGE, "the picture is empty");
    const int64_t side = width < height ? width : height;
    const uint8_t *corner = rgb + 3 * ((height - side) / 2 * (int64_t)width + (width - side) / 2);
    const size_t floats = (size_t)(side * (size + 1));
    taps t = { 0 };
    unclip_status status = taps_new(&t, side, size, side >= size ? UC_RESIZE_AREA : UC_RESIZE_BICUBIC, err);
    float *row = status ? NULL : malloc(floats * sizeof *row);
    if (!status && !row) status = uc_fail_memory(err, floats * sizeof *row, "the resized picture");
    for (int64_t c = 0; c < 3 && !status; c++) {
        float *between = row + side, *plane = out + c * size * size;
        for (int64_t y = 0; y < side; y++) {
            read_row(corner + 3 * y * (int64_t)width + c, side, row);
            resize_row(&t, row, between + y * size);
        }
        resize_columns(&t, between, size, plane);
        for (int64_t i = 0; i < size * size; i++) plane[i] = fminf(fmaxf(plane[i], -1.0f), 1.0f);
    }
    free(row);
    taps_free(&t);
    return status;
}

/* resample.c - the meaning of a change of a picture's size: inside the UNets (nearest up, mean down), from one stage's
 * picture to the next one's input (antialiased bicubic), and the area mean.
 *
 * Each mode is separable: a window of source positions with weights along the height, times one along the width. */
#include "ref.h"

#include <math.h>

/* The source positions first ... first + count - 1 that make one position of the result. */
typedef struct window {
    int64_t first, count;
    double centre, shrink, total; /* of the bicubic filter; total is the sum of its raw weights */
} window;

/* Keys' cubic with a = -0.5, as Pillow and PyTorch's antialiased path have it. */
static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double raw_weight(const window *w, int64_t k) {
    return cubic(((double)(w->first + k) - w->centre + 0.5) * w->shrink);
}

static window bicubic_window(int64_t i, int64_t from, int64_t to) {
    const double scale = (double)from / (double)to, support = scale >= 1 ? 2 * scale : 2;
    window w = { .centre = scale * ((double)i + 0.5), .shrink = scale >= 1 ? 1 / scale : 1 };
    const int64_t begin = (int64_t)(w.centre - support + 0.5), end = (int64_t)(w.centre + support + 0.5);
    w.first = begin > 0 ? begin : 0;
    w.count = (end < from ? end : from) - w.first;
    for (int64_t k = 0; k < w.count; k++) w.total += raw_weight(&w, k);
    return w;
}

static window window_of(uc_resample_mode mode, int64_t i, int64_t from, int64_t to) {
    switch (mode) {
    case UC_NEAREST: return (window){ .first = i / 2, .count = 1 };
    case UC_AVERAGE: return (window){ .first = 2 * i, .count = 2 };
    case UC_AREA: {
        const int64_t first = i * from / to;
        return (window){ .first = first, .count = ((i + 1) * from + to - 1) / to - first };
    }
    case UC_BICUBIC: break;
    }
    return bicubic_window(i, from, to);
}

static double weight(uc_resample_mode mode, const window *w, int64_t k) {
    return mode == UC_BICUBIC ? raw_weight(w, k) / w->total : 1 / (double)w->count;
}

static double pixel(const uc_launch *launch, int64_t n, int64_t c, const window *rows, const window *columns) {
    const uc_view *x = &launch->in[0];
    const uc_resample_mode mode = launch->attrs.resample.mode;
    double sum = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        double line = 0;
        for (int64_t j = 0; j < columns->count; j++)
            line += weight(mode, columns, j) * uc_ref_load(x, uc_at4(x, n, c, rows->first + i, columns->first + j));
        sum += weight(mode, rows, i) * line;
    }
    return sum;
}

void uc_ref_resample(const uc_launch *launch) {
    const uc_view *out = &launch->out[0];
    const int64_t *to = out->shape.dim, *from = launch->in[0].shape.dim;
    for (int64_t y = 0; y < to[2]; y++) {
        const window rows = window_of(launch->attrs.resample.mode, y, from[2], to[2]);
        for (int64_t x = 0; x < to[3]; x++) {
            const window columns = window_of(launch->attrs.resample.mode, x, from[3], to[3]);
            for (int64_t n = 0; n < to[0]; n++)
                for (int64_t c = 0; c < to[1]; c++)
                    uc_ref_store(out, uc_at4(out, n, c, y, x), pixel(launch, n, c, &rows, &columns));
        }
    }
}

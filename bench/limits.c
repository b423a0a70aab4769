/* limits.c - see limits.h. A limit is the best that was seen: the shortest time of the most favourable operation. */
#include "limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core/philox.h"

static bool is_gpu(const bench_options *o) { return !strncmp(o->device, "cuda", 4); }

/* Normal numbers, all of them from one block whose prime length keeps rows from repeating: drawn one by one, the
 * operands of a GPU's limits would take longer than everything that is measured. */
enum { BLOCK = 65521 };

static unclip_status fill_operands(op_data *d, unclip_error *err) {
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        const int64_t count = d->c.in[k].rank ? uc_shape_count(d->c.in[k]) : 0;
        const size_t size = count ? uc_dtype_size(d->c.in_type[k]) : 0;
        if (!count) continue;
        char *at = malloc((size_t)count * size);
        if (!at) return uc_fail_memory(err, (size_t)count * size, "a limit's operand");
        d->launch.in[k] = (uc_view){ .dtype = d->c.in_type[k], .shape = d->c.in[k], .data = at };
        const bool weight = d->c.weights & 1u << k;
        const float scale = weight ? 1 / sqrtf((float)(count / d->c.in[k].dim[0])) : 1; /* results as large as x */
        for (int64_t i = 0; i < count && i < BLOCK; i++) {
            float four[4];
            uc_philox_normal4(1, (uint32_t)k, 0, (uint64_t)i / 4, four);
            uc_set(at, d->c.in_type[k], i, (double)(scale * four[i % 4]));
        }
        for (int64_t i = BLOCK; i < count; i += BLOCK)
            memcpy(at + (size_t)i * size, at, (size_t)(count - i < BLOCK ? count - i : BLOCK) * size);
    }
    return UNCLIP_OK;
}

static unclip_status best_time(uc_backend *backend, bench_sink *sink, const bench_options *o, const op_case *c,
                               bool filled, double *seconds, unclip_error *err) {
    bench_options few = *o;
    op_data data = { .c = *c };
    bench_trial t;
    bench_summary summary;
    few.seconds = o->small ? 0 : is_gpu(o) ? 0.3 : 1;
    unclip_status status = filled ? fill_operands(&data, err) : UNCLIP_OK;
    if (!status) status = bench_trial_new(&t, backend, sink, &data, err);
    if (!status) {
        status = bench_trial_sample(&t, &few, &summary, err);
        bench_trial_free(&t);
    }
    if (!status) *seconds = summary.min;
    op_data_free(&data);
    return status;
}

static unclip_status measure_copy(bench_limits *limits, uc_backend *backend, bench_sink *sink, const bench_options *o,
                                  unclip_error *err) {
    const int64_t count = o->small ? 1 << 12 : 1 << 27;
    op_case c = { .kind = UC_OP_reorder, .type = UC_F32, .out_type = UC_F32 };
    c.in[0] = c.out[0] = UC_SHAPE1(count);
    c.in_type[0] = UC_F32;
    double seconds = 0;
    const unclip_status status = best_time(backend, sink, o, &c, false, &seconds, err);
    if (!status && seconds > 0) limits->bytes_per_second = 2 * (double)count * sizeof(float) / seconds;
    return status;
}

static op_case product(uc_dtype type, int64_t n) {
    op_case c = { .kind = UC_OP_matmul, .type = type, .weight_type = type, .out_type = type };
    c.in[UC_MATMUL_X] = c.in[UC_MATMUL_WEIGHT] = c.out[0] = UC_SHAPE2(n, n);
    c.in[UC_MATMUL_X] = c.out[0] = UC_SHAPE3(1, n, n);
    c.in_type[UC_MATMUL_X] = c.in_type[UC_MATMUL_WEIGHT] = type;
    c.weights = 1u << UC_MATMUL_WEIGHT;
    return c;
}

/* Of one tap: larger ones may be done with fewer multiplications than are counted. */
static op_case convolution(uc_dtype type, int64_t channels, int64_t size) {
    op_case c = { .kind = UC_OP_conv2d, .type = type, .weight_type = type, .out_type = type, .layout = UC_NHWC };
    c.attrs.conv2d = (uc_conv2d_attrs){ .stride = 1, .pad = 0 };
    c.in[UC_CONV_X] = c.out[0] = UC_SHAPE4(1, channels, size, size);
    c.in[UC_CONV_WEIGHT] = UC_SHAPE4(channels, channels, 1, 1);
    c.in_type[UC_CONV_X] = c.in_type[UC_CONV_WEIGHT] = type;
    c.weights = 1u << UC_CONV_WEIGHT;
    return c;
}

static unclip_status measure_flops(bench_limits *limits, uc_backend *backend, bench_sink *sink, const bench_options *o,
                                   uc_dtype type, unclip_error *err) {
    const bool gpu = !o->small && is_gpu(o);
    const op_case cases[] = { product(type, o->small ? 64 : gpu ? 8192 : 2048),
                              convolution(type, o->small ? 64 : gpu ? 2048 : 1024, o->small ? 8 : gpu ? 64 : 32) };
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < sizeof cases / sizeof *cases && !status; i++) {
        double seconds = 0;
        status = best_time(backend, sink, o, &cases[i], true, &seconds, err);
        const int64_t *w = cases[i].in[1].dim;
        const double flops = 2 * (double)uc_shape_count(cases[i].out[0]) * (double)w[1];
        if (!status && seconds > 0 && flops / seconds > limits->flops_per_second[type])
            limits->flops_per_second[type] = flops / seconds;
    }
    return status;
}

unclip_status bench_limits_measure(bench_limits *limits, const bench_options *o, unclip_error *err) {
    static const uc_dtype types[] = { UC_F32, UC_BF16, UC_F16 };
    uc_backend *backend = NULL;
    bench_sink sink;
    *limits = (bench_limits){ 0 };
    unclip_status status = bench_device_open(&backend, o, UNCLIP_RUN_TIMED, &sink, err);
    if (status) return status;
    status = measure_copy(limits, backend, &sink, o, err);
    for (size_t i = 0; i < sizeof types / sizeof *types && !status; i++)
        if (backend->supports(backend, types[i])) status = measure_flops(limits, backend, &sink, o, types[i], err);
    backend->close(backend);
    return status;
}

unclip_status bench_measured_open(bench_measured *m, const bench_options *o, unclip_error *err) {
    unclip_status status = bench_report_new(&m->report, o, err);
    if (status) return status;
    status = bench_limits_measure(&m->limits, o, err);
    if (!status) status = bench_report_limits(&m->report, &m->limits, err);
    if (status) bench_measured_close(m);
    return status;
}

void bench_measured_close(bench_measured *m) { bench_report_close(&m->report); }

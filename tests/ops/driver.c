/* driver.c - see driver.h. */
#include "driver.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core/philox.h"
#include "kernels/compare.h"

static size_t bytes_of(uc_dtype type, uc_shape shape) { return (size_t)uc_shape_count(shape) * uc_dtype_size(type); }

static void *must_have(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 256, bytes ? bytes : 1)) abort();
    return p;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static double number(const op_case *c, int slot, uint64_t seed, int64_t i) {
    float four[4];
    uc_philox_normal4(seed, (uint32_t)slot, 0, (uint64_t)i / 4, four);
    double x = (double)four[i % 4];
    x = x < -4 ? -4 : x > 4 ? 4 : x;
    if (c->weights & 1u << slot) {
        /* results of the size of the inputs, as trained weights give */
        const uc_shape s = c->in[slot];
        double fan = 1;
        for (int d = 1; d < s.rank; d++) fan *= (double)s.dim[d];
        return s.rank > 1 ? x / sqrt(fan) : 0.3 * x + (slot == 1 ? 1 : 0);
    }
    if (c->kind == UC_OP_timestep) return fabs(x) * 249;
    if (c->kind == UC_OP_attention && (slot == UC_ATT_BIAS || slot == UC_ATT_CTX_BIAS))
        return i % 7 == 3 ? -10000 : x; /* masked keys */
    if (slot > 0) return x;
    if (c->fill == FILL_FAR) return 1000 + x;
    if (c->fill == FILL_CONSTANT) return 0.75;
    if (c->fill == FILL_BROKEN && i % 11 == 3) return i % 2 ? NAN : i % 3 ? INFINITY : -INFINITY;
    if (c->fill == FILL_PEAKS) return i % 31 == 5 ? 30 * x : 0.1 * x;
    return x;
}

static void fill_input(void *data, const op_case *c, int slot, uint64_t seed) {
    const uc_shape s = c->in[slot];
    const int64_t count = uc_shape_count(s);
    for (int64_t i = 0; i < count; i++) {
        if (c->in_type[slot] == UC_I64) ((int64_t *)data)[i] = (int64_t)(seed * 1000 + (uint64_t)i * 77);
        else if (c->kind == UC_OP_embedding && slot == UC_EMB_IDS)
            ((int32_t *)data)[i] = (int32_t)(i * 7 % c->in[UC_EMB_TABLE].dim[0]);
        else if (c->kind == UC_OP_gather_token && slot == 1) ((int32_t *)data)[i] = (int32_t)(i * 3 % c->in[0].dim[1]);
        else uc_set(data, c->in_type[slot], i, number(c, slot, seed, i));
    }
}

static uc_layout layout_of(const op_case *c, bool output) {
    const bool other = c->kind == UC_OP_reorder && output;
    return other ? (c->layout == UC_PLAIN ? UC_NHWC : UC_PLAIN) : c->layout;
}

static uc_view view_of(const op_case *c, int slot, void *data) {
    const uc_shape s = c->in[slot];
    const bool picture = s.rank == 4 && !(c->weights & 1u << slot);
    return (uc_view){
        .dtype = c->in_type[slot], .layout = picture ? layout_of(c, false) : UC_PLAIN, .shape = s, .data = data
    };
}

void op_data_fill(op_data *d, const op_case *c, uint64_t seed) {
    memset(d, 0, sizeof *d);
    d->c = *c;
    d->launch = (uc_launch){ .kind = c->kind, .attrs = c->attrs, .step = &d->c.step, .threads = 1 };
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        if (!c->in[k].rank) continue;
        void *data = must_have(bytes_of(c->in_type[k], c->in[k]));
        fill_input(data, c, k, seed);
        d->launch.in[k] = view_of(c, k, data);
    }
}

void op_data_free(op_data *d) {
    for (int k = 0; k < UC_MAX_INPUTS; k++) free(d->launch.in[k].data);
    memset(d, 0, sizeof *d);
}

/* The case of image `image` alone, with its rows copied. Inputs with twice the batch hold two rows of each image. */
static void one_image(op_data *one, const op_data *all, int64_t image) {
    const int64_t n = all->c.in[0].dim[0];
    memset(one, 0, sizeof *one);
    one->c = all->c;
    one->launch = all->launch;
    one->launch.step = &one->c.step;
    for (int k = 0; k < UC_MAX_INPUTS; k++) {
        const uc_view *from = &all->launch.in[k];
        if (!from->data) continue;
        const bool batched = all->c.batched >> k & 1u;
        const int64_t rows = batched ? from->shape.dim[0] / n : from->shape.dim[0];
        const size_t row = bytes_of(from->dtype, from->shape) / (size_t)from->shape.dim[0];
        char *to = must_have((size_t)rows * row);
        for (int64_t r = 0; r < rows; r++)
            memcpy(to + (size_t)r * row, (char *)from->data + (size_t)(batched ? r * n + image : r) * row, row);
        one->launch.in[k].data = to;
        one->launch.in[k].shape.dim[0] = one->c.in[k].dim[0] = rows;
    }
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (one->c.out[k].rank) one->c.out[k].dim[0] /= n;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

typedef struct outputs {
    uc_view view[UC_MAX_OUTPUTS];
} outputs;

static void free_outputs(outputs *o) {
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) free(o->view[k].data);
}

/* Outputs and scratch start as NaN; operations that work in place find their inputs there. */
static outputs run_way(const op_data *d, const op_way *way, int threads, void *prepared) {
    outputs o = { 0 };
    uc_launch l = d->launch;
    l.threads = threads;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        if (!d->c.out[k].rank) continue;
        const size_t bytes = bytes_of(d->c.out_type, d->c.out[k]);
        o.view[k] = (uc_view){ .dtype = d->c.out_type,
                               .shape = d->c.out[k],
                               .data = must_have(bytes),
                               .layout = d->c.out[k].rank == 4 ? layout_of(&d->c, true) : UC_PLAIN };
        memset(o.view[k].data, 0xFF, bytes);
        l.out[k] = o.view[k];
        if (d->c.kind != UC_OP_noise_step) continue;
        const int slot = k ? UC_NOISE_X0 : UC_NOISE_X;
        memcpy(o.view[k].data, d->launch.in[slot].data, bytes);
        l.in[slot].data = o.view[k].data;
    }
    const size_t scratch = way->scratch ? way->scratch(way, &l, prepared) : 0;
    l.scratch = must_have(scratch);
    memset(l.scratch, 0xFF, scratch);
    way->run(way, &l, prepared);
    free(l.scratch);
    return o;
}

static void run_reference(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    uc_ref_kernel(l->kind)(l);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static bool same_bytes(const uc_view *a, const uc_view *b, int64_t b_row) {
    const size_t bytes = bytes_of(a->dtype, a->shape);
    return !memcmp(a->data, (const char *)b->data + (size_t)b_row * bytes, bytes);
}

static bool matches_reference(const op_data *d, const op_way *way, const outputs *result, char *text) {
    const op_way reference = { .name = "ref", .run = run_reference };
    op_data rounded = *d;
    rounded.launch.step = &rounded.c.step;
    uc_view *weight = &rounded.launch.in[1];
    void *copy = NULL;
    const bool library = d->c.kind == UC_OP_conv2d || d->c.kind == UC_OP_matmul;
    if (way->rounds_weight && library && weight->dtype != d->c.type && d->c.type != UC_F32) {
        copy = must_have(bytes_of(d->c.type, weight->shape));
        uc_convert(copy, d->c.type, weight->data, weight->dtype, uc_shape_count(weight->shape));
        weight->dtype = d->c.type;
        weight->data = copy;
    }
    outputs expected = run_way(&rounded, &reference, 1, NULL);
    bool good = true;
    free(copy);
    uc_launch l = d->launch;
    l.out[0] = result->view[0];
    for (int k = 0; k < UC_MAX_OUTPUTS && good; k++) {
        if (!result->view[k].data) continue;
        const uc_difference diff = uc_compare(&result->view[k], &expected.view[k], d->c.kind, uc_coarsest_type(&l),
                                              way->loses ? way->loses(way, &l) : 0);
        if (diff.found) uc_difference_text(&diff, d->c.out[k], text);
        good = !diff.found;
    }
    free_outputs(&expected);
    return good;
}

/* Prepared anew each time: a library may choose its kernels by the number of threads. */
static void *prepare_for(const op_data *d, const op_way *way, int threads, bool *skipped) {
    uc_launch l = d->launch;
    l.threads = threads;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        l.out[k] = (uc_view){ .dtype = d->c.out_type, .layout = d->c.layout, .shape = d->c.out[k] };
    *skipped = false;
    return way->prepare ? way->prepare(way, &l, skipped) : NULL;
}

static bool threads_agree(const op_data *d, const op_way *way, const outputs *single, char *text) {
    bool good = true;
    for (int threads = 2; threads <= 5 && good; threads++) {
        bool skipped;
        void *prepared = prepare_for(d, way, threads, &skipped);
        outputs other = run_way(d, way, threads, prepared);
        for (int k = 0; k < UC_MAX_OUTPUTS && good; k++)
            if (other.view[k].data) good = same_bytes(&single->view[k], &other.view[k], 0);
        if (!good) snprintf(text, UC_DIFFERENCE_TEXT, "%d threads give other bytes than 1", threads);
        free_outputs(&other);
        if (way->finish) way->finish(way, prepared);
    }
    return good;
}

static bool batch_agrees(const op_data *d, const op_way *way, const outputs *all, char *text) {
    const int64_t n = d->c.in[0].dim[0];
    bool good = true;
    for (int64_t i = 0; i < n && good && d->c.batched && n > 1; i += n - 1) {
        op_data one;
        one_image(&one, d, i);
        bool skipped;
        void *prepared = prepare_for(&one, way, 1, &skipped);
        outputs alone = run_way(&one, way, 1, prepared);
        for (int k = 0; k < UC_MAX_OUTPUTS && good; k++)
            if (alone.view[k].data) good = same_bytes(&alone.view[k], &all->view[k], i);
        if (!good)
            snprintf(text, UC_DIFFERENCE_TEXT, "image %lld alone has other bytes than in its batch", (long long)i);
        free_outputs(&alone);
        if (way->finish) way->finish(way, prepared);
        op_data_free(&one);
    }
    return good;
}

bool op_check(const op_case *c, const op_way *way, uint64_t seed, char message[OP_MESSAGE]) {
    op_data d;
    op_data_fill(&d, c, seed);
    bool skipped, good = true;
    void *prepared = prepare_for(&d, way, 1, &skipped);
    if (!skipped) {
        char text[UC_DIFFERENCE_TEXT] = "";
        outputs single = run_way(&d, way, 1, prepared);
        good = matches_reference(&d, way, &single, text) && threads_agree(&d, way, &single, text) &&
               batch_agrees(&d, way, &single, text);
        if (!good)
            snprintf(message, OP_MESSAGE,
                     "%s [%s] by %s, seed %llu: %s\nrerun: UC_SEED=%llu UC_CASE='%s' test_ops --filter 'ops/%s'",
                     uc_op_info_of(c->kind)->name, c->name, way->name, (unsigned long long)seed, text,
                     (unsigned long long)seed, c->name, uc_op_info_of(c->kind)->name);
        free_outputs(&single);
    }
    if (way->finish && !skipped) way->finish(way, prepared);
    op_data_free(&d);
    return good;
}

/* test_simt_ops.c - the CUDA kernels of every arrow of the flow, run by the emulator on every case of the common list and
 * on those of rows.c, against the double reference: in three orders of lanes, every row of every table at least once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda_ops.h"
#include "kernels/simt/control.h"
#include "harness.h"
#include "rows.h"
#include "tests/ops/driver.h"

/* Of larger cases only one a row is run: sanitizers make a thread many times slower. */
#ifndef SIMT_MOST_NUMBERS
#define SIMT_MOST_NUMBERS 4000000
#endif

static unclip_error last_error;

static size_t scratch(const op_way *way, const uc_launch *l, void *prepared) {
    (void)way, (void)prepared;
    return uc_cuda_kernel(l->kind).scratch(l);
}

/* One OS thread runs blocks in the order that is set; the driver's second and third number of threads are the other
 * orders, so that it compares their bytes. */
static void run(const op_way *way, const uc_launch *l, void *prepared) {
    static const simt_order orders[] = { SIMT_FORWARD, SIMT_REVERSE, SIMT_RANDOM };
    (void)way, (void)prepared;
    simt_clear_error();
    simt_set_order(orders[(l->threads - 1) % 3], 12345);
    unclip_error err = { 0 };
    if (uc_cuda_kernel(l->kind).run(l, NULL, &err)) last_error = err;
}

static double numbers_of(const op_case *c) {
    double sum = (double)uc_shape_count(c->out[0]);
    for (int k = 0; k < UC_MAX_INPUTS; k++) sum += c->in[k].rank ? (double)uc_shape_count(c->in[k]) : 0;
    return sum;
}

typedef struct progress {
    bool hit[UC_CUDA_MAX_ROWS];
    bool large; /* second round: the first large case of each row that no small one has hit */
    int cases;
} progress;

/* The launch with what the choice of a row needs to know of its outputs. */
static uc_launch planned_launch(const op_data *d) {
    const op_case *c = &d->c;
    uc_launch l = d->launch;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        uc_layout layout = c->out[k].rank == 4 ? c->layout : UC_PLAIN;
        if (c->kind == UC_OP_reorder && c->out[k].rank == 4) layout = layout == UC_PLAIN ? UC_NHWC : UC_PLAIN;
        l.out[k] = (uc_view){ .dtype = c->out_type, .shape = c->out[k], .layout = layout };
        if (c->kind == UC_OP_noise_step) l.out[k].data = l.in[k ? UC_NOISE_X0 : UC_NOISE_X].data;
    }
    return l;
}

static void check(void *user, const op_case *c) {
    progress *p = user;
    const char *only = getenv("UC_CASE");
    char message[OP_MESSAGE] = "";
    const bool large = numbers_of(c) > SIMT_MOST_NUMBERS;
    if (large != p->large || (only && strcmp(only, c->name) != 0)) return;
    const op_way way = { .name = "emulator", .scratch = scratch, .run = run };
    op_data d;
    op_data_fill(&d, c, 1);
    const uc_launch l = planned_launch(&d);
    const uc_cuda_rows rows = uc_cuda_kernel(c->kind).rows(&l);
    op_data_free(&d);
    expect(rows.chosen >= 0, "%s [%s]: no row", uc_op_info_of(c->kind)->name, c->name);
    if (rows.chosen < 0 || (large && p->hit[rows.chosen])) return;
    p->hit[rows.chosen] = true;
    p->cases++;
    last_error = (unclip_error){ 0 };
    expect(op_check(c, &way, (uint64_t)p->cases, message), "row %s: %s (UC_CASE also chooses here)\n%s",
           rows.name[rows.chosen], message, last_error.message);
}

static void check_operation(uc_op_kind kind) {
    progress p = { .large = false };
    size_t count;
    const op_case *cases = op_cases(kind, &count);
    for (int round = 0; round < 2; round++) {
        p.large = round;
        extra_cases(kind, check, &p);
        for (size_t i = 0; i < count; i++) check(&p, &cases[i]);
    }
    if (getenv("UC_CASE")) return;
    const uc_cuda_rows rows = uc_cuda_kernel(kind).rows(NULL);
    for (int i = 0; i < rows.count; i++)
        expect(p.hit[i], "%s: no case runs row %s", uc_op_info_of(kind)->name, rows.name[i]);
}

#define UC_TEST_OP(name) \
    SIMT_TEST(name) { check_operation(UC_OP_##name); }
UC_CUDA_OPS(UC_TEST_OP)

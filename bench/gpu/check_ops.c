/* check_ops.c - every case of every operation of the flow on one device, against the double reference:
 * unclip-check-ops. The same list and the same checks as the tests', in a program that needs no test framework, so
 * that it also runs under compute-sanitizer and on machines with few packages. On CUDA devices the extra cases of
 * the emulator's lanes are included and every row of every table of specialisations must have been run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cuda/sim.h"
#include "tests/ops/device_way.h"
#include "tests/ops/driver.h"
#include "tests/simt/rows.h"

#ifdef UC_HAVE_CUDA
#include "kernels/cuda/cuda_ops.h"
#endif

enum { MOST_ROWS = 64 };

typedef struct checker {
    op_way way; /* first */
    uc_device device;
    unclip_error failure;    /* of the launch that was run last */
    const char *op, *wanted; /* operation and part of a case's name; NULL = all */
    double most;             /* numbers in a case; 0 = any */
    bool own;                /* only what is hand-written, not what libraries compute */
    bool hit[MOST_ROWS];     /* of the operation at hand */
    int cases, passed, failed;
} checker;

static void run_on_device(const op_way *way, const uc_launch *launch, void *prepared) {
    checker *k = (checker *)(uintptr_t)way;
    unclip_error err = { 0 };
    (void)prepared;
    if (op_device_run(&k->device, launch, &err)) k->failure = err;
}

static double numbers_of(const op_case *c) {
    double sum = (double)uc_shape_count(c->out[0]);
    for (int k = 0; k < UC_MAX_INPUTS; k++) sum += c->in[k].rank ? (double)uc_shape_count(c->in[k]) : 0;
    return sum;
}

/* ---- rows of the tables ------------------------------------------------------------------------------------------ */

#ifdef UC_HAVE_CUDA
static void note_row(checker *k, const op_case *c) {
    const uc_cuda_kernel_entry kernel = uc_cuda_kernel(c->kind);
    if (!kernel.rows || strncmp(k->device.name, "cuda", 4) != 0) return;
    op_data d;
    op_data_fill(&d, c, 1);
    uc_launch l = d.launch;
    for (int i = 0; i < UC_MAX_OUTPUTS; i++) {
        uc_layout layout = c->out[i].rank == 4 ? c->layout : UC_PLAIN;
        if (c->kind == UC_OP_reorder && c->out[i].rank == 4) layout = layout == UC_PLAIN ? UC_NHWC : UC_PLAIN;
        l.out[i] = (uc_view){ .dtype = c->out_type, .shape = c->out[i], .layout = layout };
        if (c->kind == UC_OP_noise_step) l.out[i].data = l.in[i ? UC_NOISE_X0 : UC_NOISE_X].data;
    }
    const uc_cuda_rows rows = kernel.rows(&l);
    if (rows.chosen >= 0) k->hit[rows.chosen] = true;
    op_data_free(&d);
}

/* Rows that no case ran; all of them can only be asked for when nothing was left out. */
static int missing_rows(const checker *k, uc_op_kind kind) {
    const uc_cuda_kernel_entry kernel = uc_cuda_kernel(kind);
    int missing = 0;
    if (!kernel.rows || k->most > 0 || k->wanted || strncmp(k->device.name, "cuda", 4) != 0) return 0;
    const uc_cuda_rows rows = kernel.rows(NULL);
    for (int i = 0; i < rows.count; i++) {
        if (k->hit[i]) continue;
        printf("FAILED %s: no case runs row %s\n", uc_op_info_of(kind)->name, rows.name[i]);
        missing++;
    }
    return missing;
}
#else
static void note_row(checker *k, const op_case *c) { (void)k, (void)c; }
static int missing_rows(const checker *k, uc_op_kind kind) { return (void)k, (void)kind, 0; }
#endif

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static void check_case(void *user, const op_case *c) {
    checker *k = user;
    char message[OP_MESSAGE] = "";
    if ((k->wanted && !strstr(c->name, k->wanted)) || (k->most > 0 && numbers_of(c) > k->most)) return;
    k->cases++;
    if (k->device.lost) {
        k->failed++;
        return;
    }
    note_row(k, c);
    k->failure = (unclip_error){ 0 };
    const bool good = op_check(c, &k->way, (uint64_t)k->cases, message) && !k->failure.status;
    if (good) k->passed++;
    else k->failed++;
    if (!good) printf("FAILED %s %s\n", message[0] ? message : c->name, k->failure.message);
    fflush(stdout);
}

static void check_operation(checker *k, uc_op_kind kind) {
    const checker before = *k;
    size_t count;
    const op_case *cases = op_cases(kind, &count);
    memset(k->hit, 0, sizeof k->hit);
    k->cases = 0;
    for (size_t i = 0; i < count; i++) check_case(k, &cases[i]);
    if (!strncmp(k->device.name, "cuda", 4)) extra_cases(kind, check_case, k); /* rows of tables that others lack */
    k->failed += missing_rows(k, kind);
    printf("%s: %d cases, %d failed\n", uc_op_info_of(kind)->name, k->cases, k->failed - before.failed);
    fflush(stdout);
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

static const char help[] =
    "usage: unclip-check-ops [--device cuda:N|sim:N] [--op NAME] [--case PART OF A NAME] [--most NUMBERS IN A CASE]\n"
    "                        [--libraries 0|1]: 0 leaves convolution and matmul out\n";

static bool read_flags(checker *k, const char **device, int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        char *end = NULL;
        if (!strcmp(argv[i], "--device")) *device = value;
        else if (!strcmp(argv[i], "--op")) k->op = value;
        else if (!strcmp(argv[i], "--case")) k->wanted = value;
        else if (!strcmp(argv[i], "--libraries") && (!strcmp(value, "0") || !strcmp(value, "1"))) k->own = *value == '0';
        else if (!strcmp(argv[i], "--most")) {
            k->most = strtod(value, &end);
            if (end == value || *end || k->most < 1) return false;
        } else return false;
    }
    return argc % 2 == 1;
}

/* "cuda:N" or "sim:N". */
static unclip_status open_runtime(uc_runtime **rt, const char *name, int *number, unclip_error *err) {
    const uc_sim_options options = { .devices = 8, .seed = 1 };
    const char *colon = strchr(name, ':');
    *number = colon ? atoi(colon + 1) : 0;
    if (!strncmp(name, "sim", 3)) return uc_runtime_sim_new(rt, &options, err);
#ifdef UC_HAVE_CUDA
    if (!strncmp(name, "cuda", 4)) return uc_runtime_cuda_new(rt, err);
#endif
    return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s: this build has none of this name", name);
}

int main(int argc, char **argv) {
    checker k = { .way = { .name = "device", .run = run_on_device, .rounds_weight = true } };
    const char *device = "cuda:0";
    uc_runtime *rt = NULL;
    unclip_error err = { 0 };
    int number = 0, known = 0;
    if (!read_flags(&k, &device, argc, argv)) {
        fputs(help, stderr);
        return 2;
    }
    if (open_runtime(&rt, device, &number, &err) || uc_device_open(&k.device, rt, number, &err)) {
        fprintf(stderr, "%s\n", err.message);
        if (rt) rt->close(rt);
        return 2;
    }
    for (int kind = UC_OP_NONE + 1; kind < UC_OP_COUNT; kind++) {
        if (k.op && strcmp(k.op, uc_op_info_of((uc_op_kind)kind)->name) != 0) continue;
        if (k.own && (kind == UC_OP_conv2d || kind == UC_OP_matmul)) continue;
        known++;
        check_operation(&k, (uc_op_kind)kind);
    }
    if (!known) fprintf(stderr, "%s: no such operation\n", k.op);
    if (k.device.lost) printf("FAILED %s\n", k.device.why_lost);
    uc_device_close(&k.device);
    rt->close(rt);
    printf("%d passed, %d failed, 0 skipped\n", k.passed, k.failed);
    return !known || k.failed || !k.passed;
}

/* sim_ops.c - what the simulated devices (see sim.h) do: copies, and operations on the CPU's kernels or the emulator's.
 * Pointers are checked when work is enqueued and again when it is run. Convolution and matmul are given a workspace,
 * which they spoil as libraries do, and must get addresses as even as the libraries are told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/cuda/cuda_ops.h"
#include "sim_parts.h"

enum { LIBRARY_SCRATCH = 300, LIBRARY_ALIGN = 256 };

/* ---- copies ------------------------------------------------------------------------------------------------------ */

/* Enqueues a copy whose first access is of device `from_device` and whose second one of `to_device`; -1 is the host. */
static int enqueue_copy(sim_runtime *s, uc_stream *stream, sim_work *w, int from_device, int to_device) {
    const char *read = from_device < 0 ? "copy from the host" : "copy from a device";
    const char *write = to_device < 0 ? "copy to the host" : "copy to a device";
    if (!w->bytes) return 0;
    int failed = sim_add_access(s, w, w->from, w->bytes, false, read);
    if (!failed) failed = sim_add_access(s, w, w->to, w->bytes, true, write);
    if (!failed) failed = sim_check_access(s, &w->access[0], from_device);
    if (!failed) failed = sim_check_access(s, &w->access[1], to_device);
    if (!failed) failed = sim_enqueue(s, stream, w);
    /* whoever reads it without waiting shall see that nothing is there yet */
    if (!failed && to_device < 0 && !stream->capture) memset(sim_real(&w->access[1]), 0xFF, w->bytes);
    return failed;
}

static int to_device(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    sim_work w = { .kind = SIM_COPY, .to = to, .from = from, .bytes = bytes };
    const int failed = sim_call(s, "to_device");
    return failed ? failed : enqueue_copy(s, stream, &w, -1, s->current);
}

static int to_host(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    sim_work w = { .kind = SIM_COPY, .to = to, .from = from, .bytes = bytes };
    const int failed = sim_call(s, "to_host");
    return failed ? failed : enqueue_copy(s, stream, &w, s->current, -1);
}

/* Peer copies need no peer access: without it they go through the host. */
static int to_peer(uc_runtime *rt, void *to, int at_device, const void *from, int from_device, size_t bytes,
                   uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    sim_work w = { .kind = SIM_COPY, .to = to, .from = from, .bytes = bytes };
    const int failed = sim_call(s, "to_peer");
    if (failed || !bytes) return failed;
    if (at_device < 0 || at_device >= s->options.devices || from_device < 0 || from_device >= s->options.devices)
        return sim_misuse(s, UC_CUDA_InvalidDevice, "to_peer: from device %d to device %d", from_device, at_device);
    return enqueue_copy(s, stream, &w, from_device, at_device);
}

static int set_bytes(uc_runtime *rt, void *at, int byte, size_t bytes, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    sim_work w = { .kind = SIM_SET, .to = at, .byte = byte, .bytes = bytes };
    int failed = sim_call(s, "set_bytes");
    if (failed || !bytes) return failed;
    failed = sim_add_access(s, &w, at, bytes, true, "set_bytes");
    if (!failed) failed = sim_check_access(s, &w.access[0], s->current);
    return failed ? failed : sim_enqueue(s, stream, &w);
}

/* ---- operations: enqueueing -------------------------------------------------------------------------------------- */

static size_t view_bytes(const uc_view *v) { return (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype); }

static bool is_emulated(const sim_runtime *s, const uc_launch *l) {
    return s->options.emulated && uc_shape_count(l->out[0].shape) <= s->options.emulate_most &&
           s->options.emulated(l->kind);
}

static bool is_library(const uc_launch *l) { return l->kind == UC_OP_conv2d || l->kind == UC_OP_matmul; }

static size_t op_scratch(uc_runtime *rt, const uc_launch *l) {
    const sim_runtime *s = sim_of(rt);
    if (is_emulated(s, l)) return s->options.emulated_scratch ? s->options.emulated_scratch(l) : 0;
    return is_library(l) ? LIBRARY_SCRATCH : 0;
}

static int check_alignment(sim_runtime *s, const uc_launch *l, const void *at, size_t bytes, const char *what) {
    if ((uintptr_t)at % bytes == 0) return 0;
    return sim_misuse(s, UC_CUDA_MisalignedAddress, "%s: %s at %p, which is no multiple of %zu",
                      uc_op_info_of(l->kind)->name, what, at, bytes);
}

/* What the libraries were told when they chose. */
static int check_library(sim_runtime *s, const uc_launch *l) {
    int failed = check_alignment(s, l, l->scratch, LIBRARY_ALIGN, "the workspace");
    if (!failed) failed = check_alignment(s, l, l->out[0].data, uc_cuda_image_alignment(&l->out[0]), "the result");
    for (int k = 0; k < UC_MAX_INPUTS && !failed; k++)
        if (l->in[k].data)
            failed = check_alignment(s, l, l->in[k].data, uc_cuda_image_alignment(&l->in[k]), "an operand");
    return failed;
}

/* Every operand, in a fixed order; run_op walks through them in the same one. */
static int add_operands(sim_runtime *s, sim_work *w, const uc_launch *l) {
    const char *name = uc_op_info_of(l->kind)->name;
    int failed = 0;
    for (int k = 0; k < UC_MAX_INPUTS && !failed; k++)
        if (l->in[k].data) failed = sim_add_access(s, w, l->in[k].data, view_bytes(&l->in[k]), false, name);
    for (int k = 0; k < UC_MAX_OUTPUTS && !failed; k++)
        if (l->out[k].data) failed = sim_add_access(s, w, l->out[k].data, view_bytes(&l->out[k]), true, name);
    const size_t scratch = op_scratch(&s->table, l);
    if (!failed && scratch) failed = sim_add_access(s, w, l->scratch, scratch, true, name);
    if (!failed && l->step) failed = sim_add_access(s, w, l->step, sizeof *l->step, false, name);
    for (int i = 0; i < w->access_count && !failed; i++) failed = sim_check_access(s, &w->access[i], s->current);
    return failed;
}

static int op_prepare(uc_runtime *rt, const uc_launch *l, const uc_device_op **op) {
    sim_runtime *s = sim_of(rt);
    const int failed = sim_call(s, "op_prepare");
    *op = NULL;
    if (failed) return failed;
    return l->kind > UC_OP_NONE && l->kind < UC_OP_COUNT ? 0 : UC_CUDA_NotSupported;
}

static int op_launch(uc_runtime *rt, const uc_device_op *op, const uc_launch *l, uc_stream *stream) {
    sim_runtime *s = sim_of(rt);
    (void)op;
    int failed = sim_call(s, "op_launch");
    if (failed) return failed;
    sim_work w = { .kind = SIM_OP, .launch = *l };
    if (!uc_op_reads_step(l->kind)) w.launch.step = NULL;
    failed = add_operands(s, &w, &w.launch);
    if (!failed && is_library(l) && !is_emulated(s, l)) failed = check_library(s, l);
    return failed ? failed : sim_enqueue(s, stream, &w);
}

/* ---- operations: running ----------------------------------------------------------------------------------------- */

/* A filter with its channels innermost, as convolutions on devices want it, in the order that the CPU's kernel
 * wants. */
static void *plain_filter(uc_view *weight) {
    const int64_t *d = weight->shape.dim;
    const size_t size = uc_dtype_size(weight->dtype);
    char *plain = malloc(view_bytes(weight) + 1);
    if (!plain) return NULL;
    char *to = plain;
    for (int64_t o = 0; o < d[0]; o++)
        for (int64_t c = 0; c < d[1]; c++)
            for (int64_t y = 0; y < d[2]; y++)
                for (int64_t x = 0; x < d[3]; x++, to += size)
                    memcpy(to, (const char *)weight->data + (size_t)uc_at4(weight, o, c, y, x) * size, size);
    weight->data = plain;
    weight->layout = UC_PLAIN;
    return plain;
}

static int run_on_cpu(sim_runtime *s, uc_launch *l) {
    const uc_cpu_kernel_entry kernel = uc_cpu_kernel(l->kind);
    void *filter = NULL, *scratch = NULL;
    const bool filtered = l->kind == UC_OP_conv2d && l->in[UC_CONV_WEIGHT].layout == UC_NHWC;
    if (filtered) filter = plain_filter(&l->in[UC_CONV_WEIGHT]);
    const size_t bytes = kernel.scratch(l);
    if (is_library(l)) memset(l->scratch, 0xFF, LIBRARY_SCRATCH);
    if ((filtered && !filter) || posix_memalign(&scratch, 256, bytes ? bytes : 1)) {
        free(filter);
        return sim_misuse(s, UC_CUDA_MemoryAllocation, "the simulation is out of memory");
    }
    l->scratch = scratch;
    kernel.run(l);
    free(scratch);
    free(filter);
    return 0;
}

static int run_op(sim_runtime *s, const sim_work *w) {
    uc_launch l = w->launch;
    int at = 0;
    for (int k = 0; k < UC_MAX_INPUTS; k++)
        if (l.in[k].data) l.in[k].data = sim_real(&w->access[at++]);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (l.out[k].data) l.out[k].data = sim_real(&w->access[at++]);
    if (op_scratch(&s->table, &l)) l.scratch = sim_real(&w->access[at++]);
    if (l.step) l.step = sim_real(&w->access[at++]);
    l.threads = s->options.threads;
    if (!is_emulated(s, &l)) return run_on_cpu(s, &l);
    unclip_error err = { 0 };
    if (!s->options.emulated(l.kind)(&l, &err)) return 0;
    return sim_misuse(s, err.status == UNCLIP_ERR_UNSUPPORTED ? UC_CUDA_NotSupported : UC_CUDA_LaunchFailure, "%s",
                      err.message);
}

int sim_run_work(sim_runtime *s, const sim_work *w) {
    for (int i = 0; i < w->access_count; i++) {
        const sim_access *a = &w->access[i];
        const int failed = a->block->data ? 0 : sim_check_access(s, a, w->device);
        if (failed) return failed;
    }
    switch (w->kind) {
    case SIM_COPY: memcpy(sim_real(&w->access[1]), sim_real(&w->access[0]), w->bytes); return 0;
    case SIM_SET: memset(sim_real(&w->access[0]), w->byte, w->bytes); return 0;
    case SIM_OP: return run_op(s, w);
    default: return 0;
    }
}

void sim_op_functions(uc_runtime *table) {
    table->to_device = to_device;
    table->to_host = to_host;
    table->to_peer = to_peer;
    table->set_bytes = set_bytes;
    table->op_scratch = op_scratch;
    table->op_prepare = op_prepare;
    table->op_launch = op_launch;
}

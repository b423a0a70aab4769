/* device_way.c - see device_way.h. */
#include "device_way.h"

#include <stdlib.h>
#include <string.h>

/* A launch with its operands in device memory, and what has to be given back. */
typedef struct guest {
    uc_device *device;
    uc_launch launch;
    void *blocks[UC_MAX_INPUTS + UC_MAX_OUTPUTS + 2];
    int count;
} guest;

static size_t bytes_of(const uc_view *v) { return (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype); }

static unclip_status block(guest *g, void **at, size_t bytes, const void *filling, unclip_error *err) {
    *at = NULL;
    unclip_status status = uc_device_alloc(g->device, at, bytes, err, "an operand");
    if (status) return status;
    g->blocks[g->count++] = *at;
    if (filling) status = uc_device_upload(g->device, *at, filling, bytes, err);
    return status;
}

/* A filter with its channels innermost, in the activations' type. */
static unclip_status filter(guest *g, const uc_view *from, unclip_error *err) {
    const int64_t *d = from->shape.dim;
    uc_view *to = &g->launch.in[UC_CONV_WEIGHT];
    const uc_weight_form form = uc_weight_form_of(UC_OP_conv2d, UC_CONV_WEIGHT, g->launch.in[UC_CONV_X].dtype);
    to->dtype = form.dtype;
    to->layout = form.layout;
    void *data = malloc(bytes_of(to) + 1);
    if (!data) return uc_fail_memory(err, bytes_of(to), "a filter");
    for (int64_t o = 0; o < d[0]; o++)
        for (int64_t c = 0; c < d[1]; c++)
            for (int64_t y = 0; y < d[2]; y++)
                for (int64_t x = 0; x < d[3]; x++)
                    uc_set(data, to->dtype, uc_at4(to, o, c, y, x),
                           uc_get(from->data, from->dtype, uc_at4(from, o, c, y, x)));
    const unclip_status status = block(g, &to->data, bytes_of(to), data, err);
    free(data);
    return status;
}

/* Another weight in the type in which the backend would keep it. */
static unclip_status vector(guest *g, int slot, const uc_view *from, unclip_error *err) {
    uc_view *to = &g->launch.in[slot];
    to->dtype = uc_weight_form_of(g->launch.kind, slot, g->launch.in[0].dtype).dtype;
    void *data = malloc(bytes_of(to) + 1);
    if (!data) return uc_fail_memory(err, bytes_of(to), "a weight");
    uc_convert(data, to->dtype, from->data, from->dtype, uc_shape_count(from->shape));
    const unclip_status status = block(g, &to->data, bytes_of(to), data, err);
    free(data);
    return status;
}

/* The libraries take weights in the activations' type alone. */
static bool is_library_weight(const uc_launch *l, int slot) {
    return (l->kind == UC_OP_matmul && (slot == UC_MATMUL_WEIGHT || slot == UC_MATMUL_BIAS)) ||
           (l->kind == UC_OP_conv2d && slot == UC_CONV_BIAS);
}

static unclip_status move_in(guest *g, const uc_launch *host, unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (int k = 0; k < UC_MAX_INPUTS && !status; k++) {
        const uc_view *from = &host->in[k];
        if (!from->data) continue;
        if (host->kind == UC_OP_conv2d && k == UC_CONV_WEIGHT) status = filter(g, from, err);
        else if (is_library_weight(host, k)) status = vector(g, k, from, err);
        else status = block(g, &g->launch.in[k].data, bytes_of(from), from->data, err);
    }
    for (int k = 0; k < UC_MAX_OUTPUTS && !status; k++) {
        if (!host->out[k].data) continue;
        void **at = &g->launch.out[k].data;
        *at = NULL;
        for (int i = 0; i < UC_MAX_INPUTS; i++) /* in place */
            if (host->in[i].data == host->out[k].data) *at = g->launch.in[i].data;
        if (!*at) status = block(g, at, bytes_of(&host->out[k]), host->out[k].data, err);
    }
    return status;
}

static unclip_status run(guest *g, const uc_launch *host, unclip_error *err) {
    uc_device *d = g->device;
    const uc_device_op *op = NULL;
    void *step = NULL;
    unclip_status status = move_in(g, host, err);
    if (!status && host->step) status = block(g, &step, sizeof *host->step, host->step, err);
    g->launch.step = step;
    g->launch.scratch = NULL;
    const size_t scratch = status ? 0 : d->rt->op_scratch(d->rt, &g->launch);
    if (scratch) status = block(g, &g->launch.scratch, scratch, NULL, err);
    if (!status)
        status = uc_device_check(d, d->rt->op_prepare(d->rt, &g->launch, &op), err, "preparing %s",
                                 uc_op_info_of(host->kind)->name);
    if (!status)
        status = uc_device_check(d, d->rt->op_launch(d->rt, op, &g->launch, d->compute), err, "launching %s",
                                 uc_op_info_of(host->kind)->name);
    for (int k = 0; k < UC_MAX_OUTPUTS && !status; k++)
        if (host->out[k].data)
            status = uc_device_download(d, host->out[k].data, g->launch.out[k].data, bytes_of(&host->out[k]), err);
    return status;
}

unclip_status op_device_run(uc_device *d, const uc_launch *launch, unclip_error *err) {
    guest g = { .device = d, .launch = *launch };
    unclip_status status = uc_device_enter(d, err);
    if (!status) status = run(&g, launch, err);
    uc_device_drain(d);
    for (int i = 0; i < g.count; i++) (void)d->rt->release(d->rt, g.blocks[i]);
    return status;
}

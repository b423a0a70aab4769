/* device_weights.c - the networks' weights on a device: converted and put in order on their way through pinned
 * memory, on a stream of their own, once for all programs. Part of device.h. */
#include <stdlib.h>
#include <string.h>

#include "device.h"

/* Filters with their input channels innermost, as convolutions on NHWC pictures read them. What norms scale and
 * shift by stays in f32: it is small, and a bias in half precision is not. */
uc_weight_form uc_weight_form_of(uc_op_kind kind, int slot, uc_dtype type) {
    if (kind == UC_OP_conv2d && slot == UC_CONV_WEIGHT) return (uc_weight_form){ type, UC_NHWC };
    if (kind == UC_OP_conv2d || kind == UC_OP_matmul || kind == UC_OP_embedding)
        return (uc_weight_form){ type, UC_PLAIN };
    return (uc_weight_form){ UC_F32, UC_PLAIN };
}

/* One filter [channels, positions] in its own order to [positions, channels]. */
static void reorder_filter(void *to, const void *from, size_t size, int64_t channels, int64_t positions) {
    for (int64_t p = 0; p < positions; p++)
        for (int64_t c = 0; c < channels; c++) {
            const int64_t at = p * channels + c, source = c * positions + p;
            if (size == 4) ((uint32_t *)to)[at] = ((const uint32_t *)from)[source];
            else ((uint16_t *)to)[at] = ((const uint16_t *)from)[source];
        }
}

/* A weight as rows that lie together on both sides. */
typedef struct rows { int64_t count, length; } rows;

static rows rows_of(const uc_view *view, uc_weight_form form) {
    const int64_t count = uc_shape_count(view->shape);
    if (form.layout == UC_NHWC) return (rows){ view->shape.dim[0], count / view->shape.dim[0] };
    return (rows){ count, 1 };
}

static void fill(uc_device *d, char *to, const uc_view *view, uc_weight_form form, rows r, int64_t first,
                 int64_t count) {
    const char *from = (const char *)view->data + (size_t)(first * r.length) * uc_dtype_size(view->dtype);
    const size_t size = uc_dtype_size(form.dtype);
    if (form.layout == UC_PLAIN) {
        uc_convert(to, form.dtype, from, view->dtype, count * r.length);
        return;
    }
    const int64_t channels = view->shape.dim[1], positions = r.length / channels;
    for (int64_t i = 0; i < count; i++) {
        uc_convert(d->row, form.dtype, from + (size_t)(i * r.length) * uc_dtype_size(view->dtype), view->dtype,
                   r.length);
        reorder_filter(to + (size_t)(i * r.length) * size, d->row, size, channels, positions);
    }
}

static unclip_status send(uc_device *d, void *to, const uc_view *view, uc_weight_form form, unclip_error *err) {
    const rows r = rows_of(view, form);
    const size_t row_bytes = (size_t)r.length * uc_dtype_size(form.dtype);
    if (row_bytes > d->staging.slot_bytes)
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "%s: a filter of %zu bytes, at most %zu fit", d->name, row_bytes,
                       d->staging.slot_bytes);
    if (form.layout == UC_NHWC && row_bytes > d->row_bytes) {
        char *grown = realloc(d->row, row_bytes);
        if (!grown) return uc_fail_memory(err, row_bytes, "a filter");
        d->row = grown;
        d->row_bytes = row_bytes;
    }
    const int64_t most = (int64_t)(d->staging.slot_bytes / row_bytes);
    unclip_status status = UNCLIP_OK;
    for (int64_t first = 0; first < r.count && !status; first += most) {
        const int64_t count = r.count - first < most ? r.count - first : most;
        char *slot = NULL;
        status = uc_ring_take(d, &d->staging, &slot, err);
        if (status) break;
        fill(d, slot, view, form, r, first, count);
        status = uc_device_check(d, d->rt->to_device(d->rt, (char *)to + (size_t)first * row_bytes, slot,
                                                     (size_t)count * row_bytes, d->copies), err, "copying weights");
        if (!status) status = uc_ring_give(d, &d->staging, d->copies, err);
    }
    return status;
}

static unclip_status add_weight(uc_device *d, const uc_view *view, uc_weight_form form, const char *name,
                                unclip_error *err) {
    if (d->weight_count == d->weight_capacity) {
        const size_t capacity = d->weight_capacity ? 2 * d->weight_capacity : 256;
        uc_device_weight *grown = realloc(d->weights, capacity * sizeof *grown);
        if (!grown) return uc_fail_memory(err, capacity * sizeof *grown, "the list of weights");
        d->weights = grown;
        d->weight_capacity = capacity;
    }
    uc_device_weight *w = &d->weights[d->weight_count];
    *w = (uc_device_weight){ .data = view->data, .form = form, .count = uc_shape_count(view->shape) };
    unclip_status status = uc_device_alloc(d, &w->at, (size_t)w->count * uc_dtype_size(form.dtype), err, name);
    if (status) return status;
    status = send(d, w->at, view, form, err);
    if (status) {
        uc_device_drain(d);
        (void)d->rt->release(d->rt, w->at);
        return status;
    }
    d->weight_count++;
    return UNCLIP_OK;
}

unclip_status uc_device_weight_of(uc_device *d, uc_view *view, uc_weight_form form, const char *name,
                                  unclip_error *err) {
    const int64_t count = uc_shape_count(view->shape);
    const uc_device_weight *found = NULL;
    for (size_t i = 0; i < d->weight_count && !found; i++) {
        const uc_device_weight *w = &d->weights[i];
        if (w->data == view->data && w->count == count && w->form.dtype == form.dtype && w->form.layout == form.layout)
            found = w;
    }
    if (!found) {
        const unclip_status status = add_weight(d, view, form, name, err);
        if (status) return status;
        found = &d->weights[d->weight_count - 1];
    }
    view->data = found->at;
    view->dtype = form.dtype;
    view->layout = form.layout;
    return UNCLIP_OK;
}

unclip_status uc_device_weights_ready(uc_device *d, unclip_error *err) {
    unclip_status status = uc_device_check(d, d->rt->event_record(d->rt, d->weights_there, d->copies), err,
                                           "recording an event");
    if (!status)
        status =
            uc_device_check(d, d->rt->event_wait(d->rt, d->compute, d->weights_there), err, "waiting for the weights");
    return status;
}

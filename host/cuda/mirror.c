/* mirror.c - run mode checked of the CUDA backend, for every operation of the flow; see backend_cuda.h. */
#include <stdlib.h>

#include "../../kernels/compare.h"
#include "backend_cuda.h"

static size_t view_bytes(const uc_view *v) {
    return v->data ? (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype) : 0;
}

static unclip_status room(void **buffers, const size_t *bytes, int count, const uc_plan *plan, unclip_error *err) {
    for (int k = 0; k < count; k++) {
        buffers[k] = calloc(bytes[k] + 1, 1);
        if (!buffers[k]) return uc_fail_memory(err, bytes[k], plan->graph->name);
    }
    return UNCLIP_OK;
}

unclip_status uc_mirror_new(uc_mirror *m, const uc_plan *plan, const uc_launch *launches, unclip_error *err) {
    size_t in[UC_MAX_INPUTS] = { 0 }, out[UC_MAX_OUTPUTS] = { 0 };
    for (int32_t i = 0; i < plan->graph->op_count; i++) {
        for (int k = 0; k < UC_MAX_INPUTS; k++)
            if (view_bytes(&launches[i].in[k]) > in[k]) in[k] = view_bytes(&launches[i].in[k]);
        for (int k = 0; k < UC_MAX_OUTPUTS; k++)
            if (view_bytes(&launches[i].out[k]) > out[k]) out[k] = view_bytes(&launches[i].out[k]);
    }
    unclip_status status = room(m->in, in, UC_MAX_INPUTS, plan, err);
    if (!status) status = room(m->result, out, UC_MAX_OUTPUTS, plan, err);
    if (!status) status = room(m->reference, out, UC_MAX_OUTPUTS, plan, err);
    return status;
}

void uc_mirror_free(uc_mirror *m) {
    for (int k = 0; k < UC_MAX_INPUTS; k++) free(m->in[k]);
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        free(m->result[k]);
        free(m->reference[k]);
    }
}

static bool is_input(const uc_launch *l, const void *at) {
    for (int k = 0; k < UC_MAX_INPUTS; k++)
        if (l->in[k].data == at) return true;
    return false;
}

unclip_status uc_mirror_before(uc_mirror *m, uc_device *d, const uc_launch *launch, const uc_step *step,
                               unclip_error *err) {
    uc_launch l = *launch;
    unclip_status status = UNCLIP_OK;
    for (int k = 0; k < UC_MAX_INPUTS && !status; k++) {
        if (!l.in[k].data) continue;
        status = uc_device_download(d, m->in[k], l.in[k].data, view_bytes(&l.in[k]), err);
        l.in[k].data = m->in[k];
    }
    if (status) return status;
    l.step = step;
    for (int k = 0; k < UC_MAX_OUTPUTS; k++)
        if (l.out[k].data) l.out[k].data = m->reference[k];
    uc_ref_kernel(l.kind)(&l);
    for (int k = 0; k < UC_MAX_OUTPUTS && !status; k++)
        if (launch->out[k].data && !is_input(launch, launch->out[k].data))
            status = uc_device_check(d, d->rt->set_bytes(d->rt, launch->out[k].data, 0xFF, view_bytes(&launch->out[k]),
                                                         d->compute), err, "filling an output");
    return status;
}

unclip_status uc_mirror_after(uc_mirror *m, uc_device *d, const uc_launch *launch, const char *scope,
                              unclip_error *err) {
    for (int k = 0; k < UC_MAX_OUTPUTS; k++) {
        uc_view result = launch->out[k], reference = launch->out[k];
        if (!result.data) continue;
        const unclip_status status = uc_device_download(d, m->result[k], result.data, view_bytes(&result), err);
        if (status) return status;
        result.data = m->result[k];
        reference.data = m->reference[k];
        const uc_difference diff = uc_compare(&result, &reference, launch->kind, uc_coarsest_type(launch), 0);
        if (!diff.found) continue;
        char text[UC_DIFFERENCE_TEXT], shape[UC_SHAPE_TEXT];
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "%s: %s: output %d %s: %s", scope, uc_op_info_of(launch->kind)->name,
                       k, uc_shape_text(result.shape, shape), uc_difference_text(&diff, result.shape, text));
    }
    return UNCLIP_OK;
}

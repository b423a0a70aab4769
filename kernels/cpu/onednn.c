/* onednn.c - see onednn.h. The differences between oneDNN 2.x and 3.x (memory descriptors became pointers, operation
 * descriptors went away) are kept in the first section.
 *
 * Scratch memory is the caller's. Arithmetic on f32 stays f32 (fpmath mode strict). Threads are OpenMP's: the
 * setting is made around each call into the library and put back. */
#include "onednn.h"

#if defined(UC_HAVE_ONEDNN)

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

/* ---- the two versions -------------------------------------------------------------------------------------------- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t own_desc;
typedef const_dnnl_memory_desc_t desc_ref;
static desc_ref ref_of(const own_desc *d) { return *d; }
static bool make_desc(own_desc *d, int rank, const int64_t *dim, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_dims_t dims = { 0 };
    for (int i = 0; i < rank; i++) dims[i] = dim[i];
    return dnnl_memory_desc_create_with_tag(d, rank, dims, type, tag) == dnnl_success;
}
static void drop_desc(own_desc *d) {
    if (*d) dnnl_memory_desc_destroy(*d);
}
static bool append_act(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0) == dnnl_success;
}
#else
typedef dnnl_memory_desc_t own_desc;
typedef const dnnl_memory_desc_t *desc_ref;
static desc_ref ref_of(const own_desc *d) { return d; }
static bool make_desc(own_desc *d, int rank, const int64_t *dim, dnnl_data_type_t type, dnnl_format_tag_t tag) {
    dnnl_dims_t dims = { 0 };
    for (int i = 0; i < rank; i++) dims[i] = dim[i];
    return dnnl_memory_desc_init_by_tag(d, rank, dims, type, tag) == dnnl_success;
}
static void drop_desc(own_desc *d) { (void)d; }
static bool append_act(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
    return dnnl_post_ops_append_eltwise(ops, 1.0f, kind, alpha, 0) == dnnl_success;
}
#endif

/* Descriptors of one image's operands. */
typedef struct operands {
    own_desc x, weight, bias, residual, y;
    bool has_bias, has_residual;
} operands;

static bool create_convolution(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const operands *o, uc_conv2d_attrs a,
                               dnnl_primitive_attr_t attr) {
    const dnnl_dims_t stride = { a.stride, a.stride }, pad = { a.pad, a.pad };
    const desc_ref bias = o->has_bias ? ref_of(&o->bias) : NULL;
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dilation = { 0, 0 };
    return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_inference, dnnl_convolution_direct,
                                                          ref_of(&o->x), ref_of(&o->weight), bias, ref_of(&o->y),
                                                          stride, dilation, pad, pad, attr) == dnnl_success;
#else
    dnnl_convolution_desc_t d;
    return dnnl_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct, ref_of(&o->x),
                                              ref_of(&o->weight), bias, ref_of(&o->y), stride, pad,
                                              pad) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) == dnnl_success;
#endif
}

static bool create_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const operands *o,
                          dnnl_primitive_attr_t attr) {
    const desc_ref bias = o->has_bias ? ref_of(&o->bias) : NULL;
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_matmul_primitive_desc_create(pd, engine, ref_of(&o->x), ref_of(&o->weight), bias, ref_of(&o->y),
                                             attr) == dnnl_success;
#else
    dnnl_matmul_desc_t d;
    return dnnl_matmul_desc_init(&d, ref_of(&o->x), ref_of(&o->weight), bias, ref_of(&o->y)) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) == dnnl_success;
#endif
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

/* All that decides about a kernel; compared as bytes, hence zeroed before it is filled. */
typedef struct shape_key {
    int64_t kind, type, x[4], weight[4], y[4], stride, pad, act, bias, residual;
} shape_key;

struct uc_onednn_shape {
    uc_onednn_shape *next;
    uc_onednn *dnn;
    shape_key key;
    dnnl_primitive_desc_t pd; /* NULL: the library has no kernel for this shape */
    dnnl_primitive_t primitive;
    dnnl_memory_t x, y, residual, scratch;  /* without memory of their own */
    size_t scratch_bytes, x_bytes, y_bytes; /* of one image */
};

/* A weight in some kernel's order, or a bias as f32. */
typedef struct stored {
    struct stored *next;
    const void *data;
    dnnl_memory_t memory;
    void *block;
} stored;

struct uc_onednn_op {
    uc_onednn_op *next;
    const uc_onednn_shape *shape;
    dnnl_memory_t weight, bias;
};

struct uc_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    uc_onednn_shape *shapes;
    stored *weights;
    uc_onednn_op *ops;
};

static int set_threads(int threads) {
#if defined(_OPENMP)
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
#else
    return threads;
#endif
}

void uc_onednn_version(char out[24]) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(out, 24, "%d.%d.%d", v->major, v->minor, v->patch);
}

uc_onednn *uc_onednn_new(int threads) {
    uc_onednn *dnn = calloc(1, sizeof *dnn);
    if (!dnn) return NULL;
    dnn->threads = threads;
    if (dnnl_engine_create(&dnn->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags) == dnnl_success)
        return dnn;
    uc_onednn_free(dnn);
    return NULL;
}

static void drop_memory(dnnl_memory_t memory) {
    if (memory) dnnl_memory_destroy(memory);
}

static void free_shape(uc_onednn_shape *s) {
    drop_memory(s->x);
    drop_memory(s->y);
    drop_memory(s->residual);
    drop_memory(s->scratch);
    if (s->primitive) dnnl_primitive_destroy(s->primitive);
    if (s->pd) dnnl_primitive_desc_destroy(s->pd);
    free(s);
}

void uc_onednn_free(uc_onednn *dnn) {
    if (!dnn) return;
    for (uc_onednn_op *op = dnn->ops, *next; op; op = next) {
        next = op->next;
        free(op);
    }
    for (stored *w = dnn->weights, *next; w; w = next) {
        next = w->next;
        drop_memory(w->memory);
        free(w->block);
        free(w);
    }
    for (uc_onednn_shape *s = dnn->shapes, *next; s; s = next) {
        next = s->next;
        free_shape(s);
    }
    if (dnn->stream) dnnl_stream_destroy(dnn->stream);
    if (dnn->engine) dnnl_engine_destroy(dnn->engine);
    free(dnn);
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static dnnl_data_type_t type_of(uc_dtype type) { return type == UC_BF16 ? dnnl_bf16 : dnnl_f32; }

static bool can_ask(const uc_launch *l) {
    const uc_dtype type = l->in[0].dtype;
    if (l->out[0].dtype != type || (type != UC_F32 && type != UC_BF16)) return false;
    return l->kind == UC_OP_matmul || (l->kind == UC_OP_conv2d && l->in[0].layout == UC_NHWC);
}

/* Rows of one image: [batch, tokens, channels] has tokens of them, [batch, channels] has one. */
static int64_t rows_of(const uc_launch *l) {
    const uc_shape *s = &l->in[UC_MATMUL_X].shape;
    return s->rank == 3 ? s->dim[1] : 1;
}

/* In f32, linear layers and convolutions of few channels are as fast in matmul.c and conv2d.c (measured on AVX-512
 * against oneDNN 2.6), which need no repetition for each image. Neither do linear layers of few rows in bf16, as the
 * prior's steps have: their time is the reading of the weights, which matmul.c does once for all images. */
static bool worth_asking(const uc_launch *l) {
    enum { FEW_ROWS = 8 };
    if (l->in[0].dtype == UC_BF16) return l->kind != UC_OP_matmul || rows_of(l) > FEW_ROWS;
    const int64_t *w = l->in[UC_CONV_WEIGHT].shape.dim;
    return l->kind == UC_OP_conv2d && w[0] >= 64 && w[1] >= 64;
}

static bool describe_convolution(const uc_launch *l, operands *o) {
    const dnnl_data_type_t type = type_of(l->in[0].dtype);
    int64_t x[4], y[4];
    memcpy(x, l->in[UC_CONV_X].shape.dim, sizeof x);
    memcpy(y, l->out[0].shape.dim, sizeof y);
    x[0] = y[0] = 1;
    return make_desc(&o->x, 4, x, type, dnnl_nhwc) && make_desc(&o->y, 4, y, type, dnnl_nhwc) &&
           make_desc(&o->residual, 4, y, type, dnnl_nhwc) && make_desc(&o->bias, 1, y + 1, dnnl_f32, dnnl_a) &&
           make_desc(&o->weight, 4, l->in[UC_CONV_WEIGHT].shape.dim, type, dnnl_format_tag_any);
}

static bool describe_matmul(const uc_launch *l, operands *o) {
    const dnnl_data_type_t type = type_of(l->in[0].dtype);
    const int64_t *w = l->in[UC_MATMUL_WEIGHT].shape.dim, rows = rows_of(l);
    const int64_t x[2] = { rows, w[1] }, y[2] = { rows, w[0] }, weight[2] = { w[1], w[0] }, bias[2] = { 1, w[0] };
    return make_desc(&o->x, 2, x, type, dnnl_ab) && make_desc(&o->y, 2, y, type, dnnl_ab) &&
           make_desc(&o->residual, 2, y, type, dnnl_ab) && make_desc(&o->bias, 2, bias, dnnl_f32, dnnl_ab) &&
           make_desc(&o->weight, 2, weight, type, dnnl_format_tag_any);
}

/* act(...) + residual after the product. */
static bool append_rest(const uc_launch *l, const operands *o, dnnl_post_ops_t ops) {
    const uc_act act = l->kind == UC_OP_matmul ? l->attrs.matmul.act : UC_ACT_NONE;
    bool good = true;
    if (act == UC_SILU) good = append_act(ops, dnnl_eltwise_swish, 1.0f);
    if (act == UC_GELU) good = append_act(ops, dnnl_eltwise_gelu_erf, 0);
    if (act == UC_QUICK_GELU) good = append_act(ops, dnnl_eltwise_swish, 1.702f);
    if (good && o->has_residual)
        good = dnnl_post_ops_append_binary(ops, dnnl_binary_add, ref_of(&o->residual)) == dnnl_success;
    return good;
}

static bool create_descriptor(uc_onednn_shape *s, const uc_launch *l, const operands *o) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    bool good = dnnl_primitive_attr_create(&attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success &&
                append_rest(l, o, ops) && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success &&
                dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) == dnnl_success &&
                dnnl_primitive_attr_set_fpmath_mode(attr, dnnl_fpmath_mode_strict) == dnnl_success;
    if (good)
        good = l->kind == UC_OP_conv2d ? create_convolution(&s->pd, s->dnn->engine, o, l->attrs.conv2d, attr)
                                       : create_matmul(&s->pd, s->dnn->engine, o, attr);
    if (ops) dnnl_post_ops_destroy(ops);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return good;
}

static bool create_memory(dnnl_memory_t *memory, const uc_onednn_shape *s, dnnl_query_t what, size_t *bytes) {
    const desc_ref desc = dnnl_primitive_desc_query_md(s->pd, what, 0);
    *bytes = desc ? dnnl_memory_desc_get_size(desc) : 0;
    return desc && dnnl_memory_create(memory, desc, s->dnn->engine, DNNL_MEMORY_NONE) == dnnl_success;
}

/* The library's last resort is slower than our own loops. */
static bool is_last_resort(const char *name) { return !strncmp(name, "ref", 3) || !strncmp(name, "gemm:ref", 8); }

static bool create_kernel(uc_onednn_shape *s, const uc_launch *l) {
    operands o;
    memset(&o, 0, sizeof o);
    o.has_bias = s->key.bias;
    o.has_residual = s->key.residual;
    const bool good = (l->kind == UC_OP_conv2d ? describe_convolution(l, &o) : describe_matmul(l, &o)) &&
                      create_descriptor(s, l, &o) && !is_last_resort(uc_onednn_implementation(s)) &&
                      dnnl_primitive_create(&s->primitive, s->pd) == dnnl_success &&
                      create_memory(&s->x, s, dnnl_query_src_md, &s->x_bytes) &&
                      create_memory(&s->y, s, dnnl_query_dst_md, &s->y_bytes) &&
                      create_memory(&s->scratch, s, dnnl_query_scratchpad_md, &s->scratch_bytes) &&
                      dnnl_memory_create(&s->residual, dnnl_primitive_desc_query_md(s->pd, dnnl_query_dst_md, 0),
                                         s->dnn->engine, DNNL_MEMORY_NONE) == dnnl_success;
    drop_desc(&o.x);
    drop_desc(&o.y);
    drop_desc(&o.weight);
    drop_desc(&o.bias);
    drop_desc(&o.residual);
    return good;
}

static shape_key key_of(const uc_launch *l) {
    shape_key k;
    memset(&k, 0, sizeof k);
    const uc_view *x = &l->in[0], *w = &l->in[1];
    k.kind = l->kind;
    k.type = x->dtype;
    /* the first dimension is the batch, of which a kernel knows nothing */
    for (int i = 1; i < x->shape.rank; i++) k.x[i] = x->shape.dim[i];
    for (int i = 0; i < w->shape.rank; i++) k.weight[i] = w->shape.dim[i];
    for (int i = 1; i < l->out[0].shape.rank; i++) k.y[i] = l->out[0].shape.dim[i];
    if (l->kind == UC_OP_conv2d) k.stride = l->attrs.conv2d.stride, k.pad = l->attrs.conv2d.pad;
    else k.act = l->attrs.matmul.act;
    k.bias = l->in[2].shape.rank > 0;
    k.residual = l->in[3].shape.rank > 0;
    return k;
}

const uc_onednn_shape *uc_onednn_shape_of(uc_onednn *dnn, const uc_launch *l) {
    return worth_asking(l) ? uc_onednn_shape_forced(dnn, l) : NULL;
}

const uc_onednn_shape *uc_onednn_shape_forced(uc_onednn *dnn, const uc_launch *l) {
    if (!can_ask(l)) return NULL;
    const shape_key key = key_of(l);
    uc_onednn_shape *s = dnn->shapes;
    while (s && memcmp(&s->key, &key, sizeof key) != 0) s = s->next;
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s) return NULL;
        s->dnn = dnn;
        s->key = key;
        const int before = set_threads(dnn->threads);
        if (!create_kernel(s, l) && s->pd) {
            dnnl_primitive_desc_destroy(s->pd);
            s->pd = NULL;
        }
        set_threads(before);
        s->next = dnn->shapes;
        dnn->shapes = s;
    }
    return s->pd ? s : NULL;
}

size_t uc_onednn_scratch(const uc_onednn_shape *shape) { return shape->scratch_bytes; }

const char *uc_onednn_implementation(const uc_onednn_shape *shape) {
    const char *name = "";
    dnnl_primitive_desc_query(shape->pd, dnnl_query_impl_info_str, 0, &name);
    return name;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static bool same_desc(dnnl_memory_t memory, desc_ref desc) {
#if DNNL_VERSION_MAJOR >= 3
    const_dnnl_memory_desc_t has = NULL;
#else
    const dnnl_memory_desc_t *has = NULL;
#endif
    return dnnl_memory_get_memory_desc(memory, &has) == dnnl_success && dnnl_memory_desc_equal(has, desc);
}

/* from (f32, row-major) into `to`, in the library's order and type. */
static bool reorder_into(uc_onednn *dnn, const own_desc *from_desc, const float *from, stored *to, desc_ref desc) {
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    bool good = dnnl_memory_create(&source, ref_of(from_desc), dnn->engine, (void *)(uintptr_t)from) == dnnl_success &&
                dnnl_reorder_primitive_desc_create(&pd, ref_of(from_desc), dnn->engine, desc, dnn->engine, NULL) ==
                    dnnl_success &&
                dnnl_primitive_create(&reorder, pd) == dnnl_success;
    if (good) {
        const dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, source }, { DNNL_ARG_TO, to->memory } };
        good = dnnl_primitive_execute(reorder, dnn->stream, 2, args) == dnnl_success &&
               dnnl_stream_wait(dnn->stream) == dnnl_success;
    }
    if (reorder) dnnl_primitive_destroy(reorder);
    if (pd) dnnl_primitive_desc_destroy(pd);
    drop_memory(source);
    return good;
}

static bool fill_stored(uc_onednn *dnn, stored *w, const uc_view *view, bool transposed, desc_ref desc) {
    const size_t bytes = dnnl_memory_desc_get_size(desc), count = (size_t)uc_shape_count(view->shape);
    float *copy = NULL;
    if (posix_memalign(&w->block, 64, bytes ? bytes : 64)) return false;
    if (dnnl_memory_create(&w->memory, desc, dnn->engine, w->block) != dnnl_success) return false;
    if (view->dtype != UC_F32) {
        copy = malloc(count * sizeof *copy);
        if (!copy) return false;
        uc_convert(copy, UC_F32, view->data, view->dtype, (int64_t)count);
    }
    const int64_t *d = view->shape.dim, turned[2] = { d[1], d[0] };
    own_desc plain;
    memset(&plain, 0, sizeof plain);
    /* a linear layer's weight is stored [out, in] and multiplied as [in, out] */
    bool good = transposed
                    ? make_desc(&plain, 2, turned, dnnl_f32, dnnl_ba)
                    : make_desc(&plain, view->shape.rank, d, dnnl_f32, view->shape.rank == 4 ? dnnl_abcd : dnnl_a);
    good = good && reorder_into(dnn, &plain, copy ? copy : view->data, w, desc);
    drop_desc(&plain);
    free(copy);
    return good;
}

static dnnl_memory_t stored_weight(uc_onednn *dnn, const uc_view *view, bool transposed, desc_ref desc) {
    for (stored *w = dnn->weights; w; w = w->next)
        if (w->data == view->data && same_desc(w->memory, desc)) return w->memory;
    stored *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->data = view->data;
    if (!fill_stored(dnn, w, view, transposed, desc)) {
        drop_memory(w->memory);
        free(w->block);
        free(w);
        return NULL;
    }
    w->next = dnn->weights;
    dnn->weights = w;
    return w->memory;
}

static dnnl_memory_t stored_bias(uc_onednn *dnn, const uc_onednn_shape *s, const uc_view *bias) {
    uc_view view = *bias;
    if (s->key.kind == UC_OP_matmul) view.shape = UC_SHAPE2(bias->shape.dim[0], 1); /* turned into [1, out] */
    return stored_weight(dnn, &view, s->key.kind == UC_OP_matmul,
                         dnnl_primitive_desc_query_md(s->pd, dnnl_query_weights_md, 1));
}

const uc_onednn_op *uc_onednn_prepare(uc_onednn *dnn, const uc_onednn_shape *s, const uc_launch *l) {
    const desc_ref desc = dnnl_primitive_desc_query_md(s->pd, dnnl_query_weights_md, 0);
    const int before = set_threads(dnn->threads);
    const dnnl_memory_t weight = stored_weight(dnn, &l->in[UC_CONV_WEIGHT], s->key.kind == UC_OP_matmul, desc);
    const dnnl_memory_t bias = s->key.bias ? stored_bias(dnn, s, &l->in[UC_CONV_BIAS]) : NULL;
    set_threads(before);
    if (!weight || (s->key.bias && !bias)) return NULL;
    for (const uc_onednn_op *op = dnn->ops; op; op = op->next)
        if (op->shape == s && op->weight == weight && op->bias == bias) return op;
    uc_onednn_op *op = calloc(1, sizeof *op);
    if (!op) return NULL;
    *op = (uc_onednn_op){ .next = dnn->ops, .shape = s, .weight = weight, .bias = bias };
    dnn->ops = op;
    return op;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static bool set_memory(dnnl_memory_t memory, void *data, size_t offset) {
    return dnnl_memory_set_data_handle(memory, (char *)data + offset) == dnnl_success;
}

bool uc_onednn_run(const uc_onednn_op *op, const uc_launch *l) {
    const uc_onednn_shape *s = op->shape;
    dnnl_exec_arg_t args[6] = { { DNNL_ARG_SRC, s->x },
                                { DNNL_ARG_WEIGHTS, op->weight },
                                { DNNL_ARG_DST, s->y },
                                { DNNL_ARG_SCRATCHPAD, s->scratch } };
    int count = 4;
    if (s->key.bias) args[count++] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, op->bias };
    if (s->key.residual) {
        const int place = s->key.act ? 1 : 0; /* after the activation */
        args[count++] = (dnnl_exec_arg_t){ DNNL_ARG_ATTR_MULTIPLE_POST_OP(place) | DNNL_ARG_SRC_1, s->residual };
    }
    const int before = set_threads(l->threads);
    bool good = set_memory(s->scratch, l->scratch, 0);
    for (int64_t n = 0; good && n < l->in[0].shape.dim[0]; n++) {
        const size_t image = (size_t)n;
        good = set_memory(s->x, l->in[0].data, image * s->x_bytes) &&
               set_memory(s->y, l->out[0].data, image * s->y_bytes) &&
               (!s->key.residual || set_memory(s->residual, l->in[3].data, image * s->y_bytes)) &&
               dnnl_primitive_execute(s->primitive, s->dnn->stream, count, args) == dnnl_success &&
               dnnl_stream_wait(s->dnn->stream) == dnnl_success;
    }
    set_threads(before);
    return good;
}

#else

#include <string.h>

void uc_onednn_version(char out[24]) { strcpy(out, "none"); }
uc_onednn *uc_onednn_new(int threads) {
    (void)threads;
    return NULL;
}
void uc_onednn_free(uc_onednn *dnn) { (void)dnn; }
const uc_onednn_shape *uc_onednn_shape_of(uc_onednn *dnn, const uc_launch *l) {
    (void)dnn, (void)l;
    return NULL;
}
const uc_onednn_shape *uc_onednn_shape_forced(uc_onednn *dnn, const uc_launch *l) {
    (void)dnn, (void)l;
    return NULL;
}
size_t uc_onednn_scratch(const uc_onednn_shape *shape) {
    (void)shape;
    return 0;
}
const char *uc_onednn_implementation(const uc_onednn_shape *shape) {
    (void)shape;
    return "";
}
const uc_onednn_op *uc_onednn_prepare(uc_onednn *dnn, const uc_onednn_shape *shape, const uc_launch *l) {
    (void)dnn, (void)shape, (void)l;
    return NULL;
}
bool uc_onednn_run(const uc_onednn_op *op, const uc_launch *l) {
    (void)op, (void)l;
    return false;
}

#endif

/* ref.h - how the reference kernels read and write: one element at a time, as double, by logical position.
 *
 * Every arrow of the flow prompt -> tokens -> CLIP text -> prior -> decoder -> upsamplers -> PNG is made of operations;
 * the files beside this one say what each of them means, and everything faster is judged by them. */
#ifndef UC_KERNELS_REF_H
#define UC_KERNELS_REF_H

#include "../ops.h"

/* Element at a memory offset. f32 is spelled out because a compiler can then inline the loops that matter. */
static inline double uc_ref_load(const uc_view *v, int64_t offset) {
    return v->dtype == UC_F32 ? (double)((const float *)v->data)[offset] : uc_get(v->data, v->dtype, offset);
}

/* Rounds once, to the view's own type. */
static inline void uc_ref_store(const uc_view *v, int64_t offset, double value) {
    if (v->dtype == UC_F32) ((float *)v->data)[offset] = (float)value;
    else uc_set(v->data, v->dtype, offset, value);
}

/* Memory offset of element i in the row-major order of the logical shape, whatever the layout. */
static inline int64_t uc_ref_offset(const uc_view *v, int64_t i) {
    if (v->shape.rank != 4 || v->layout == UC_PLAIN) return i;
    const int64_t *d = v->shape.dim;
    return uc_at4(v, i / (d[3] * d[2] * d[1]), i / (d[3] * d[2]) % d[1], i / d[3] % d[2], i % d[3]);
}

static inline double uc_ref_read(const uc_view *v, int64_t i) { return uc_ref_load(v, uc_ref_offset(v, i)); }

static inline void uc_ref_write(const uc_view *v, int64_t i, double value) {
    uc_ref_store(v, uc_ref_offset(v, i), value);
}

static inline bool uc_ref_given(const uc_view *v) { return v->data != NULL; }

/* The pointwise functions that operations apply to their results. */
double uc_ref_act(uc_act act, double x);

#endif

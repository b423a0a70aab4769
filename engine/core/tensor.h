/* tensor.h - what a block of numbers is: its type, its logical shape, and how it lies in memory. */
#ifndef UC_CORE_TENSOR_H
#define UC_CORE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types that a safetensors file may hold. Kernels read the floating ones and the integers of token tables. */
typedef enum uc_dtype {
    UC_F32, UC_F16, UC_BF16, UC_F64, UC_I64, UC_I32, UC_I16, UC_I8, UC_U8, UC_U16, UC_U32, UC_U64, UC_BOOL,
    UC_DTYPE_COUNT
} uc_dtype;

size_t uc_dtype_size(uc_dtype dtype);        /* bytes */
const char *uc_dtype_name(uc_dtype dtype);   /* "F32", as safetensors spells it */
static inline bool uc_dtype_is_float(uc_dtype d) { return d == UC_F32 || d == UC_F16 || d == UC_BF16; }

enum { UC_MAX_RANK = 4 };

/* Sizes from the outermost dimension to the innermost. Pictures are [batch, channels, height, width], token sequences
 * [batch, tokens, channels], rows [batch, channels]; that is their logical shape whatever the layout. */
typedef struct uc_shape {
    int rank;
    int64_t dim[UC_MAX_RANK];
} uc_shape;

#define UC_SHAPE1(a) ((uc_shape){ .rank = 1, .dim = { (a) } })
#define UC_SHAPE2(a, b) ((uc_shape){ .rank = 2, .dim = { (a), (b) } })
#define UC_SHAPE3(a, b, c) ((uc_shape){ .rank = 3, .dim = { (a), (b), (c) } })
#define UC_SHAPE4(a, b, c, d) ((uc_shape){ .rank = 4, .dim = { (a), (b), (c), (d) } })

int64_t uc_shape_count(uc_shape s);          /* product of the sizes; 1 for rank 0 */
bool uc_shape_equal(uc_shape a, uc_shape b);

/* Writes "[2,320,64,64]" into buf and returns buf. */
enum { UC_SHAPE_TEXT = 96 };
const char *uc_shape_text(uc_shape s, char buf[UC_SHAPE_TEXT]);

/* How a value lies in memory. Only rank-4 values have a choice. */
typedef enum uc_layout {
    UC_PLAIN, /* row-major in the order of the logical shape: NCHW for pictures */
    UC_NHWC   /* pictures with the channels innermost */
} uc_layout;

/* A value as kernels see it. data == NULL means "absent" where an input is optional. */
typedef struct uc_view {
    uc_dtype dtype;
    uc_layout layout;
    uc_shape shape;
    void *data;
} uc_view;

/* Offset in elements of a picture's element (batch n, channel c, row y, column x). */
static inline int64_t uc_at4(const uc_view *v, int64_t n, int64_t c, int64_t y, int64_t x) {
    const int64_t *d = v->shape.dim;
    return v->layout == UC_NHWC ? ((n * d[2] + y) * d[3] + x) * d[1] + c : ((n * d[1] + c) * d[2] + y) * d[3] + x;
}

/* Conversions, round to nearest even; bit-exact on every machine. */
float uc_f16_to_f32(uint16_t bits);
uint16_t uc_f32_to_f16(float value);
static inline float uc_bf16_to_f32(uint16_t bits) {
    union { uint32_t u; float f; } v = { .u = (uint32_t)bits << 16 };
    return v.f;
}
uint16_t uc_f32_to_bf16(float value);

/* Element i (in memory order) of a floating or integer buffer as double, and back. For references, tests and edges. */
double uc_get(const void *data, uc_dtype dtype, int64_t i);
void uc_set(void *data, uc_dtype dtype, int64_t i, double value);

/* count elements from src to dst with conversion between any of F32, F16, BF16. */
void uc_convert(void *dst, uc_dtype dst_type, const void *src, uc_dtype src_type, int64_t count);

#endif

/* onednn.h - convolution and matmul by oneDNN: most of the arithmetic of every network of the flow, where the
 * library is there and has a kernel made for the shape; elsewhere conv2d.c and matmul.c do it. Works with oneDNN 2.x
 * and 3.x.
 *
 * The library may choose other kernels for another batch size, and those may add in another order. So that an image has
 * the same bytes in any batch, an operation is made ready for one image and executed image by image. */
#ifndef UC_KERNELS_CPU_ONEDNN_H
#define UC_KERNELS_CPU_ONEDNN_H

#include "../ops.h"

typedef struct uc_onednn uc_onednn;             /* an engine, and everything made ready on it */
typedef struct uc_onednn_shape uc_onednn_shape; /* a kernel for one shape */
typedef struct uc_onednn_op uc_onednn_op;       /* a kernel with its weights */

/* The library's version as "2.6.3", or "none" when it is not built in. */
void uc_onednn_version(char out[24]);

/* NULL when oneDNN is not built in or does not start. */
uc_onednn *uc_onednn_new(int threads);
void uc_onednn_free(uc_onednn *dnn);

/* The kernel for this launch (its data is not read); NULL when the library has none made for it, or when the plain C
 * kernel is the better choice. Belongs to dnn; asking again gives the same one. */
const uc_onednn_shape *uc_onednn_shape_of(uc_onednn *dnn, const uc_launch *launch);

/* The same, but NULL only when the library has none. */
const uc_onednn_shape *uc_onednn_shape_forced(uc_onednn *dnn, const uc_launch *launch);
size_t uc_onednn_scratch(const uc_onednn_shape *shape);
const char *uc_onednn_implementation(const uc_onednn_shape *shape); /* the library's name for it */

/* Brings the launch's weights into the kernel's own order, once for each weight; NULL when out of memory. Belongs to
 * dnn, which knows weights by their address. */
const uc_onednn_op *uc_onednn_prepare(uc_onednn *dnn, const uc_onednn_shape *shape, const uc_launch *launch);

/* False when the library reports a failure. */
bool uc_onednn_run(const uc_onednn_op *op, const uc_launch *launch);

#endif

/* describe.h - a launch in words: what makes two operations of a plan the same work. */
#ifndef UC_BENCH_DESCRIBE_H
#define UC_BENCH_DESCRIBE_H

#include "kernels/ops.h"

enum { BENCH_LAUNCH_TEXT = 384 };

/* "conv2d [2,320,64,64] * f16 [320,320,3,3] s1 p1 +residual -> [2,320,64,64] f32" */
void bench_launch_text(const uc_launch *launch, char out[BENCH_LAUNCH_TEXT]);

/* The type of its activations. */
uc_dtype bench_launch_type(const uc_launch *launch);

#endif

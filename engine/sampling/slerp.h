/* slerp.h - great-circle paths between embeddings and between noises: interpolations and text diffs (section 3 of the
 * paper), between CLIP and the decoder. */
#ifndef UC_SAMPLING_SLERP_H
#define UC_SAMPLING_SLERP_H

#include <stddef.h>

/* out [count] at t of the way from a to b. The direction turns by t of the angle between them (Shoemake 1985), the
 * length changes linearly: embeddings need not be of unit length. Computed in double.
 *   t is 0 or 1: a or b to the bit.
 *   a or b has no direction (all zero): a straight line.
 *   a and b are opposite: of the great circles the one through the axis in which a has its smallest component, the
 *   first
 *   of several; for one number alone a straight line. */
void uc_slerp(float *out, const float *a, const float *b, size_t count, double t);

/* The cosine of the angle between a and b; 0 when either is all zero. */
double uc_cosine(const float *a, const float *b, size_t count);

/* Euclidean length. */
double uc_length(const float *a, size_t count);

#endif

/* degrade.h - what an upsampler's low-resolution input suffers in training, here for pictures that are to be upscaled.
 *
 * Paper, section 2.1: the 64 -> 256 stage is trained on inputs with a Gaussian blur (kernel 3, sigma 0.6), the 256 ->
 * 1024 stage on the more diverse BSR degradation (blind super-resolution, arXiv 2103.14006, as latent diffusion uses
 * it): blur, resizing, noise and JPEG in random order. weights/train/degrade.py trains with the same operations.
 *
 * Planes are [3, height, width] in [-1, 1], changed in place. */
#ifndef UC_SAMPLING_DEGRADE_H
#define UC_SAMPLING_DEGRADE_H

#include <stdint.h>

#include "../core/error.h"
#include "../models/picture_resize.h"

enum { UC_BLUR_RADIUS_PAPER = 1, UC_BLUR_RADIUS_BSR = 2, UC_BSR_STEPS = 4 };
#define UC_BLUR_SIGMA_PAPER 0.6

/* Separable Gaussian of 2 radius + 1 taps, borders repeated. UNCLIP_ERR_MEMORY is the only failure. */
unclip_status uc_degrade_blur(float *planes, int64_t height, int64_t width, int radius, double sigma,
                              unclip_error *err);

/* To `smaller` times the size and back, by one filter. */
unclip_status uc_degrade_resize(float *planes, int64_t height, int64_t width, double smaller, uc_resize_filter filter,
                                unclip_error *err);

/* What JPEG loses, without its files: YCbCr, 8 x 8 cosine transform, coefficients rounded to multiples of the
 * standard's tables (annex K) at the Independent JPEG Group's quality 1 ... 100, and back. Chroma has full resolution
 * (4:4:4); blocks that stick out repeat the border. The result is clamped. */
void uc_degrade_jpeg(float *planes, int64_t height, int64_t width, int quality);

/* The quantisation step of coefficient i (row by row, row = vertical frequency) of luma or chroma. */
int uc_jpeg_step(int chroma, int i, int quality);

typedef enum uc_bsr_kind { UC_BSR_BLUR, UC_BSR_RESIZE, UC_BSR_NOISE, UC_BSR_JPEG } uc_bsr_kind;

/* One operation of BSR with its strength. */
typedef struct uc_bsr_step {
    uc_bsr_kind kind;
    double amount;           /* blur: sigma 0.2 ... 1; resize: size 0.6 ... 1; noise: standard deviation 0.01 ... 0.06;
                                JPEG: quality 40 ... 95, whole */
    uc_resize_filter filter; /* resize: bilinear or bicubic */
    int grey;                /* noise: the same in the three channels */
} uc_bsr_step;

/* The order and strengths that a seed means: uniform over the 24 orders and over each range, from Philox. */
void uc_bsr_plan(uint64_t seed, uc_bsr_step steps[UC_BSR_STEPS]);

/* kind NONE leaves the planes as they are; BLUR is the paper's for 64 -> 256; BSR runs the seed's plan, its noise keyed
 * by the seed too. The same seed gives the same bytes. */
unclip_status uc_degrade(float *planes, int64_t height, int64_t width, unclip_degrade kind, uint64_t seed,
                         unclip_error *err);

#endif

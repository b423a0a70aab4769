/* concat.c - the meaning of concatenation along dimension 0 or 1: the prior's token sequence, a UNet's skip
 * connections, the noisy picture beside the smaller one in an upsampler. Two to four parts. */
#include "ref.h"

void uc_ref_concat(const uc_launch *launch) {
    const uc_view *out = &launch->out[0];
    const int dim = launch->attrs.concat.dim;
    int64_t inner = 1, outer = 1, begin = 0;
    for (int k = 0; k < out->shape.rank; k++) *(k < dim ? &outer : &inner) *= k == dim ? 1 : out->shape.dim[k];
    const int64_t out_block = out->shape.dim[dim] * inner;
    for (int part = 0; part < 4 && uc_ref_given(&launch->in[part]); part++) {
        const uc_view *x = &launch->in[part];
        const int64_t block = x->shape.dim[dim] * inner;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < block; i++)
                uc_ref_write(out, o * out_block + begin + i, uc_ref_read(x, o * block + i));
        begin += block;
    }
}

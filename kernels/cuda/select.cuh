/* select.cuh - exact order statistics of non-negative floats, and the quantile between two of them: what the dynamic
 * threshold of the sampler's step (decoder, upsamplers) needs of a whole picture.
 *
 * Radix selection: the bits of a float without a sign are in the order of the numbers, so the wanted number is found
 * digit by digit, 11 + 10 + 10 bits. A pass counts the values of one digit among the numbers that agree in the digits
 * before; from the counts follow the digit, and the rank among those that agree in it too. Counts are integers: whatever
 * the order in which threads add, the sums are the same, and so is the result to the bit. Two ranks, neighbours, are
 * followed at a time; while they agree one row of counts serves both.
 * Cost: each pass reads what the numbers are made of; nothing is sorted and nothing but the counts is written. 2048
 * values a digit keep the atomic additions apart: three bits of the mantissa beside the exponent. */
#ifndef UC_CUDA_SELECT_CUH
#define UC_CUDA_SELECT_CUH

#include "device.cuh"

namespace uc {

enum { SELECT_DIGITS = 3, SELECT_VALUES = 2048, SELECT_THREADS = 256 };

/* One wanted number: the bits found so far, and its rank among those that begin with them. */
struct order_statistic {
    unsigned prefix, rank;
};

typedef unsigned select_counts[2][SELECT_VALUES];

__device__ inline int digit_shift(int digit) { return 20 - 10 * digit; }
__device__ inline int digit_bits(int digit) { return digit == 0 ? 11 : 10; }

/* The rank of a quantile among `count` numbers as torch.quantile has it: one float product, never fused. */
__device__ inline float quantile_rank(float quantile, long long count) { return __fmul_rn(quantile, (float)(count - 1)); }

/* Both wanted numbers at the beginning. By one thread. */
__device__ inline void select_begin(order_statistic w[2], float rank, long long count) {
    const unsigned last = (unsigned)(count - 1), below = (unsigned)rank < last ? (unsigned)rank : last;
    w[0] = { 0, below };
    w[1] = { 0, below < last ? below + 1 : last };
}

/* Counts one number. */
__device__ inline void select_count(select_counts &counts, const order_statistic w[2], int digit, float x) {
    const unsigned upper = (__float_as_uint(x) & 0x7FFFFFFFu) >> digit_shift(digit);
    const unsigned prefix = upper >> digit_bits(digit), value = upper & ((1u << digit_bits(digit)) - 1);
    if (prefix == w[0].prefix) atomicAdd(&counts[0][value], 1u);
    else if (prefix == w[1].prefix) atomicAdd(&counts[1][value], 1u);
}

/* How much the threads before this one have. parts: 32 numbers that nobody else uses. */
__device__ inline unsigned block_sum_before(unsigned x, unsigned *parts) {
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    unsigned sum = x;
    for (int o = 1; o < 32; o <<= 1) {
        const unsigned below = __shfl_up_sync(ALL_LANES, sum, o);
        if (lane >= o) sum += below;
    }
    __syncthreads(); /* sums before this one may still be read */
    if (lane == 31) parts[warp] = sum;
    __syncthreads();
    for (int i = 0; i < warp; i++) sum += parts[i];
    return sum - x;
}

/* The digit of both from its counts. By a block of SELECT_THREADS, all of whose threads see the result. */
__device__ inline void select_choose(const select_counts &counts, order_statistic w[2], int digit,
                                     unsigned *parts) {
    const order_statistic before[2] = { w[0], w[1] };
    const bool together = before[0].prefix == before[1].prefix;
    const int each = (1 << digit_bits(digit)) / SELECT_THREADS, first = (int)threadIdx.x * each;
    for (int line = 0; line < (together ? 1 : 2); line++) {
        const unsigned *count = counts[line] + first;
        unsigned mine = 0;
        for (int i = 0; i < each; i++) mine += count[i];
        const unsigned others = block_sum_before(mine, parts);
        UC_UNROLL(2)
        for (int k = 0; k < 2; k++) {
            unsigned left = before[k].rank - others; /* of a rank before these, huge */
            if ((!together && k != line) || left >= mine) continue;
            int i = 0;
            for (; left >= count[i]; i++) left -= count[i];
            w[k] = { before[k].prefix << digit_bits(digit) | (unsigned)(first + i), left };
        }
    }
    __syncthreads();
}

/* The quantile from both numbers when all digits are known. */
__device__ inline float select_quantile(const order_statistic w[2], float rank, long long count) {
    const unsigned last = (unsigned)(count - 1), below = (unsigned)rank < last ? (unsigned)rank : last;
    const float part = rank - (float)below, at = __uint_as_float(w[0].prefix), after = __uint_as_float(w[1].prefix);
    return part > 0 ? at + part * (after - at) : at;
}

} // namespace uc
#endif

/* twins.cpp - what the lanes of a warp do together, in C++: shuffles, votes, and the matrix instructions, written from
 * the fragment tables of the PTX ISA ("Matrix Fragments for mma.m16n8k16", "ldmatrix"). Each runs once a warp on what
 * the lanes deposited. */
#include "emulator.h"

namespace simt {

void warp_sync(deposit *const *) {}

/* A lane that does not take part has no value: NaN. */
void warp_shuffle(deposit *const lanes[32]) {
    for (int i = 0; i < 32; i++) {
        if (!lanes[i]) continue;
        const deposit *source = lanes[lanes[i]->in[0] & 31u];
        for (int w = 0; w < 4; w++) lanes[i]->out[w] = source ? source->in[1 + w] : 0xFFFFFFFFu;
    }
}

void warp_ballot(deposit *const lanes[32]) {
    uint32_t votes = 0;
    for (int i = 0; i < 32; i++)
        if (lanes[i] && lanes[i]->in[0]) votes |= 1u << i;
    for (int i = 0; i < 32; i++)
        if (lanes[i]) lanes[i]->out[0] = votes;
}

static float from_f16(uint32_t bits) { return __half2float(__ushort_as_half((uint16_t)bits)); }
static float from_bf16(uint32_t bits) { return __bfloat162float(__ushort_as_bfloat16((uint16_t)bits)); }

/* D (16 x 8) = A (16 x 16, rows) B (16 x 8, columns) + C. With g = lane / 4 and t = lane % 4:
 *   a: word r holds row g + 8 (r & 1), columns 2t + 8 (r >> 1) and the next;
 *   b: word r holds column g, rows 2t + 8 r and the next;
 *   c, d: word i is row g + 8 (i >> 1), column 2t + (i & 1). */
template <float (*convert)(uint32_t)> static void mma_m16n8k16(deposit *const lanes[32]) {
    float a[16][16], b[8][16];
    for (int lane = 0; lane < 32; lane++) {
        const uint32_t *in = lanes[lane]->in;
        const int g = lane / 4, t = lane % 4;
        for (int r = 0; r < 4; r++) {
            a[g + 8 * (r & 1)][2 * t + 8 * (r >> 1)] = convert(in[r] & 0xFFFFu);
            a[g + 8 * (r & 1)][2 * t + 8 * (r >> 1) + 1] = convert(in[r] >> 16);
        }
        for (int r = 0; r < 2; r++) {
            b[g][2 * t + 8 * r] = convert(in[4 + r] & 0xFFFFu);
            b[g][2 * t + 8 * r + 1] = convert(in[4 + r] >> 16);
        }
    }
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++) {
            const int row = lane / 4 + 8 * (i >> 1), column = 2 * (lane % 4) + (i & 1);
            float sum = 0;
            for (int k = 0; k < 16; k++) sum += a[row][k] * b[column][k];
            lanes[lane]->out[i] = bits_of(float_of(lanes[lane]->in[6 + i]) + sum);
        }
}

void mma_m16n8k16_f16(deposit *const lanes[32]) { mma_m16n8k16<from_f16>(lanes); }
void mma_m16n8k16_bf16(deposit *const lanes[32]) { mma_m16n8k16<from_bf16>(lanes); }

/* Matrix m is 8 x 8 of 16 bits; its row r is what lane 8 m + r read. Lane i gets of each row i / 4, words i % 4. */
void ldmatrix(deposit *const lanes[32]) {
    for (int lane = 0; lane < 32; lane++)
        for (int m = 0; m < 4; m++) lanes[lane]->out[m] = lanes[8 * m + lane / 4]->in[lane % 4];
}

/* The same of the transposed matrices: element (row, column) comes from (column, row). */
void ldmatrix_trans(deposit *const lanes[32]) {
    for (int lane = 0; lane < 32; lane++)
        for (int m = 0; m < 4; m++) {
            const int column = lane / 4;
            uint32_t word = 0;
            for (int half = 0; half < 2; half++) {
                const int row = 2 * (lane % 4) + half;
                const uint32_t pair = lanes[8 * m + row]->in[column / 2];
                word |= (pair >> (column % 2 ? 16 : 0) & 0xFFFFu) << 16 * half;
            }
            lanes[lane]->out[m] = word;
        }
}

} // namespace simt

/* test_fragments.cpp - the twins of the matrix instructions with the layouts that NVIDIA's own library uses
 * (fragments.h): every value of every lane, by products in which a single element of the left matrix is not zero. The
 * kernels and the twins come from one reading of the PTX ISA; this is another one. */
#include <vector>

#include "fragments.h"
#include "harness.h"
#include "kernels/cuda/ptx.cuh"

namespace {

enum { ROWS = 16, COLUMNS = 8, DEPTH = 16, LEFT = ROWS * DEPTH };

/* Element `one` of the left matrix is 1, all others 0; element i of the right one is 1 + i, exact in both types. */
template <class T> __global__ void k_unit_products(float *out) {
    const int lane = (int)threadIdx.x;
    uint32_t b[2];
    for (int r = 0; r < 2; r++)
        b[r] = ptx::pack_floats<T>((float)(1 + fragment_b[lane][2 * r]), (float)(1 + fragment_b[lane][2 * r + 1]));
    for (int one = 0; one < LEFT; one++) {
        uint32_t a[4];
        float d[4] = { 0, 0, 0, 0 };
        for (int r = 0; r < 4; r++)
            a[r] = ptx::pack_floats<T>(fragment_a[lane][2 * r] == one, fragment_a[lane][2 * r + 1] == one);
        ptx::mma_m16n8k16<T>(d, a, b);
        for (int c = 0; c < 4; c++) out[one * ROWS * COLUMNS + fragment_c[lane][c]] = d[c];
    }
}

/* Both forms of ldmatrix on four matrices whose elements are their own numbers. */
__global__ void k_load_matrices(uint16_t *plain, uint16_t *transposed) {
    UC_SHARED(uint4, shared, [32]);
    uint16_t *rows = reinterpret_cast<uint16_t *>(shared);
    const int lane = (int)threadIdx.x;
    for (int i = 0; i < 8; i++) rows[8 * lane + i] = (uint16_t)(8 * lane + i);
    __syncwarp();
    uint32_t r[4], t[4];
    ptx::ldmatrix_x4(r, rows + 8 * lane);
    ptx::ldmatrix_x4_trans(t, rows + 8 * lane);
    for (int v = 0; v < 8; v++) {
        plain[8 * lane + v] = (uint16_t)(r[v / 2] >> 16 * (v % 2));
        transposed[8 * lane + v] = (uint16_t)(t[v / 2] >> 16 * (v % 2));
    }
}

template <class T> void check_products(const char *type) {
    std::vector<float> out(LEFT * ROWS * COLUMNS, -1.0f);
    float *p = out.data();
    UC_LAUNCH(k_unit_products<T>, dim3(1), dim3(32), 0, nullptr, p);
    expect(!simt_error()[0], "%s", simt_error());
    for (int one = 0; one < LEFT; one++)
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            const int row = i / COLUMNS, column = i % COLUMNS, k = one % DEPTH;
            const float want = row == one / DEPTH ? (float)(1 + k * COLUMNS + column) : 0.0f;
            const float got = out[(size_t)(one * ROWS * COLUMNS + i)];
            expect(got == want, "%s, a(%d,%d): d(%d,%d) is %g instead of %g", type, one / DEPTH, k, row, column,
                   (double)got, (double)want);
        }
}

} // namespace

SIMT_TEST(fragments_of_products) {
    check_products<__half>("f16");
    check_products<__nv_bfloat16>("bf16");
}

SIMT_TEST(fragments_of_ldmatrix) {
    uint16_t plain[256] = { 0 }, transposed[256] = { 0 }, *p = plain, *t = transposed;
    UC_LAUNCH(k_load_matrices, dim3(1), dim3(32), 0, nullptr, p, t);
    expect(!simt_error()[0], "%s", simt_error());
    for (int i = 0; i < 256; i++) {
        expect(plain[i] == fragment_ldmatrix[i / 8][i % 8], "lane %d, value %d: element %d instead of %d", i / 8, i % 8,
               plain[i], fragment_ldmatrix[i / 8][i % 8]);
        expect(transposed[i] == fragment_ldmatrix_trans[i / 8][i % 8],
               ".trans, lane %d, value %d: element %d instead of %d", i / 8, i % 8, transposed[i],
               fragment_ldmatrix_trans[i / 8][i % 8]);
    }
}

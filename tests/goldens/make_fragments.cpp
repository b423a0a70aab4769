// make_fragments.cpp - which element of a matrix each register of each lane of a warp holds, as NVIDIA's CuTe has it,
// for the instructions that kernels/cuda/ptx.cuh wraps. Writes tests/simt/fragments.h, with which the emulator's twins
// are compared: those come from the PTX ISA's tables, these do not. CuTe is headers alone, and no GPU is needed:
//
//   python3 -m pip install --no-deps --target cutlass nvidia-cutlass==4.2.0.0
//   cuda=/usr/local/cuda/include && g++ -std=c++17 -I cutlass/cutlass_library/source/include -I $cuda -I $cuda/cccl \
//       tests/goldens/make_fragments.cpp -o make_fragments && ./make_fragments >tests/simt/fragments.h
#include <cstdio>
#include <type_traits>

#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm80.hpp>

using namespace cute;

using f16_product = MMA_Traits<SM80_16x8x16_F32F16F16F32_TN>;
using bf16_product = MMA_Traits<SM80_16x8x16_F32BF16BF16F32_TN>;
static_assert(std::is_same_v<f16_product::ALayout, bf16_product::ALayout>, "one table serves both types");
static_assert(std::is_same_v<f16_product::BLayout, bf16_product::BLayout>, "one table serves both types");
static_assert(std::is_same_v<f16_product::CLayout, bf16_product::CLayout>, "one table serves both types");

// entry(lane, value) is the table's.
template <class Entry> static void table(const char *name, const char *what, int values, Entry entry) {
    std::printf("\n/* %s */\nstatic const short %s[32][%d] = {\n", what, name, values);
    for (int lane = 0; lane < 32; lane++) {
        std::printf("    {");
        for (int v = 0; v < values; v++) std::printf(" %d%s", entry(lane, v), v + 1 < values ? "," : "");
        std::printf(" },\n");
    }
    std::printf("};\n");
}

// CuTe numbers the elements of a matrix column by column, these tables row by row.
static int by_rows(int index, int rows, int columns) { return index % rows * columns + index / rows; }

int main() {
    std::printf("/* fragments.h - which element of its matrix, counted row by row, each value of each lane of a\n"
                " * warp is; of two in a register the low half first. Written by tests/goldens/make_fragments.cpp\n"
                " * from NVIDIA's CuTe (CUTLASS 4.2). */\n"
                "#ifndef UC_TEST_SIMT_FRAGMENTS_H\n#define UC_TEST_SIMT_FRAGMENTS_H\n");
    table("fragment_a", "mma.m16n8k16, a: 16 x 16", 8,
          [](int lane, int v) { return by_rows(f16_product::ALayout{}(lane, v), 16, 16); });
    // CuTe's b is 8 x 16, the instruction's 16 x 8: columns of the one are rows of the other
    table("fragment_b", "mma.m16n8k16, b: 16 x 8", 4,
          [](int lane, int v) { return (int)f16_product::BLayout{}(lane, v); });
    table("fragment_c", "mma.m16n8k16, c and d: 16 x 8", 4,
          [](int lane, int v) { return by_rows(f16_product::CLayout{}(lane, v), 16, 8); });
    // in bits of what the 32 lanes point at, 128 each
    table("fragment_ldmatrix", "ldmatrix.x4: four matrices of 8 x 8, counted through", 8, [](int lane, int v) {
        return (int)Copy_Traits<SM75_U32x4_LDSM_N>::DstLayout{}(lane, 16 * v) / 16;
    });
    table("fragment_ldmatrix_trans", "ldmatrix.x4.trans: the same", 8, [](int lane, int v) {
        return (int)Copy_Traits<SM75_U16x8_LDSM_T>::DstLayout{}(lane, 16 * v) / 16;
    });
    std::printf("\n#endif\n");
}

/* move.cu - the kernels of everything that only moves numbers; move.cuh says what they do, what they cost and when each is
 * used. The operations themselves (concat.cu, slice.cu, reorder.cu, ...) say which numbers. Between all arrows of the flow. */
#include "move.cuh"

namespace uc {
namespace {

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

__device__ inline long long chosen_row(const move_problem &p, long long o) {
    return p.index ? p.index[o] * p.chosen_stride : p.step ? p.step->index * p.chosen_stride : 0;
}

/* A thread for each unit of a part (blockIdx.y). */
template <class U> __global__ void __launch_bounds__(MOVE_THREADS) k_copy_units(move_problem p) {
    const copy_part part = p.part[blockIdx.y];
    const unsigned i = blockIdx.x * MOVE_THREADS + threadIdx.x, width = (unsigned)part.width;
    if (i >= (unsigned long long)p.outer * part.width) return;
    const unsigned o = i / width, at = i % width;
    static_cast<U *>(p.out)[o * p.to_stride + part.to_begin + at] =
        static_cast<const U *>(part.from.data)[o * part.from_stride + part.begin + chosen_row(p, o) + at];
}

__global__ void __launch_bounds__(MOVE_THREADS) k_copy_convert(move_problem p) {
    const copy_part part = p.part[blockIdx.y];
    const unsigned i = blockIdx.x * MOVE_THREADS + threadIdx.x, width = (unsigned)part.width;
    if (i >= (unsigned long long)p.outer * part.width) return;
    const unsigned o = i / width, at = i % width;
    store_any(p.out, p.out_type, o * p.to_stride + part.to_begin + at,
              load_any(part.from, o * part.from_stride + part.begin + chosen_row(p, o) + at));
}

/* 32 x 8 threads turn a tile of 32 x 32. */
template <class U> __global__ void __launch_bounds__(MOVE_THREADS) k_turn(move_problem p) {
    UC_SHARED(U, tile, [TILE][TILE + 1]);
    const long long image = (long long)blockIdx.z * p.rows * p.columns;
    const U *in = static_cast<const U *>(p.part[0].from.data) + image;
    U *out = static_cast<U *>(p.out) + image;
    const int x = (int)threadIdx.x;
    const long long row = (long long)blockIdx.y * TILE, column = (long long)blockIdx.x * TILE;
    for (int y = (int)threadIdx.y; y < TILE; y += 8)
        if (row + y < p.rows && column + x < p.columns) tile[y][x] = in[(row + y) * p.columns + column + x];
    __syncthreads();
    for (int y = (int)threadIdx.y; y < TILE; y += 8)
        if (column + y < p.columns && row + x < p.rows) out[(column + y) * p.rows + row + x] = tile[x][y];
}

__global__ void __launch_bounds__(MOVE_THREADS) k_turn_convert(move_problem p) {
    UC_SHARED(float, tile, [TILE][TILE + 1]);
    const long long image = (long long)blockIdx.z * p.rows * p.columns;
    const int x = (int)threadIdx.x;
    const long long row = (long long)blockIdx.y * TILE, column = (long long)blockIdx.x * TILE;
    for (int y = (int)threadIdx.y; y < TILE; y += 8)
        if (row + y < p.rows && column + x < p.columns)
            tile[y][x] = load_any(p.part[0].from, image + (row + y) * p.columns + column + x);
    __syncthreads();
    for (int y = (int)threadIdx.y; y < TILE; y += 8)
        if (column + y < p.columns && row + x < p.rows)
            store_any(p.out, p.out_type, image + (column + y) * p.rows + row + x, tile[x][y]);
}

} // namespace

/* ---- launches ------------------------------------------------------------------------------------------------------ */

static dim3 copy_grid(const move_problem &p) {
    const long long most = p.outer * most_width(p);
    return dim3((unsigned)((most + MOVE_THREADS - 1) / MOVE_THREADS), (unsigned)p.parts);
}

template <class U> static void copy_units(const move_problem &in_numbers, uc_cuda_stream stream) {
    move_problem p = in_numbers;
    const long long unit = numbers_in_unit(p, sizeof(U));
    p.to_stride /= unit;
    p.chosen_stride /= unit;
    for (int k = 0; k < p.parts; k++) {
        copy_part &c = p.part[k];
        c.width /= unit, c.from_stride /= unit, c.begin /= unit, c.to_begin /= unit;
    }
    UC_LAUNCH((k_copy_units<U>), copy_grid(p), dim3(MOVE_THREADS), 0, stream, p);
}

void copy_convert(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_copy_convert), copy_grid(p), dim3(MOVE_THREADS), 0, stream, p);
}

static dim3 turn_grid(const move_problem &p) {
    return dim3((unsigned)((p.columns + TILE - 1) / TILE), (unsigned)((p.rows + TILE - 1) / TILE), (unsigned)p.batch);
}

template <class U> static void turn(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_turn<U>), turn_grid(p), dim3(TILE, 8), 0, stream, p);
}

void turn_convert(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_turn_convert), turn_grid(p), dim3(TILE, 8), 0, stream, p);
}

void copy_16_bytes(const move_problem &p, uc_cuda_stream stream) { copy_units<uint4>(p, stream); }
void copy_4_bytes(const move_problem &p, uc_cuda_stream stream) { copy_units<uint32_t>(p, stream); }
void copy_2_bytes(const move_problem &p, uc_cuda_stream stream) { copy_units<uint16_t>(p, stream); }
void turn_4_bytes(const move_problem &p, uc_cuda_stream stream) { turn<uint32_t>(p, stream); }
void turn_2_bytes(const move_problem &p, uc_cuda_stream stream) { turn<uint16_t>(p, stream); }

} // namespace uc

/* move.cuh - what only moves numbers: rows of neighbours (copies), and matrices turned over. Concatenation, slices, layouts
 * and types between the operations of every network.
 *
 *   copy: for o < outer, part k:  out[o to_stride + to_begin_k + i] = from_k[o from_stride_k + begin_k + chosen(o) + i], i < width_k
 *   turn: out[b][c][r] = in[b][r][c]
 *
 * chosen(o) is 0, or a row's index read from device memory times the row's length.
 * Cost: every byte read and written once; no arithmetic. Aim: 85 % of copy bandwidth above 40 MB. Copies go by the widest
 * unit of 16, 4 or 2 bytes that divides everything; a turn goes through a 32 x 32 tile of shared memory, 33 wide, so that
 * both sides of it are read and written along rows. Exact; a change of type rounds to nearest even. */
#ifndef UC_CUDA_MOVE_CUH
#define UC_CUDA_MOVE_CUH

#include "device.cuh"

namespace uc {

enum { MOVE_THREADS = 256, MOST_PARTS = 4, TILE = 32 };

struct copy_part {
    any_values from;
    long long width, from_stride, begin, to_begin; /* in numbers; the kernels of wide units get them in units */
};

struct move_problem {
    copy_part part[MOST_PARTS];
    int parts;
    void *out;
    int out_type;
    long long outer, to_stride;
    const int *index;     /* chosen(o) = index[o] * chosen_stride */
    const uc_step *step;  /* chosen(o) = step->index * chosen_stride */
    long long chosen_stride;
    bool turns;           /* then part[0].from and out are matrices */
    long long batch, rows, columns;
};

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

namespace {
__global__ void __launch_bounds__(MOVE_THREADS) k_copy_convert(move_problem p) {
    const copy_part part = p.part[blockIdx.y];
    const unsigned i = blockIdx.x * MOVE_THREADS + threadIdx.x, width = (unsigned)part.width;
    if (i >= (unsigned long long)p.outer * part.width) return;
    const unsigned o = i / width, at = i % width;
    store_any(p.out, p.out_type, o * p.to_stride + part.to_begin + at,
              load_any(part.from, o * part.from_stride + part.begin + chosen_row(p, o) + at));
}
} // namespace

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

namespace {
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

/* ---- specialisations --------------------------------------------------------------------------------------------- */

inline bool one_type(const move_problem &p) {
    for (int k = 0; k < p.parts; k++)
        if (p.part[k].from.type != p.out_type) return false;
    return true;
}

inline long long most_width(const move_problem &p) {
    long long most = 0;
    for (int k = 0; k < p.parts; k++) most = p.part[k].width > most ? p.part[k].width : most;
    return most;
}

/* Numbers in a unit of so many bytes, if it divides all widths and begins; else 0. */
inline long long numbers_in_unit(const move_problem &p, size_t bytes) {
    const long long numbers = (long long)(bytes / uc_dtype_size((uc_dtype)p.out_type));
    if (!numbers || !one_type(p) || p.to_stride % numbers || p.chosen_stride % numbers) return 0;
    for (int k = 0; k < p.parts; k++) {
        const copy_part &c = p.part[k];
        if ((c.width | c.from_stride | c.begin | c.to_begin) % numbers) return 0;
    }
    return numbers;
}

template <class U> bool copy_fits(const move_problem &p) { return !p.turns && numbers_in_unit(p, sizeof(U)); }

inline bool convert_fits(const move_problem &p) { return !p.turns; }

template <class U> bool turn_fits(const move_problem &p) {
    return p.turns && one_type(p) && uc_dtype_size((uc_dtype)p.out_type) == sizeof(U);
}

inline bool turn_convert_fits(const move_problem &p) { return p.turns; }

inline dim3 copy_grid(const move_problem &p) {
    const long long most = p.outer * most_width(p);
    return dim3((unsigned)((most + MOVE_THREADS - 1) / MOVE_THREADS), (unsigned)p.parts);
}

template <class U> void copy_units(const move_problem &in_numbers, uc_cuda_stream stream) {
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

inline void copy_convert(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_copy_convert), copy_grid(p), dim3(MOVE_THREADS), 0, stream, p);
}

inline dim3 turn_grid(const move_problem &p) {
    return dim3((unsigned)((p.columns + TILE - 1) / TILE), (unsigned)((p.rows + TILE - 1) / TILE), (unsigned)p.batch);
}

template <class U> void turn(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_turn<U>), turn_grid(p), dim3(TILE, 8), 0, stream, p);
}

inline void turn_convert(const move_problem &p, uc_cuda_stream stream) {
    UC_LAUNCH((k_turn_convert), turn_grid(p), dim3(TILE, 8), 0, stream, p);
}

#define UC_COPY_ROWS \
    { "copy 16 bytes", uc::copy_fits<uint4>, uc::copy_units<uint4> }, \
    { "copy 4 bytes", uc::copy_fits<uint32_t>, uc::copy_units<uint32_t> }, \
    { "copy 2 bytes", uc::copy_fits<uint16_t>, uc::copy_units<uint16_t> }, \
    { "copy convert", uc::convert_fits, uc::copy_convert }
#define UC_TURN_ROWS \
    { "turn 4 bytes", uc::turn_fits<uint32_t>, uc::turn<uint32_t> }, \
    { "turn 2 bytes", uc::turn_fits<uint16_t>, uc::turn<uint16_t> }, \
    { "turn convert", uc::turn_convert_fits, uc::turn_convert }

/* ---- problems ---------------------------------------------------------------------------------------------------- */

inline bool is_float(const uc_view &v) { return uc_dtype_is_float(v.dtype); }

/* One part as it is; the caller changes what differs. */
inline move_problem copy_of(const uc_launch &l, long long outer, long long width) {
    move_problem p = {};
    p.part[0] = { any_of(l.in[0]), width, width, 0, 0 };
    p.parts = 1;
    p.out = l.out[0].data;
    p.out_type = l.out[0].dtype;
    p.outer = outer;
    p.to_stride = width;
    return p;
}

inline move_problem turn_of(const uc_launch &l, long long batch, long long rows, long long columns) {
    move_problem p = copy_of(l, 1, batch * rows * columns);
    p.turns = true;
    p.batch = batch;
    p.rows = rows;
    p.columns = columns;
    return p;
}

/* What all moves can take: floating types, aligned memory, fewer than 2^32 numbers. */
inline bool movable(const uc_launch &l, const move_problem &p) {
    bool good = is_float(l.out[0]) && aligned(p.out, 16) && p.outer * most_width(p) < (1LL << 32);
    for (int k = 0; k < p.parts; k++) good = good && is_float(l.in[k]) && aligned(p.part[k].from.data, 16);
    return good && (!p.turns || (p.batch <= 65535 && p.rows <= 65535LL * TILE));
}

inline size_t no_scratch(const move_problem &) { return 0; }

} // namespace uc
#endif

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

/* Copies count their units in 32 bits, for the sake of the division. */
inline bool countable(const move_problem &p, long long unit) { return p.outer * most_width(p) / unit < (1LL << 32); }

template <class U> bool copy_fits(const move_problem &p) {
    const long long unit = p.turns ? 0 : numbers_in_unit(p, sizeof(U));
    return unit && countable(p, unit);
}

inline bool convert_fits(const move_problem &p) { return !p.turns && countable(p, 1); }

template <class U> bool turn_fits(const move_problem &p) {
    return p.turns && one_type(p) && uc_dtype_size((uc_dtype)p.out_type) == sizeof(U);
}

inline bool turn_convert_fits(const move_problem &p) { return p.turns; }

/* Launches, in move.cu: units of 16, 4 and 2 bytes, or a change of type. */
void copy_16_bytes(const move_problem &p, uc_cuda_stream stream);
void copy_4_bytes(const move_problem &p, uc_cuda_stream stream);
void copy_2_bytes(const move_problem &p, uc_cuda_stream stream);
void copy_convert(const move_problem &p, uc_cuda_stream stream);
void turn_4_bytes(const move_problem &p, uc_cuda_stream stream);
void turn_2_bytes(const move_problem &p, uc_cuda_stream stream);
void turn_convert(const move_problem &p, uc_cuda_stream stream);

#define UC_COPY_ROWS \
    { "copy 16 bytes", uc::copy_fits<uint4>, uc::copy_16_bytes }, \
    { "copy 4 bytes", uc::copy_fits<uint32_t>, uc::copy_4_bytes }, \
    { "copy 2 bytes", uc::copy_fits<uint16_t>, uc::copy_2_bytes }, \
    { "copy convert", uc::convert_fits, uc::copy_convert }
#define UC_TURN_ROWS \
    { "turn 4 bytes", uc::turn_fits<uint32_t>, uc::turn_4_bytes }, \
    { "turn 2 bytes", uc::turn_fits<uint16_t>, uc::turn_2_bytes }, \
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

/* What all moves can take: floating types, aligned memory. */
inline bool movable(const uc_launch &l, const move_problem &p) {
    bool good = is_float(l.out[0]) && aligned(p.out, 16);
    for (int k = 0; k < p.parts; k++) good = good && is_float(l.in[k]) && aligned(p.part[k].from.data, 16);
    return good && (!p.turns || (p.batch <= 65535 && p.rows <= 65535LL * TILE));
}

inline size_t no_scratch(const move_problem &) { return 0; }

} // namespace uc
#endif

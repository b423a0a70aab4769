/* select_row.c - the current step's row of a table: the time embeddings of all steps are computed once per run. */
#include "cpu.h"

static void select_row(const uc_launch *l) {
    const int64_t c = l->in[0].shape.dim[1];
    uc_move(&l->out[0], 0, &l->in[0], l->step->index * c, c);
}

UC_CPU_SINGLE(select_row, select_row)
UC_CPU_NO_SCRATCH(select_row)

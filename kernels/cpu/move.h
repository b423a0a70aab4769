/* move.h - matrices turned over, for the operations of the flow that only move numbers. */
#ifndef UC_KERNELS_CPU_MOVE_H
#define UC_KERNELS_CPU_MOVE_H

#include "cpu.h"

/* `batch` matrices [rows, columns] of x become [columns, rows] in y, with conversion. Goes by tiles, so that both sides
 * touch few cache lines at a time. */
void uc_cpu_turn_over(const uc_launch *l, const uc_view *y, const uc_view *x, int64_t batch, int64_t rows,
                      int64_t columns);

#endif

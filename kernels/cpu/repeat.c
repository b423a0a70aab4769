/* repeat.c - the whole batch again, once per half of the guidance: decoder and prior run [unconditional;
 * conditional]. */
#include "cpu.h"

static void repeat(const uc_launch *l) {
    const int64_t count = uc_shape_count(l->in[0].shape);
    for (int64_t i = 0; i < l->attrs.repeat.times; i++) uc_move(&l->out[0], i * count, &l->in[0], 0, count);
}

UC_CPU_SINGLE(repeat, repeat)
UC_CPU_NO_SCRATCH(repeat)

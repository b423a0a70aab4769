/* time_embedding.c - see time_embedding.h. */
#include "time_embedding.h"

uc_val uc_time_embedding_record(uc_graph *g, const uc_time_embedding *c, uc_val timesteps) {
    const int phase = uc_set_phase(g, 0);
    uc_val t = uc_timestep(g, timesteps, c->sinusoid, c->flip_sin_to_cos, c->freq_shift);
    t = uc_linear(g, t, "time_embedding.linear_1", .features = c->hidden, .act = UC_SILU);
    t = uc_linear(g, t, "time_embedding.linear_2", .features = c->out);
    uc_set_phase(g, phase);
    return uc_select_row(g, t);
}

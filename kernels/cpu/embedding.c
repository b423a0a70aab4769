/* embedding.c - rows of the token table plus rows of the position table: the first operation of CLIP's text encoder. */
#include "cpu.h"

enum { BLOCK = 1024 };

static void embed_token(const uc_launch *l, int64_t token, int64_t position) {
    const uc_view *table = &l->in[UC_EMB_TABLE], *positions = &l->in[UC_EMB_POSITIONS], *y = &l->out[0];
    const int64_t c = table->shape.dim[1], id = ((const int32_t *)l->in[UC_EMB_IDS].data)[token];
    for (int64_t from = 0; from < c; from += BLOCK) {
        const int64_t count = uc_min64(BLOCK, c - from);
        float row[BLOCK], place[BLOCK];
        uc_convert(row, UC_F32, uc_at(table->data, table->dtype, id * c + from), table->dtype, count);
        if (positions->data) {
            uc_convert(place, UC_F32, uc_at(positions->data, positions->dtype, position * c + from), positions->dtype,
                       count);
            for (int64_t i = 0; i < count; i++) row[i] += place[i];
        }
        uc_convert(uc_at_mut(y->data, y->dtype, token * c + from), y->dtype, row, UC_F32, count);
    }
}

static void embedding(const uc_launch *l) {
    const int64_t length = l->in[UC_EMB_IDS].shape.dim[1], tokens = uc_shape_count(l->in[UC_EMB_IDS].shape);
    UC_OMP(parallel for num_threads(uc_threads_for(l, tokens * l->out[0].shape.dim[2])) schedule(static))
    for (int64_t token = 0; token < tokens; token++) embed_token(l, token, token % length);
}

UC_CPU_SINGLE(embedding, embedding)
UC_CPU_NO_SCRATCH(embedding)

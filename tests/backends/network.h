/* network.h - a small sampler with a network made of most operations, in memory: what backends are tested on. Guidance,
 * a UNet with a skip connection and attention over context, time embeddings by step; the shape of the decoder. */
#ifndef UC_TESTS_BACKENDS_NETWORK_H
#define UC_TESTS_BACKENDS_NETWORK_H

#include "engine/core/backend.h"
#include "engine/core/record.h"

enum { NET_CHANNELS = 16, NET_SIZE = 16, NET_TOKENS = 5, NET_STEPS = 3 };

/* Seeded weights of a type; freed by network_params_free. */
uc_params *network_params(uc_dtype type, uint64_t seed);
void network_params_free(uc_params *params);

/* The recorded graph for `batch` images. States: x, x0, seeds, context, times. Phase 0 prepares, phase 1 is a step. */
uc_graph *network_graph(const uc_params *params, uc_dtype type, int64_t batch);

/* Uploads inputs of images first ... first + batch and runs all steps; x receives [batch,3,16,16]. */
unclip_status network_run(uc_backend *backend, uc_program *program, int64_t first, int64_t batch, float *x,
                          unclip_error *err);

enum { NET_IMAGE = 3 * NET_SIZE * NET_SIZE };

#endif

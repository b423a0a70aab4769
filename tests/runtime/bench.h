/* bench.h - a simulated runtime for tests of what it promises, and small pictures drawn on one. */
#ifndef UC_TESTS_RUNTIME_BENCH_H
#define UC_TESTS_RUNTIME_BENCH_H

#include "host/cuda/backend_cuda.h"
#include "host/cuda/sim.h"
#include "host/loaded_model.h"

uc_runtime *sim_with(uc_sim_options options); /* fails the test when it cannot */
void sim_close(uc_runtime *rt);               /* expects nothing left and nothing misused */

/* A request on one of the tiny models: one picture of 64 pixels of few steps unless changed. */
typedef struct painting {
    uc_loaded_model *model;
    unclip_generate_options options;
    uint8_t *rgb;
    size_t size;
    int width;
} painting;

void painting_open(painting *p, const char *model);
void painting_close(painting *p);

/* Draws it; the last picture is kept. */
unclip_status paint(painting *p, uc_backend *backend, uc_dtype type, unclip_error *err);

/* On a new backend of the runtime, closed again. */
unclip_status paint_on(painting *p, uc_runtime *rt, unclip_run_mode mode, unclip_error *err);

#endif

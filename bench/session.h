/* session.h - a model on a device as the library has it, opened from the inside, so that single stages of the flow can
 * be run with invented inputs and single operations be timed. */
#ifndef UC_BENCH_SESSION_H
#define UC_BENCH_SESSION_H

#include "bench.h"
#include "engine/tasks/request.h"
#include "engine/tasks/stage_graphs.h"
#include "host/loaded_model.h"
#include "report.h"

/* Where mode timed leaves its times: seconds of each operation of the program that ran last. */
typedef struct bench_sink {
    const bench_options *options;
    double *seconds; /* by operation; NULL = not listening */
    double last;     /* by the options' clock: when the operation before ended */
} bench_sink;

typedef struct bench_session {
    const bench_options *options;
    uc_loaded_model *loaded;
    uc_backend *backend;
    uc_session session;
    const char *prompt;
    unclip_generate_options wanted;
    uc_request request;
    bench_sink sink;
} bench_session;

/* The part of a launch that is one graph: the text encoder, or a stage. */
typedef struct bench_part { bool text; unclip_stage stage; } bench_part;

unclip_status bench_device_open(uc_backend **backend, const bench_options *options, unclip_run_mode mode,
                                bench_sink *sink, unclip_error *err);

/* What the device calls itself; NULL when it has no name of its own. */
const char *bench_device_text(uc_backend *backend, char *out, size_t capacity);

/* A report about the options' device. */
unclip_status bench_report_new(bench_report *report, const bench_options *options, unclip_error *err);

unclip_status bench_session_open(bench_session *s, const bench_options *options, unclip_run_mode mode,
                                 unclip_error *err);
void bench_session_close(bench_session *s);

/* Whether the options and the model have it. */
bool bench_part_wanted(const bench_session *s, bench_part part);
const char *bench_part_name(bench_part part);
int bench_part_steps(const bench_session *s, bench_part part); /* 0 for text */

/* How often one launch runs this phase. */
double bench_phase_times(const bench_session *s, bench_part part, int phase, int phases);

/* Its graph, to be given to a plan or program, which says what is wrong with it. */
uc_graph *bench_part_graph(bench_session *s, bench_part part);
unclip_status bench_part_program(bench_session *s, bench_part part, uc_program **program, unclip_error *err);

/* Calls run for every part that is wanted, each in a session of its own, so that the prepared weights of one are gone
 * before the next. */
typedef unclip_status (*bench_part_fn)(void *user, bench_session *s, bench_part part, unclip_error *err);
unclip_status bench_each_part(const bench_options *options, unclip_run_mode mode, bench_part_fn run, void *user,
                              unclip_error *err);

/* Gives every state something that a real run could have in it. */
unclip_status bench_part_fill(bench_session *s, bench_part part, uc_program *program, unclip_error *err);

/* Runs a phase and waits for it; *seconds by the options' clock. With a listening sink its times are those of this run.
 * The second takes the first step of the part's schedule. */
unclip_status bench_step_run(bench_session *s, uc_program *program, int phase, const uc_step *step, double *seconds,
                             unclip_error *err);
unclip_status bench_phase_run(bench_session *s, bench_part part, uc_program *program, int phase, double *seconds,
                              unclip_error *err);

#endif

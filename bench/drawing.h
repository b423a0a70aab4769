/* drawing.h - the options of the command line as the public interface wants them, for what measures whole pictures; and
 * work in a process of its own, where memory and the first use of everything start afresh. */
#ifndef UC_BENCH_DRAWING_H
#define UC_BENCH_DRAWING_H

#include "bench.h"

unclip_status bench_engine_open(unclip_engine **engine, const bench_options *options, unclip_error *err);

/* prompts point into options. */
void bench_want(unclip_generate_options *want, const bench_options *options);

/* Runs work in a child process and gives back the bytes that it put into result; its failure becomes ours. */
typedef unclip_status (*bench_work)(const bench_options *options, void *result, unclip_error *err);
unclip_status bench_apart(const bench_options *options, bench_work work, void *result, size_t size, unclip_error *err);

#endif

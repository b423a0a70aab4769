/* results.h - result files read again: one JSON object a line, of a schema that we know. */
#ifndef UC_BENCH_RESULTS_H
#define UC_BENCH_RESULTS_H

#include <jansson.h>

#include "bench.h"

/* An array of objects, to be given to json_decref; a line that is none, or of another schema, is named. */
unclip_status bench_results_read(json_t **rows, const char *path, unclip_error *err);

const char *bench_text(const json_t *row, const char *key); /* "" when absent */
double bench_number(const json_t *row, const char *key);    /* 0 when absent */
const char *bench_context_text(const json_t *row, const char *key);

#endif

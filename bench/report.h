/* report.h - what was measured goes out: a table to be read on standard output, and one JSON object a line, with all
 * that a later reader must know, into the file of --output. */
#ifndef UC_BENCH_REPORT_H
#define UC_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench.h"

typedef struct bench_report {
    const bench_options *options;
    FILE *file;      /* or NULL */
    json_t *context; /* machine, compiler, libraries, commit, device */
    bool titled;     /* the table has its heading */
} bench_report;

/* What the device can do at most, as measured in the same run; 0 = not known. By type of the activations. */
typedef struct bench_limits {
    double bytes_per_second; /* read and written by a copy */
    double flops_per_second[UC_DTYPE_COUNT];
} bench_limits;

typedef struct bench_row {
    const char *name;                /* unique within the subcommand, device, type and batch */
    const char *stage, *part, *op;   /* or NULL */
    uc_dtype type;
    bench_summary time;              /* seconds */
    double times;                    /* how often this is done for one launch */
    double flops, bytes;             /* of once; 0 = not counted */
    json_t *more;                    /* further fields, or NULL; taken over */
} bench_row;

/* device_text: what the device calls itself, or NULL. */
unclip_status bench_report_open(bench_report *report, const bench_options *options, const char *device_text,
                                unclip_error *err);
unclip_status bench_report_row(bench_report *report, const bench_row *row, const bench_limits *limits,
                               unclip_error *err);

/* A row whose numbers are not times: printed by the caller, written here. Takes fields over. */
unclip_status bench_report_object(bench_report *report, json_t *fields, unclip_error *err);
unclip_status bench_report_limits(bench_report *report, const bench_limits *limits, unclip_error *err);
void bench_report_close(bench_report *report);

#endif

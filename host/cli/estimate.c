/* estimate.c - what each arrow would cost, from the plan and without running it. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "text.h"

static void print_row(const char *name, const unclip_estimate_stage *stage) {
    printf("%-8s %6d %15" PRIu64 " %17" PRIu64 " %14.6g\n", name, stage->steps, stage->weight_bytes,
           stage->activation_bytes, stage->flops);
}

static bool is_empty(const unclip_estimate_stage *stage) {
    return stage->steps == 0 && stage->weight_bytes == 0 && stage->activation_bytes == 0;
}

int cli_print_estimate(unclip_engine *engine, const unclip_generate_options *options, cli_error *err) {
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    unclip_error error = { .status = UNCLIP_OK };
    unclip_status status = unclip_generate_estimate(engine, options, &estimate, &error);
    if (status) return cli_fail_status(err, status, &error);
    printf("%-8s %6s %15s %17s %14s\n", "stage", "steps", "weights (B)", "activations (B)", "FLOP");
    print_row("text", &estimate.text);
    uint64_t weights = estimate.text.weight_bytes;
    double flops = estimate.text.flops;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
        const unclip_estimate_stage *stage = &estimate.stage[i];
        if (is_empty(stage)) continue;
        print_row(unclip_stage_name((unclip_stage)i), stage);
        weights += stage->weight_bytes;
        flops += stage->flops;
    }
    printf("%-8s %6s %15" PRIu64 " %17" PRIu64 " %14.6g\n", "all", "", weights, estimate.peak_activation_bytes, flops);
    return cli_flush_results(err);
}

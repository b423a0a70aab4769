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

static unclip_estimate_stage both(const unclip_estimate_stage *a, const unclip_estimate_stage *b) {
    unclip_estimate_stage sum = a->weight_bytes ? *a : *b;
    sum.flops = a->flops + b->flops;
    if (sum.activation_bytes < b->activation_bytes) sum.activation_bytes = b->activation_bytes;
    return sum;
}

int cli_print_estimate(const unclip_estimate *inversion, const unclip_estimate *drawing, cli_error *err) {
    const unclip_estimate none = { .struct_size = sizeof none };
    const unclip_estimate *before = inversion ? inversion : &none;
    const unclip_estimate_stage text = both(&before->text, &drawing->text);
    const struct { const char *name; const unclip_estimate_stage *stage; } rows[] = {
        { "image", &before->image },
        { "text", &text },
        { "invert", &before->stage[UNCLIP_STAGE_DECODER] },
        { "prior", &drawing->stage[UNCLIP_STAGE_PRIOR] },
        { "decoder", &drawing->stage[UNCLIP_STAGE_DECODER] },
        { "sr256", &drawing->stage[UNCLIP_STAGE_SR256] },
        { "sr1024", &drawing->stage[UNCLIP_STAGE_SR1024] },
    };
    uint64_t weights = 0, peak = drawing->peak_activation_bytes;
    double flops = 0;
    printf("%-8s %6s %15s %17s %14s\n", "stage", "steps", "weights (B)", "activations (B)", "FLOP");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (is_empty(rows[i].stage)) continue;
        print_row(rows[i].name, rows[i].stage);
        flops += rows[i].stage->flops;
        /* inversion is the decoder's */
        if (rows[i].stage != &before->stage[UNCLIP_STAGE_DECODER]) weights += rows[i].stage->weight_bytes;
    }
    if (before->peak_activation_bytes > peak) peak = before->peak_activation_bytes;
    printf("%-8s %6s %15" PRIu64 " %17" PRIu64 " %14.6g\n", "all", "", weights, peak, flops);
    return cli_flush_results(err);
}

/* main.c - unclip-bench: the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "host/tuning.h"

static const struct {
    const char *name;
    unclip_status (*run)(const bench_options *options, unclip_error *err);
    const char *help;
} commands[] = {
    { "ops", bench_ops, "single operations and their share of the device's limit" },
    { "stages", bench_stages, "each stage by itself: ready, prepared once, a step" },
    { "cascade", bench_cascade, "whole pictures, split by stage" },
    { "load", bench_load, "time to the first step, cold and warm" },
    { "memory", bench_memory, "what --estimate says beside what was resident" },
    { "evaluate", bench_evaluate, "--stage NAME -o FILE: a step's inputs and output, then a time for every line" },
    { "tune", bench_tune, "-o CACHE.json: which implementation is fastest for each shape; obeyed with --tuning" },
    { "compare", bench_compare, "A.jsonl B.jsonl: what changed beyond noise" },
    { "roofline", bench_roofline, "RESULTS.jsonl -o PICTURE.svg" },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void) {
    printf("usage: unclip-bench COMMAND [FLAG VALUE ...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++) printf("  %-9s %s\n", commands[i].name, commands[i].help);
    printf("\n"
           "  -m, --model DIR     the model (%s)\n"
           "  --device NAME       cpu, ref, cuda:N or sim:N (cpu)\n"
           "  --type TYPE         f32, f16 or bf16 (f32)\n"
           "  --threads N         CPU threads; 0 = all (0)\n"
           "  --batch N           images in a launch (1)\n"
           "  --steps N           of every stage; 0 = the model's own (0)\n"
           "  --stage LIST        of text,prior,decoder,sr256,sr1024 (all)\n"
           "  --filter TEXT       ops: those with this in their name\n"
           "  --cases 0|1         ops: the list of the tests too (1)\n"
           "  --least N, --most N samples (3, 1000)\n"
           "  --seconds S         for one measurement, about (3)\n"
           "  --warmup N          runs before it (1)\n"
           "  --clock wall|cpu    cpu: processor time of all threads (wall)\n"
           "  --small 0|1         limits from small operands: whether it works, not how fast (0)\n"
           "  --prompt TEXT\n"
           "  --tuning FILE       cpu: obey the choices of a cache that tune wrote\n"
           "  -o, --output FILE   one JSON object a line is appended; roofline: the picture; tune: the cache\n",
           UC_BENCH_MODEL);
}

static bool read_integer(const char *text, int low, int high, int *out) {
    char *end = NULL;
    const long value = strtol(text, &end, 10);
    if (end == text || *end || value < low || value > high) return false;
    *out = (int)value;
    return true;
}

static bool read_switch(const char *text, bool *out) {
    int value = 0;
    if (!read_integer(text, 0, 1, &value)) return false;
    *out = value != 0;
    return true;
}

static bool read_seconds(const char *text, double *out) {
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= 0 && *out <= 86400;
}

static bool read_choice(const char *text, const char *const *choices, int count, int *out) {
    for (int i = 0; i < count; i++)
        if (!strcmp(text, choices[i])) {
            *out = i;
            return true;
        }
    return false;
}

static bool read_stages(const char *text, bench_options *o) {
    o->text = false;
    memset(o->stage, 0, sizeof o->stage);
    while (*text) {
        const size_t length = strcspn(text, ",");
        bool known = length == 4 && !strncmp(text, "text", 4);
        if (known) o->text = true;
        for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) {
            const char *name = unclip_stage_name((unclip_stage)i);
            if (strlen(name) != length || strncmp(text, name, length) != 0) continue;
            known = o->stage[i] = true;
        }
        if (!known) return false;
        text += length + (text[length] == ',');
    }
    return true;
}

static bool read_flag(bench_options *o, const char *flag, const char *value) {
    static const char *const types[] = { "auto", "f32", "f16", "bf16" }, *const clocks[] = { "wall", "cpu" };
    int choice = 0;
    if (!strcmp(flag, "-m") || !strcmp(flag, "--model")) return o->model = value, true;
    if (!strcmp(flag, "-o") || !strcmp(flag, "--output")) return o->output = value, true;
    if (!strcmp(flag, "--device")) return o->device = value, true;
    if (!strcmp(flag, "--filter")) return o->filter = value, true;
    if (!strcmp(flag, "--tuning")) return o->tuning_file = value, true;
    if (!strcmp(flag, "--prompt")) return o->prompt = value, true;
    if (!strcmp(flag, "--threads")) return read_integer(value, 0, 1024, &o->threads);
    if (!strcmp(flag, "--batch")) return read_integer(value, 1, 1024, &o->batch);
    if (!strcmp(flag, "--steps")) return read_integer(value, 0, 1000, &o->steps);
    if (!strcmp(flag, "--least")) return read_integer(value, 1, 1000000, &o->least);
    if (!strcmp(flag, "--most")) return read_integer(value, 1, 1000000, &o->most);
    if (!strcmp(flag, "--warmup")) return read_integer(value, 0, 1000, &o->warmup);
    if (!strcmp(flag, "--cases")) return read_switch(value, &o->cases);
    if (!strcmp(flag, "--small")) return read_switch(value, &o->small);
    if (!strcmp(flag, "--seconds")) return read_seconds(value, &o->seconds);
    if (!strcmp(flag, "--stage")) return read_stages(value, o);
    if (!strcmp(flag, "--type")) {
        if (!read_choice(value, types, 4, &choice)) return false;
        o->type = (unclip_type)choice;
        return true;
    }
    if (strcmp(flag, "--clock") != 0 || !read_choice(value, clocks, 2, &choice)) return false;
    o->cpu_clock = choice == 1;
    return true;
}

static bool read_arguments(bench_options *o, int argc, char *argv[]) {
    for (int i = 2; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (o->operands == BENCH_OPERANDS) {
                fprintf(stderr, "unclip-bench: %s is one file too many\n", argv[i]);
                return false;
            }
            o->operand[o->operands++] = argv[i];
            continue;
        }
        if (i + 1 == argc || !read_flag(o, argv[i], argv[i + 1])) {
            fprintf(stderr, "unclip-bench: %s %s is not understood\n", argv[i], i + 1 < argc ? argv[i + 1] : "");
            return false;
        }
        i++;
    }
    if (o->most < o->least) o->most = o->least;
    return true;
}

/* As unclip-cuda does: OpenMP threads that spin while they wait disturb what is measured. */
static void wait_without_spinning(char *argv[]) {
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT")) return;
    if (setenv("OMP_WAIT_POLICY", "passive", 1) == 0) execv("/proc/self/exe", argv);
}

/* The command, with the cache that it was given. */
static unclip_status run_command(size_t command, bench_options *o, unclip_error *err) {
    uc_tuning *tuning = NULL;
    char notice[UC_TUNING_NOTICE];
    unclip_status status = o->tuning_file ? uc_tuning_load(&tuning, o->tuning_file, err) : UNCLIP_OK;
    if (tuning && uc_tuning_notice(tuning, o->tuning_file, notice)) fprintf(stderr, "unclip-bench: %s\n", notice);
    o->tuning = tuning;
    if (!status) status = commands[command].run(o, err);
    uc_tuning_free(tuning);
    return status;
}

int main(int argc, char *argv[]) {
    bench_options o = { .model = UC_BENCH_MODEL, .device = "cpu", .type = UNCLIP_TYPE_F32, .batch = 1, .text = true,
                        .stage = { true, true, true, true }, .least = 3, .most = 1000, .warmup = 1, .seconds = 3,
                        .cases = true, .prompt = "a red cube on top of a blue sphere" };
    unclip_error err = { .status = UNCLIP_OK };
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help();
        return argc < 2 ? 64 : 0;
    }
    wait_without_spinning(argv);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) continue;
        o.command = commands[i].name;
        if (!read_arguments(&o, argc, argv)) return 64;
        if (!run_command(i, &o, &err)) return 0;
        fprintf(stderr, "unclip-bench %s: %s\n", o.command, err.message);
        return 1;
    }
    fprintf(stderr, "unclip-bench: %s is no subcommand; --help lists them\n", argv[1]);
    return 64;
}

/* report.c - see report.h. */
#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(UC_HAVE_ONEDNN)
#include <dnnl.h>
#endif

#include "commit.h"
#include "kernels/cpu/cpu.h"

/* ---- where and with what ----------------------------------------------------------------------------------------- */

/* The value of the first line "key : value" of a file. */
static void line_value(const char *path, const char *key, char *out, size_t capacity) {
    FILE *f = fopen(path, "r");
    char line[512];
    snprintf(out, capacity, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon) continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(out, capacity, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    if (f) fclose(f);
}

static json_t *describe_machine(void) {
    char model[256], memory[64];
    struct utsname system = { 0 };
    uname(&system);
    line_value("/proc/cpuinfo", "model name", model, sizeof model);
    line_value("/proc/meminfo", "MemTotal", memory, sizeof memory);
    return json_pack("{s:s, s:i, s:s, s:s, s:s}", "cpu", model, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "memory",
                     memory, "instructions", uc_cpu_isa_name(uc_cpu_isa()), "system", system.release);
}

static json_t *describe_libraries(void) {
    json_t *libraries = json_object();
#if defined(UC_HAVE_ONEDNN)
    char text[48];
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    json_object_set_new(libraries, "oneDNN", json_string(text));
#endif
    return libraries;
}

static json_t *describe_context(const bench_options *o, const char *device_text) {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const char *slash = strrchr(o->model, '/'), *model = slash && slash[1] ? slash + 1 : o->model;
    json_t *c = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "model", model, "engine", "unclip-cuda",
                          "version", unclip_version(), "commit", UC_BENCH_COMMIT, "compiler", UC_BENCH_COMPILER,
                          "device", o->device, "threads", o->threads ? o->threads : (int)cores, "clock",
                          o->cpu_clock ? "processor" : "wall");
    /* of the run; rows have their own */
    json_object_set_new(c, "type", json_string(bench_type_name(bench_dtype(o->type))));
    json_object_set_new(c, "machine", describe_machine());
    json_object_set_new(c, "libraries", describe_libraries());
    if (device_text) json_object_set_new(c, "device_name", json_string(device_text));
    return c;
}

unclip_status bench_report_open(bench_report *r, const bench_options *o, const char *device_text, unclip_error *err) {
    *r = (bench_report){ .options = o, .context = describe_context(o, device_text) };
    if (!o->output) return UNCLIP_OK;
    r->file = fopen(o->output, "a");
    if (r->file) return UNCLIP_OK;
    bench_report_close(r);
    return uc_fail(err, UNCLIP_ERR_WRITE, "%s: cannot be written", o->output);
}

void bench_report_close(bench_report *r) {
    if (r->file) fclose(r->file);
    if (r->context) json_decref(r->context);
    *r = (bench_report){ 0 };
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

unclip_status bench_report_object(bench_report *r, json_t *fields, unclip_error *err) {
    if (!fields) return uc_fail_memory(err, sizeof *fields, "a row");
    json_t *row = json_pack("{s:i, s:s}", "schema", BENCH_SCHEMA, "bench", r->options->command);
    json_object_update(row, fields);
    json_object_set(row, "context", r->context);
    bool good = true;
    if (r->file)
        good = json_dumpf(row, r->file, JSON_COMPACT | JSON_REAL_PRECISION(7)) == 0 && fputc('\n', r->file) == '\n' &&
               fflush(r->file) == 0;
    json_decref(row);
    json_decref(fields);
    return good ? UNCLIP_OK : uc_fail(err, UNCLIP_ERR_WRITE, "%s: cannot be written", r->options->output);
}

/* The least time that this much work can take, and what sets it. */
static double limit_of(const bench_row *row, const bench_limits *limits, const char **bound) {
    *bound = NULL;
    if (!limits) return 0;
    const double peak = limits->flops_per_second[row->type], band = limits->bytes_per_second;
    const double compute = peak > 0 ? row->flops / peak : 0, memory = band > 0 ? row->bytes / band : 0;
    if (compute <= 0 && memory <= 0) return 0;
    *bound = compute >= memory ? "arithmetic" : "memory";
    return compute >= memory ? compute : memory;
}

static void print_row(bench_report *r, const bench_row *row, double share, const char *bound) {
    if (!r->titled)
        printf("%-72s %6s %5s %10s %10s %10s %9s %8s %7s\n", "what", "times", "n", "min ms", "p50 ms", "p95 ms",
               "GFLOP/s", "GB/s", "limit");
    r->titled = true;
    printf("%-72s %6g %5zu %10.4g %10.4g %10.4g", row->name, row->times, row->time.count, 1e3 * row->time.min,
           1e3 * row->time.p50, 1e3 * row->time.p95);
    if (row->time.p50 > 0 && row->flops > 0) printf(" %9.1f", 1e-9 * row->flops / row->time.p50);
    else printf(" %9s", "");
    if (row->time.p50 > 0 && row->bytes > 0) printf(" %8.2f", 1e-9 * row->bytes / row->time.p50);
    else printf(" %8s", "");
    if (bound) printf(" %4.0f %% %c", 100 * share, bound[0]);
    printf("\n");
    fflush(stdout);
}

static void set_text(json_t *j, const char *name, const char *text) {
    if (text) json_object_set_new(j, name, json_string(text));
}

static void set_work(json_t *j, const bench_row *row) {
    if (row->flops > 0) json_object_set_new(j, "flops", json_real(row->flops));
    if (row->bytes > 0) json_object_set_new(j, "bytes", json_real(row->bytes));
    if (row->flops > 0 && row->time.p50 > 0)
        json_object_set_new(j, "flops_per_second", json_real(row->flops / row->time.p50));
    if (row->bytes > 0 && row->time.p50 > 0)
        json_object_set_new(j, "bytes_per_second", json_real(row->bytes / row->time.p50));
}

unclip_status bench_report_row(bench_report *r, const bench_row *row, const bench_limits *limits, unclip_error *err) {
    const char *bound = NULL;
    const double limit = limit_of(row, limits, &bound), share = row->time.p50 > 0 ? limit / row->time.p50 : 0;
    print_row(r, row, share, bound);
    json_t *j = json_pack("{s:s, s:s, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "name", row->name, "type",
                          bench_type_name(row->type), "batch", r->options->batch, "samples",
                          (json_int_t)row->time.count, "min_s", row->time.min, "p50_s", row->time.p50, "p95_s",
                          row->time.p95, "low_s", row->time.low, "high_s", row->time.high, "times", row->times);
    if (!j) return uc_fail_memory(err, sizeof *j, "a row");
    set_text(j, "stage", row->stage);
    set_text(j, "part", row->part);
    set_text(j, "op", row->op);
    set_work(j, row);
    if (bound) {
        set_text(j, "bound", bound);
        json_object_set_new(j, "limit_s", json_real(limit));
        json_object_set_new(j, "share", json_real(share));
    }
    if (row->more) {
        json_object_update(j, row->more);
        json_decref(row->more);
    }
    return bench_report_object(r, j, err);
}

unclip_status bench_report_limits(bench_report *r, const bench_limits *limits, unclip_error *err) {
    json_t *j = json_pack("{s:s, s:f}", "name", "limits", "bytes_per_second", limits->bytes_per_second);
    printf("limits: %.2f GB/s copied", 1e-9 * limits->bytes_per_second);
    static const uc_dtype types[] = { UC_F32, UC_BF16, UC_F16 };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char name[32];
        const double peak = limits->flops_per_second[types[i]];
        if (peak <= 0) continue;
        printf(", %.1f GFLOP/s %s", 1e-9 * peak, bench_type_name(types[i]));
        snprintf(name, sizeof name, "%s_flops_per_second", bench_type_name(types[i]));
        json_object_set_new(j, name, json_real(peak));
    }
    printf("\n");
    return bench_report_object(r, j, err);
}

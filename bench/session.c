/* session.c - see session.h. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "engine/core/philox.h"
#include "host/backends.h"
#include "host/cuda/backend_cuda.h"

/* ---- devices ----------------------------------------------------------------------------------------------------- */

/* Backends in the host's memory report after each operation, so that the options' clock can be read in between; the
 * others report what their own clock said. */
static void on_timing(void *user, const uc_plan *plan, int32_t op, double seconds) {
    bench_sink *sink = user;
    (void)plan;
    if (!sink->seconds) return;
    if (!sink->options->cpu_clock) {
        sink->seconds[op] = seconds;
        return;
    }
    const double now = bench_now(sink->options);
    sink->seconds[op] = now - sink->last;
    sink->last = now;
}

unclip_status bench_device_open(uc_backend **backend, const bench_options *o, unclip_run_mode mode, bench_sink *sink,
                                unclip_error *err) {
    const uc_backend_options options = { .mode = mode, .threads = o->threads, .on_timing = on_timing, .user = sink,
                                         .tuning = o->tuning };
    bool known = false;
    *sink = (bench_sink){ .options = o };
    *backend = NULL;
    if (!strcmp(o->device, "cpu")) return uc_backend_cpu_new(backend, &options, err);
    if (!strcmp(o->device, "ref")) return uc_backend_ref_new(backend, &options, err);
    const unclip_status status = uc_backend_cuda_open(backend, o->device, &options, &known, err);
    if (known) return status;
    return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s is unknown, expected cpu, cuda:N, ref or sim:N", o->device);
}

const char *bench_device_text(uc_backend *backend, char *out, size_t capacity) {
    uc_device_info info = { .name = "" };
    if (!strcmp(backend->name, "cpu") || !strcmp(backend->name, "ref")) return NULL;
    uc_backend_cuda_info(backend, &info);
    snprintf(out, capacity, "%s, sm_%d%d", info.name, info.major, info.minor);
    return out;
}

unclip_status bench_report_new(bench_report *report, const bench_options *options, unclip_error *err) {
    char text[300];
    bench_sink sink;
    uc_backend *backend = NULL;
    unclip_status status = bench_device_open(&backend, options, UNCLIP_RUN_REPLAY, &sink, err);
    if (status) return status;
    status = bench_report_open(report, options, bench_device_text(backend, text, sizeof text), err);
    backend->close(backend);
    return status;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static unclip_status open_model(bench_session *s, unclip_error *err) {
    const bench_options *o = s->options;
    unclip_status status = uc_loaded_model_open(&s->loaded, o->model, err);
    if (status) return status;
    s->session = (uc_session){ .model = &s->loaded->model, .backend = s->backend, .type = bench_dtype(o->type) };
    if (!s->backend->supports(s->backend, s->session.type))
        return uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "device %s does not compute in %s on this machine", o->device,
                       bench_type_name(s->session.type));
    status = uc_model_check(&s->session, err);
    if (status) return status;
    s->prompt = o->prompt;
    unclip_generate_options_init(&s->wanted);
    s->wanted.prompts = &s->prompt;
    s->wanted.prompt_count = 1;
    s->wanted.images_per_prompt = s->wanted.batch_size = (size_t)o->batch;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) s->wanted.stage[i].steps = o->steps;
    return uc_request_new(&s->request, &s->session, &s->wanted, err);
}

unclip_status bench_session_open(bench_session *s, const bench_options *options, unclip_run_mode mode,
                                 unclip_error *err) {
    *s = (bench_session){ .options = options };
    unclip_status status = bench_device_open(&s->backend, options, mode, &s->sink, err);
    if (!status) status = open_model(s, err);
    if (status) bench_session_close(s);
    return status;
}

void bench_session_close(bench_session *s) {
    if (s->request.options) uc_request_free(&s->request);
    if (s->backend) s->backend->close(s->backend);
    uc_loaded_model_close(s->loaded);
    *s = (bench_session){ 0 };
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

bool bench_part_wanted(const bench_session *s, bench_part part) {
    if (part.text) return s->options->text;
    return part.stage <= s->request.last && s->options->stage[part.stage];
}

const char *bench_part_name(bench_part part) { return part.text ? "text" : unclip_stage_name(part.stage); }

int bench_part_steps(const bench_session *s, bench_part part) {
    return part.text ? 0 : s->request.sampler[part.stage]->count;
}

double bench_phase_times(const bench_session *s, bench_part part, int phase, int phases) {
    if (phase == 0 || part.text) return 1;
    if (part.stage == UNCLIP_STAGE_PRIOR && phase + 1 == phases) return 1; /* back to CLIP's scale */
    const int steps = bench_part_steps(s, part);
    double times = 0;
    for (int i = 0; i < steps; i++) times += uc_step_phase(part.stage, i, steps) == phase ? 1 : 0;
    return times;
}

uc_graph *bench_part_graph(bench_session *s, bench_part part) {
    if (part.text) return uc_text_graph(&s->session, (int64_t)s->wanted.prompt_count + 1);
    const uc_stage_shape shape = { .rows = s->options->batch,
                                   .guided = uc_guided(&s->request, part.stage),
                                   .sampler = s->request.sampler[part.stage] };
    return uc_stage_graph(&s->session, part.stage, &shape);
}

unclip_status bench_part_program(bench_session *s, bench_part part, uc_program **program, unclip_error *err) {
    return uc_program_new(s->backend, bench_part_graph(s, part), program, err);
}

unclip_status bench_each_part(const bench_options *o, unclip_run_mode mode, bench_part_fn run, void *user,
                              unclip_error *err) {
    unclip_status status = UNCLIP_OK;
    for (int i = -1; i < UNCLIP_STAGE_COUNT && !status; i++) {
        const bench_part part = { .text = i < 0, .stage = i < 0 ? UNCLIP_STAGE_PRIOR : (unclip_stage)i };
        bench_session s;
        status = bench_session_open(&s, o, mode, err);
        if (status) break;
        if (bench_part_wanted(&s, part)) status = run(user, &s, part, err);
        bench_session_close(&s);
    }
    return status;
}

static void fill_floats(float *to, int64_t count, int32_t draw) {
    for (int64_t i = 0; i < count; i += 4) {
        float four[4];
        uc_philox_normal4(1, 0, (uint32_t)draw, (uint64_t)i / 4, four);
        for (int64_t k = i; k < count && k < i + 4; k++) to[k] = four[k - i];
    }
}

static void fill_state(const bench_session *s, bench_part part, const uc_value *v, int32_t id, void *to) {
    const int64_t count = uc_shape_count(v->shape);
    if (v->dtype == UC_I64) {
        for (int64_t i = 0; i < count; i++) ((int64_t *)to)[i] = i;
    } else if (v->dtype == UC_I32) {
        const bool ids = v->shape.rank == 2;
        for (int64_t i = 0; i < count; i++) ((int32_t *)to)[i] = ids ? s->request.ids[i] : 1;
    } else if (!strcmp(v->name, "timesteps")) {
        memcpy(to, s->request.sampler[part.stage]->timesteps, (size_t)count * sizeof(float));
    } else if (strstr(v->name, "bias")) {
        memset(to, 0, (size_t)count * sizeof(float));
    } else {
        fill_floats(to, count, id);
    }
}

unclip_status bench_part_fill(bench_session *s, bench_part part, uc_program *program, unclip_error *err) {
    const uc_graph *g = s->backend->plan(program)->graph;
    unclip_status status = UNCLIP_OK;
    for (int32_t id = 1; id < g->value_count && !status; id++) {
        const uc_value *v = &g->values[id];
        if (v->kind != UC_VALUE_STATE) continue;
        const size_t bytes = (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype);
        void *data = malloc(bytes ? bytes : 1);
        if (!data) return uc_fail_memory(err, bytes, v->name);
        fill_state(s, part, v, id, data);
        status = s->backend->upload(program, (uc_val){ id }, data, err);
        free(data);
    }
    return status;
}

/* A download waits for what was enqueued before it. */
static unclip_status wait_for(bench_session *s, uc_program *program, unclip_error *err) {
    const uc_graph *g = s->backend->plan(program)->graph;
    uc_val least = UC_NONE;
    for (int32_t id = 1; id < g->value_count; id++) {
        if (g->values[id].kind != UC_VALUE_STATE) continue;
        if (!uc_present(least) || uc_shape_count(g->values[id].shape) < uc_shape_count(g->values[least.id].shape))
            least = (uc_val){ id };
    }
    if (!uc_present(least)) return UNCLIP_OK;
    const uc_value *v = &g->values[least.id];
    const size_t bytes = (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype);
    void *data = malloc(bytes ? bytes : 1);
    if (!data) return uc_fail_memory(err, bytes, v->name);
    const unclip_status status = s->backend->download(program, least, data, err);
    free(data);
    return status;
}

unclip_status bench_step_run(bench_session *s, uc_program *program, int phase, const uc_step *step, double *seconds,
                             unclip_error *err) {
    const double begin = s->sink.last = bench_now(s->options);
    unclip_status status = s->backend->run(program, phase, step, err);
    if (!status) status = wait_for(s, program, err);
    *seconds = bench_now(s->options) - begin;
    return status;
}

unclip_status bench_phase_run(bench_session *s, bench_part part, uc_program *program, int phase, double *seconds,
                              unclip_error *err) {
    const uc_step *step = part.text || !phase ? NULL : &s->request.sampler[part.stage]->steps[0];
    return bench_step_run(s, program, phase, step, seconds, err);
}

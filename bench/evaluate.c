/* evaluate.c - unclip-bench evaluate --stage NAME -o FILE: our side of a comparison with another engine. One evaluation
 * of a stage's network, in the middle of its schedule: its inputs and what it predicts go into FILE (safetensors), from
 * which the other engine takes the same inputs. Then every line on standard input runs the evaluation once more, and
 * its seconds are printed; so several engines can be timed in turns. */
#include <stdlib.h>
#include <string.h>

#include "engine/core/record.h"
#include "session.h"
#include "weights/safetensors.h"

/* The stage's graph with the network's output kept in a state. */
static uc_graph *graph_with_prediction(const bench_session *s, unclip_stage stage, const uc_step **step) {
    const uc_sampler_plan *sampler = s->request.sampler[stage];
    const uc_stage_shape shape = { .rows = s->options->batch, .guided = uc_guided(&s->request, stage),
                                   .sampler = sampler };
    uc_graph *g = uc_stage_graph(&s->session, stage, &shape);
    *step = &sampler->steps[sampler->count / 2];
    for (int32_t i = 0; g && i < g->op_count; i++) {
        if (g->ops[i].kind != UC_OP_noise_step || g->ops[i].phase != 1) continue;
        const uc_val prediction = g->ops[i].in[UC_NOISE_PREDICTION];
        uc_set_phase(g, 1);
        uc_store(g, uc_state(g, "prediction", UC_F32, uc_shape_of(g, prediction)), prediction);
        break;
    }
    return g;
}

typedef struct tensors { uc_param *item; size_t count; } tensors;

static void drop_tensors(tensors *t) {
    for (size_t i = 0; i < t->count; i++) free((void *)(uintptr_t)t->item[i].data);
    free(t->item);
}

/* A copy of every state: the inputs before the step. */
static unclip_status take_states(bench_session *s, uc_program *program, tensors *t, unclip_error *err) {
    const uc_graph *g = s->backend->plan(program)->graph;
    t->item = calloc((size_t)g->value_count, sizeof *t->item);
    if (!t->item) return uc_fail_memory(err, sizeof *t->item, "states");
    unclip_status status = UNCLIP_OK;
    for (int32_t id = 1; id < g->value_count && !status; id++) {
        const uc_value *v = &g->values[id];
        if (v->kind != UC_VALUE_STATE) continue;
        const size_t bytes = (size_t)uc_shape_count(v->shape) * uc_dtype_size(v->dtype);
        uc_param p = { .name = v->name, .dtype = v->dtype, .rank = v->shape.rank, .data = malloc(bytes ? bytes : 1) };
        for (int d = 0; d < v->shape.rank; d++) p.dim[d] = v->shape.dim[d];
        if (!p.data) return uc_fail_memory(err, bytes, v->name);
        t->item[t->count++] = p;
        status = s->backend->download(program, (uc_val){ id }, (void *)(uintptr_t)p.data, err);
    }
    return status;
}

/* The prediction, which the step has made, and the timestep that it was made for. */
static unclip_status add_results(bench_session *s, uc_program *program, const uc_step *step, tensors *t,
                                 unclip_error *err) {
    const uc_graph *g = s->backend->plan(program)->graph;
    unclip_status status = UNCLIP_OK;
    for (size_t i = 0; i < t->count && !status; i++) {
        if (!strcmp(t->item[i].name, "prediction"))
            status = s->backend->download(program, uc_graph_state(g, "prediction"), (void *)(uintptr_t)t->item[i].data,
                                          err);
        if (strcmp(t->item[i].name, "timesteps") != 0) continue;
        float *timesteps = (float *)(uintptr_t)t->item[i].data;
        timesteps[0] = timesteps[step->index];
        t->item[i].dim[0] = 1;
    }
    return status;
}

static unclip_status answer_lines(bench_session *s, uc_program *program, const uc_step *step, unclip_error *err) {
    char line[64];
    unclip_status status = UNCLIP_OK;
    printf("ready\n");
    fflush(stdout);
    while (!status && fgets(line, sizeof line, stdin)) {
        double seconds = 0;
        status = bench_step_run(s, program, 1, step, &seconds, err);
        printf("%.9f\n", seconds);
        fflush(stdout);
    }
    return status;
}

static unclip_status evaluate(bench_session *s, unclip_stage stage, unclip_error *err) {
    const uc_step *step = NULL;
    const bench_part part = { .stage = stage };
    uc_program *program = NULL;
    tensors t = { .count = 0 };
    double seconds = 0;
    unclip_status status = uc_program_new(s->backend, graph_with_prediction(s, stage, &step), &program, err);
    if (status) return status;
    status = bench_part_fill(s, part, program, err);
    if (!status) status = take_states(s, program, &t, err);
    if (!status) status = bench_step_run(s, program, 0, NULL, &seconds, err);
    if (!status) status = bench_step_run(s, program, 1, step, &seconds, err);
    if (!status) status = add_results(s, program, step, &t, err);
    if (!status) status = uc_safetensors_write(s->options->output, t.item, t.count, err);
    drop_tensors(&t);
    if (!status) status = answer_lines(s, program, step, err);
    s->backend->release(s->backend, program);
    return status;
}

unclip_status bench_evaluate(const bench_options *o, unclip_error *err) {
    int wanted = 0;
    unclip_stage stage = UNCLIP_STAGE_PRIOR;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++)
        if (o->stage[i]) {
            wanted++;
            stage = (unclip_stage)i;
        }
    if (wanted != 1 || !o->output)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "evaluate wants one --stage and --output FILE.safetensors");
    bench_session s;
    unclip_status status = bench_session_open(&s, o, UNCLIP_RUN_REPLAY, err);
    if (status) return status;
    if (stage > s.request.last)
        status = uc_fail(err, UNCLIP_ERR_UNSUPPORTED, "the model has no %s", unclip_stage_name(stage));
    if (!status) status = evaluate(&s, stage, err);
    bench_session_close(&s);
    return status;
}

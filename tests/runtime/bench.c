/* bench.c - see bench.h. */
#include "bench.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tasks/generate.h"

uc_runtime *sim_with(uc_sim_options options) {
    uc_runtime *rt = NULL;
    unclip_error err = { 0 };
    cr_assert_eq(uc_runtime_sim_new(&rt, &options, &err), UNCLIP_OK, "%s", err.message);
    return rt;
}

void sim_close(uc_runtime *rt) {
    cr_expect_str_eq(uc_sim_leaks(rt), "");
    cr_expect_str_eq(uc_sim_misuse(rt), "");
    rt->close(rt);
}

void painting_open(painting *p, const char *model) {
    static const char *const prompts[] = { "a red cube on top of a blue sphere" };
    char path[512];
    unclip_error err = { 0 };
    memset(p, 0, sizeof *p);
    snprintf(path, sizeof path, "%s/goldens/models/%s", UC_TEST_DATA, model);
    cr_assert_eq(uc_loaded_model_open(&p->model, path, &err), UNCLIP_OK, "%s", err.message);
    unclip_generate_options_init(&p->options);
    p->options.prompts = prompts;
    p->options.prompt_count = 1;
    p->options.seed = 7;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) p->options.stage[s].steps = 3;
    p->options.stage[UNCLIP_STAGE_PRIOR].steps = 2;
}

void painting_close(painting *p) {
    uc_loaded_model_close(p->model);
    free(p->rgb);
}

static int keep(void *user, const unclip_image *image) {
    painting *p = user;
    p->width = image->width;
    p->size = (size_t)image->width * (size_t)image->height * 3;
    free(p->rgb);
    p->rgb = malloc(p->size);
    memcpy(p->rgb, image->rgb, p->size);
    return 0;
}

unclip_status paint(painting *p, uc_backend *backend, uc_dtype type, unclip_error *err) {
    const uc_session session = { .model = &p->model->model, .backend = backend, .type = type };
    uc_request request;
    p->options.on_image = keep;
    p->options.user = p;
    unclip_status status = uc_request_new(&request, &session, &p->options, err);
    if (status) return status;
    status = uc_generate(&session, &request, err);
    uc_request_free(&request);
    return status;
}

static void expect_time(void *user, const uc_plan *plan, int32_t op, double seconds) {
    (void)user;
    cr_assert(seconds >= 0 && seconds < 100, "%s: operation %d took %g s", plan->graph->name, (int)op, seconds);
}

unclip_status paint_on(painting *p, uc_runtime *rt, unclip_run_mode mode, unclip_error *err) {
    uc_backend *backend = NULL;
    const uc_backend_options options = { .mode = mode, .threads = 1, .on_timing = expect_time };
    unclip_status status = uc_backend_cuda_new(&backend, rt, false, 0, &options, err);
    if (status) return status;
    status = paint(p, backend, UC_F32, err);
    backend->close(backend);
    return status;
}

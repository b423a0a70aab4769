/* memory.c - devices that are too small for what is asked: launches of fewer images draw the same pictures and say
 * so, and when not even one fits the error has the numbers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "engine/tasks/generate.h"

enum { IMAGES = 4 };

typedef struct album4 {
    uint8_t *rgb[IMAGES];
    size_t size, count;
    char warnings[2000];
} album4;

static int collect(void *user, const unclip_image *image) {
    album4 *a = user;
    cr_assert_lt(a->count, IMAGES);
    cr_expect_eq(image->index, a->count, "images come in order, once");
    a->size = (size_t)image->width * (size_t)image->height * 3;
    a->rgb[a->count] = malloc(a->size);
    memcpy(a->rgb[a->count++], image->rgb, a->size);
    return 0;
}

static void note(void *user, unclip_log_level level, const char *message) {
    album4 *a = user;
    const size_t used = strlen(a->warnings);
    if (level == UNCLIP_LOG_WARNING) snprintf(a->warnings + used, sizeof a->warnings - used, "%s\n", message);
}

/* Draws on the runtime's device, and closes it with nothing left there. */
static unclip_status draw(painting *p, uc_runtime *rt, album4 *a, unclip_error *err) {
    const uc_backend_options options = { .threads = 1 };
    uc_backend *backend = NULL;
    uc_request request;
    memset(a, 0, sizeof *a);
    p->options.on_image = collect;
    p->options.user = a;
    cr_assert_eq(uc_backend_cuda_new(&backend, rt, false, 0, &options, err), UNCLIP_OK, "%s", err->message);
    const uc_session session = { .model = &p->model->model, .backend = backend, .type = UC_F32, .on_log = note,
                                 .log_user = a };
    cr_assert_eq(uc_request_new(&request, &session, &p->options, err), UNCLIP_OK, "%s", err->message);
    const unclip_status status = uc_generate(&session, &request, err);
    uc_request_free(&request);
    backend->close(backend);
    return status;
}

static void drop(album4 *a) {
    for (size_t i = 0; i < a->count; i++) free(a->rgb[i]);
}

static void four_images(painting *p, size_t batch) {
    painting_open(p, "tiny-a");
    p->options.size = 64;
    p->options.images_per_prompt = IMAGES;
    p->options.batch_size = batch;
    p->options.stage[UNCLIP_STAGE_PRIOR].steps = p->options.stage[UNCLIP_STAGE_DECODER].steps = 2;
}

/* All four as they should be, and the most bytes that were in use at a time. */
static uint64_t undisturbed(album4 *a, size_t batch) {
    painting p;
    unclip_error err = { 0 };
    four_images(&p, batch);
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 1 });
    cr_assert_eq(draw(&p, rt, a, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(a->count, IMAGES);
    cr_expect_str_eq(a->warnings, "");
    const uint64_t most = uc_sim_count(rt).most_bytes;
    sim_close(rt);
    painting_close(&p);
    return most;
}

static void expect_same(const album4 *got, const album4 *want) {
    cr_assert_eq(got->count, want->count, "%zu images", got->count);
    for (size_t i = 0; i < want->count; i++)
        cr_expect_arr_eq(got->rgb[i], want->rgb[i], want->size, "image %zu is another one", i);
}

Test(runtime_memory, too_small_for_four) {
    album4 four, two, got;
    painting p;
    unclip_error err = { 0 };
    const uint64_t most = undisturbed(&four, 4), less = undisturbed(&two, 2);
    cr_assert_lt(less, most);
    four_images(&p, 4);
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 2, .device_bytes = (less + most) / 2 });
    cr_expect_eq(draw(&p, rt, &got, &err), UNCLIP_OK, "%s", err.message);
    expect_same(&got, &four);
    cr_expect(strstr(got.warnings, "4 images at once do not fit, going on with 2: ") && strstr(got.warnings, "needs") &&
              !strstr(got.warnings, "with 1"), "%s", got.warnings);
    sim_close(rt);
    drop(&four);
    drop(&two);
    drop(&got);
    painting_close(&p);
}

Test(runtime_memory, too_small_for_one) {
    album4 one, got;
    painting p;
    unclip_error err = { 0 };
    const uint64_t most = undisturbed(&one, 1);
    four_images(&p, 4);
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 2, .device_bytes = most - 1 });
    cr_expect_eq(draw(&p, rt, &got, &err), UNCLIP_ERR_MEMORY, "%s", err.message);
    cr_expect_eq(got.count, 0);
    unsigned long long needs = 0, left = 0, total = 0;
    const char *at = strstr(err.message, " needs ");
    cr_assert_not_null(at, "%s", err.message);
    cr_expect_eq(sscanf(at, " needs %llu bytes, %llu of %llu are free", &needs, &left, &total), 3, "%s", err.message);
    cr_expect(needs > left && left < total && total == most - 1, "%s", err.message);
    cr_expect_eq(strncmp(err.message, "1 image at once: ", 17), 0, "%s", err.message);
    sim_close(rt);
    drop(&one);
    drop(&got);
    painting_close(&p);
}

/* PyTorch's numbers depend on the batch: other pictures would come of a smaller one. */
Test(runtime_memory, torch_numbers_keep_their_batch) {
    album4 two, got;
    painting p;
    unclip_error err = { 0 };
    const uint64_t less = undisturbed(&two, 2);
    four_images(&p, 4);
    p.options.rng = UNCLIP_RNG_TORCH_CPU;
    uc_runtime *rt = sim_with((uc_sim_options){ .seed = 2, .device_bytes = less });
    cr_expect_eq(draw(&p, rt, &got, &err), UNCLIP_ERR_MEMORY, "%s", err.message);
    cr_expect_eq(strncmp(err.message, "4 images at once: ", 18), 0, "%s", err.message);
    sim_close(rt);
    drop(&two);
    drop(&got);
    painting_close(&p);
}

/* One call runs out of memory, wherever it is after the prompts were read: the same pictures, or an error with a
 * name when there was no launch to halve yet. */
Test(runtime_memory, one_call_after_the_other, .timeout = 300) {
    album4 want, got;
    painting p;
    undisturbed(&want, 4);
    four_images(&p, 4);
    size_t halved = 0;
    for (uint64_t call = 40; call < 1200; call += 97) {
        unclip_error err = { 0 };
        uc_runtime *rt = sim_with((uc_sim_options){ .seed = 3 });
        uc_sim_fail(rt, call, UC_CUDA_MemoryAllocation);
        const unclip_status status = draw(&p, rt, &got, &err);
        if (status) cr_expect(status == UNCLIP_ERR_MEMORY && strstr(err.message, "sim:0"), "%s", err.message);
        else expect_same(&got, &want);
        halved += !status && got.warnings[0];
        sim_close(rt);
        drop(&got);
    }
    cr_expect_gt(halved, 3, "%zu launches were halved", halved);
    drop(&want);
    painting_close(&p);
}

/* drawing.c - see drawing.h. */
#include "drawing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

unclip_status bench_engine_open(unclip_engine **engine, const bench_options *o, unclip_error *err) {
    unclip_engine_options open;
    unclip_engine_options_init(&open);
    open.model_dir = o->model;
    open.device = o->device;
    open.type = o->type;
    open.threads = o->threads;
    open.tuning = o->tuning_file;
    return unclip_engine_open(engine, &open, err);
}

void bench_want(unclip_generate_options *want, const bench_options *o) {
    unclip_generate_options_init(want);
    want->prompts = &o->prompt;
    want->prompt_count = 1;
    want->images_per_prompt = want->batch_size = (size_t)o->batch;
    for (int i = 0; i < UNCLIP_STAGE_COUNT; i++) want->stage[i].steps = o->steps;
}

/* Everything that a child says: its status and message, then the result. */
static bool write_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size) {
        const ssize_t n = write(fd, at, size);
        if (n <= 0) return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t size) {
    char *at = data;
    while (size) {
        const ssize_t n = read(fd, at, size);
        if (n <= 0) return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

unclip_status bench_apart(const bench_options *o, bench_work work, void *result, size_t size, unclip_error *err) {
    int ends[2];
    unclip_error child_error = { .status = UNCLIP_OK };
    fflush(NULL);
    if (pipe(ends)) return uc_fail(err, UNCLIP_ERR_INTERNAL, "no pipe to a child process");
    const pid_t child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return uc_fail(err, UNCLIP_ERR_INTERNAL, "no child process");
    }
    if (child == 0) {
        close(ends[0]);
        child_error.status = work(o, result, &child_error);
        const bool told = write_all(ends[1], &child_error, sizeof child_error) && write_all(ends[1], result, size);
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    const bool told = read_all(ends[0], &child_error, sizeof child_error) && read_all(ends[0], result, size);
    close(ends[0]);
    int how = 0;
    waitpid(child, &how, 0);
    if (!told) return uc_fail(err, UNCLIP_ERR_INTERNAL, "the child process ended without a result (status %d)", how);
    return child_error.status ? uc_fail(err, child_error.status, "%s", child_error.message) : UNCLIP_OK;
}

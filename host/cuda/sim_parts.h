/* sim_parts.h - what the files of the simulated runtime (sim.h) share: memory blocks, work, streams, captured lists. */
#ifndef UC_HOST_CUDA_SIM_PARTS_H
#define UC_HOST_CUDA_SIM_PARTS_H

#include "sim.h"

enum { SIM_MAX_DEVICES = 16, SIM_MAX_STREAMS = 64, SIM_MAX_ACCESSES = 16, SIM_TEXT = 400, SIM_TRACE = 1 << 16 };

/* A tick of each stream: what has happened before something. */
typedef struct sim_clock { uint64_t tick[SIM_MAX_STREAMS]; } sim_clock;

/* Bytes that a piece of work touched, for the race detector. */
typedef struct sim_touch {
    size_t begin, end;
    uint64_t tick;
    int stream;
    bool write;
    const char *what;
} sim_touch;

/* Device memory, or the host's when device is -1. Device blocks outlive their release, so that late uses have a
 * name. */
typedef struct sim_block {
    uintptr_t address; /* as the program knows it */
    size_t bytes;
    char *data;        /* where it really is; NULL once released */
    int device;
    uint64_t serial;
    sim_touch *touches;
    size_t touch_count, touch_capacity;
} sim_block;

typedef struct sim_access {
    sim_block *block;
    size_t begin, end;
    bool write;
    const char *what; /* "input 2 of conv2d" and the like: a literal or the runtime's */
} sim_access;

/* In captured lists: the work, by index, that something comes after. */
enum { SIM_MAX_AFTER = 16 };
typedef struct sim_after { int index[SIM_MAX_AFTER], count; } sim_after;

typedef enum sim_work_kind { SIM_COPY, SIM_SET, SIM_OP, SIM_RECORD, SIM_WAIT, SIM_EXEC } sim_work_kind;

typedef struct sim_work {
    sim_work_kind kind;
    int device;
    void *to;
    const void *from;
    size_t bytes;
    int byte;
    uc_launch launch;
    uc_event *event;
    uint64_t ticket;   /* SIM_RECORD, SIM_WAIT: which recording of the event */
    uc_exec *exec;
    sim_access access[SIM_MAX_ACCESSES];
    int access_count;
    sim_after after;
} sim_work;

struct uc_stream {
    int device, index; /* index: of the clocks */
    sim_work *queue;
    size_t first, count, capacity;
    sim_clock clock;
    struct uc_exec *capture; /* what it records into, or NULL */
    sim_after after;         /* captured work that the next one comes after */
    uc_stream *next;
};

struct uc_event {
    int device;
    bool timed;
    uint64_t recorded, done; /* recordings enqueued, recordings run */
    double seconds;
    sim_clock clock;
    struct uc_exec *capture; /* last recorded in this capture */
    sim_after after;
    uc_event *next;
};

struct uc_exec {
    int device;
    sim_work *work;
    int count, capacity;
    sim_access *access; /* of all its work, merged */
    int access_count;
    bool ready;
    int pending;        /* launches that have not been run */
    uc_stream *origin;
    struct uc_exec *next;
};

typedef struct sim_device {
    uintptr_t base;      /* of reserved addresses */
    size_t next_offset;
    uint64_t used;
    bool peer[SIM_MAX_DEVICES];
} sim_device;

typedef struct sim_runtime {
    uc_runtime table; /* first */
    uc_sim_options options;
    sim_device device[SIM_MAX_DEVICES];
    int current;
    sim_block **blocks;
    size_t block_count, block_capacity;
    uc_stream *streams;
    uc_event *events;
    uc_exec *execs;
    bool stream_index_used[SIM_MAX_STREAMS];
    uint64_t ticks[SIM_MAX_STREAMS];
    sim_clock host;
    uint64_t random, serial;
    uc_sim_counts counts;
    const char *trace[SIM_TRACE];
    int lost;              /* the error that stays, or 0 */
    int pending_error;     /* one that whoever waits next is told */
    char detail[SIM_TEXT], misuse[SIM_TEXT], leaks[SIM_TEXT];
} sim_runtime;

static inline sim_runtime *sim_of(const uc_runtime *rt) { return (sim_runtime *)(uintptr_t)rt; }

/* Begins every call: counts it, and says whether it is to fail. */
int sim_call(sim_runtime *s, const char *name);

/* Something that the program did wrong: remembered, and the error of this call. */
int sim_misuse(sim_runtime *s, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

uint64_t sim_random(sim_runtime *s);

/* sim_memory.c */
sim_block *sim_find(const sim_runtime *s, const void *address);
void *sim_real(const sim_access *access); /* where its bytes are */
/* Adds bytes at an address to the work's accesses. device is -1 where the host's memory is meant. */
int sim_add_access(sim_runtime *s, sim_work *w, const void *at, size_t bytes, bool write, const char *what);
int sim_check_access(sim_runtime *s, const sim_access *a, int device);
void sim_memory_functions(uc_runtime *table);
void sim_free_blocks(sim_runtime *s);

/* sim_races.c */
int sim_order_accesses(sim_runtime *s, uc_stream *stream, const sim_access *access, int count);
int sim_order_captured(sim_runtime *s, uc_exec *exec);
void sim_forget_ordered(sim_runtime *s);
void sim_clock_merge(sim_clock *into, const sim_clock *from);

/* sim_streams.c */
int sim_enqueue(sim_runtime *s, uc_stream *stream, sim_work *w);
void sim_run_some(sim_runtime *s);
int sim_run_until(sim_runtime *s, uc_stream *stream, const uc_event *event, uint64_t ticket);
void sim_drop_all(sim_runtime *s);
void sim_forget_handle(sim_runtime *s, const void *event_or_exec); /* in everything that is enqueued */
void sim_stream_functions(uc_runtime *table);

/* sim_capture.c */
int sim_capture(sim_runtime *s, uc_stream *stream, sim_work *w);
int sim_capture_record(sim_runtime *s, uc_stream *stream, uc_event *event);
int sim_capture_wait(sim_runtime *s, uc_stream *stream, uc_event *event);
int sim_run_exec(sim_runtime *s, const uc_exec *exec);
void sim_capture_functions(uc_runtime *table);
void sim_delete_exec(uc_exec *exec);

/* sim_ops.c */
int sim_run_work(sim_runtime *s, const sim_work *w);
void sim_op_functions(uc_runtime *table);

#endif

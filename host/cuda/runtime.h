/* runtime.h - what the CUDA backend wants of a device, as a table of functions with two implementations: the CUDA
 * runtime (runtime_cuda.c) and a simulation of it on the CPU (sim.h). Every arrow of the flow passes here when it runs
 * on a GPU.
 *
 * Functions return zero or one of CUDA's own error numbers (errors.def). Handles belong to the device that was current
 * when they were made. Copies and memset are ordered on their stream and return before they are done; host memory that
 * they touch comes from host_alloc. Nothing uses the default stream. What is enqueued on a stream between capture_begin
 * and capture_end is recorded instead of run, with every parameter frozen. */
#ifndef UC_HOST_CUDA_RUNTIME_H
#define UC_HOST_CUDA_RUNTIME_H

#include "../../kernels/ops.h"

typedef struct uc_runtime uc_runtime;
typedef struct uc_stream uc_stream;
typedef struct uc_event uc_event;
typedef struct uc_exec uc_exec;       /* a captured list, ready to be launched */
typedef struct uc_device_op uc_device_op; /* what a library chose for a launch; owned by the runtime */

typedef struct uc_device_info {
    char name[256];
    int major, minor;     /* compute capability */
    int processors;
    uint64_t bytes;
} uc_device_info;

struct uc_runtime {
    const char *kind; /* "cuda", "sim": begins the names of its devices */
    void (*close)(uc_runtime *rt);

    /* devices */
    int (*device_count)(uc_runtime *rt, int *count);
    int (*device_info)(uc_runtime *rt, int device, uc_device_info *info);
    int (*set_device)(uc_runtime *rt, int device);
    int (*memory_info)(uc_runtime *rt, uint64_t *free_bytes, uint64_t *total_bytes);
    int (*enable_peer)(uc_runtime *rt, int peer); /* the current device may then read and write the peer's memory */

    /* memory */
    int (*alloc)(uc_runtime *rt, void **at, size_t bytes);
    int (*release)(uc_runtime *rt, void *at);      /* nothing enqueued may still use it; NULL is allowed */
    int (*host_alloc)(uc_runtime *rt, void **at, size_t bytes);
    int (*host_release)(uc_runtime *rt, void *at); /* likewise */

    /* streams and events */
    int (*stream_new)(uc_runtime *rt, uc_stream **stream);
    int (*stream_free)(uc_runtime *rt, uc_stream *stream);
    int (*stream_sync)(uc_runtime *rt, uc_stream *stream);
    int (*event_new)(uc_runtime *rt, uc_event **event, bool timed);
    int (*event_free)(uc_runtime *rt, uc_event *event);
    int (*event_record)(uc_runtime *rt, uc_event *event, uc_stream *stream);
    int (*event_wait)(uc_runtime *rt, uc_stream *stream, uc_event *event); /* the stream waits, not the caller */
    int (*event_sync)(uc_runtime *rt, uc_event *event);                    /* the caller waits */
    int (*event_seconds)(uc_runtime *rt, uc_event *from, uc_event *to, double *seconds);

    /* work on a stream */
    int (*to_device)(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream);
    int (*to_host)(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream);
    int (*to_peer)(uc_runtime *rt, void *to, int to_device, const void *from, int from_device, size_t bytes,
                   uc_stream *stream);
    int (*set_bytes)(uc_runtime *rt, void *at, int byte, size_t bytes, uc_stream *stream);
    int (*capture_begin)(uc_runtime *rt, uc_stream *stream);
    int (*capture_end)(uc_runtime *rt, uc_stream *stream, uc_exec **exec); /* ends it even when it fails */
    int (*exec_launch)(uc_runtime *rt, uc_exec *exec, uc_stream *stream);
    int (*exec_free)(uc_runtime *rt, uc_exec *exec);

    /* Operations: the hand-written kernels and the libraries, or what stands for them. scratch looks at shapes, types
     * and attributes alone. prepare chooses once, before any capture; *op may become NULL where there is no choice. */
    size_t (*op_scratch)(uc_runtime *rt, const uc_launch *launch);
    int (*op_prepare)(uc_runtime *rt, const uc_launch *launch, const uc_device_op **op);
    int (*op_launch)(uc_runtime *rt, const uc_device_op *op, const uc_launch *launch, uc_stream *stream);

    /* More about the last failure than its number says; "" when there is nothing. */
    const char *(*detail)(uc_runtime *rt);
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* What an error means for the one who meets it. */
typedef enum uc_device_error_kind {
    UC_DEVICE_USAGE,       /* the backend asked for something wrong */
    UC_DEVICE_MEMORY,      /* out of memory: less may go */
    UC_DEVICE_ABSENT,      /* no such device, or none that this driver serves */
    UC_DEVICE_UNSUPPORTED, /* this device or build cannot do it */
    UC_DEVICE_FAILED,      /* this time; the device may go on */
    UC_DEVICE_LOST         /* every later call fails too; the process must be started anew */
} uc_device_error_kind;

typedef enum uc_device_error_number {
#define UC_DEVICE_ERROR(number, name, kind) UC_CUDA_##name = number,
#include "errors.def"
#undef UC_DEVICE_ERROR
    UC_CUDA_Success = 0
} uc_device_error_number;

typedef struct uc_device_error { int number; const char *name; uc_device_error_kind kind; } uc_device_error;

/* All of errors.def, by number; and one of them, which for an unknown number is Unknown's. */
const uc_device_error *uc_device_errors(size_t *count);
uc_device_error uc_device_error_of(int number);

/* The CUDA runtime, where this build has it. */
unclip_status uc_runtime_cuda_new(uc_runtime **rt, unclip_error *err);

#endif

/* device.h - one device behind the runtime table: its streams, its staging memory, its weights, and what its errors
 * mean to a caller. Every arrow of the flow that runs on a GPU goes through it. */
#ifndef UC_HOST_CUDA_DEVICE_H
#define UC_HOST_CUDA_DEVICE_H

#include "../../engine/core/backend.h"
#include "runtime.h"

/* Host memory on its way to a stream, in slots that are used in turn; a slot is free again when its event is
 * reached. */
enum { UC_RING_SLOTS = 16 };
typedef struct uc_ring {
    char *memory;
    size_t slot_bytes;
    int slots, next;
    uc_event *free_again[UC_RING_SLOTS];
    bool used[UC_RING_SLOTS];
} uc_ring;

/* How a weight lies on the device. */
typedef struct uc_weight_form { uc_dtype dtype; uc_layout layout; } uc_weight_form;

typedef struct uc_device_weight {
    const void *data; /* the key, with the form: where the file's bytes lie */
    uc_weight_form form;
    int64_t count;
    void *at;
} uc_device_weight;

typedef struct uc_device {
    uc_runtime *rt;
    int number;
    char name[32];        /* "cuda:0" */
    bool lost;
    char why_lost[256];
    uc_stream *compute, *copies;
    uc_event *weights_there;
    uc_ring steps, staging;
    uc_device_weight *weights;
    size_t weight_count, weight_capacity;
    char *row;            /* of a filter, while it is put in order */
    size_t row_bytes;
} uc_device;

/* Opens device `number` of the runtime; the device is not made current by anyone else meanwhile. */
unclip_status uc_device_open(uc_device *d, uc_runtime *rt, int number, unclip_error *err);
void uc_device_close(uc_device *d);

/* Makes it current, or says that it was lost. Begins everything that is asked of a device. */
unclip_status uc_device_enter(uc_device *d, unclip_error *err);

/* The status of a runtime call, with its message: "cuda:0: <what>: MemoryAllocation (2), ...". Zero is UNCLIP_OK. */
unclip_status uc_device_check(uc_device *d, int number, unclip_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Waits for everything; for releasing memory, after failures too. */
void uc_device_drain(uc_device *d);

unclip_status uc_device_alloc(uc_device *d, void **at, size_t bytes, unclip_error *err, const char *what);

/* The next slot of a ring, when it is free; then, after copies from it were enqueued, what frees it. */
unclip_status uc_ring_take(uc_device *d, uc_ring *ring, char **slot, unclip_error *err);
unclip_status uc_ring_give(uc_device *d, uc_ring *ring, uc_stream *stream, unclip_error *err);

/* Any number of bytes through the staging ring; the download waits. */
unclip_status uc_device_upload(uc_device *d, void *to, const void *from, size_t bytes, unclip_error *err);
unclip_status uc_device_download(uc_device *d, void *to, const void *from, size_t bytes, unclip_error *err);

/* How operand `slot` of an operation wants a weight when activations have this type. */
uc_weight_form uc_weight_form_of(uc_op_kind kind, int slot, uc_dtype type);

/* Points a view of the file's bytes at the device's copy, which is enqueued on `copies` at the first use. */
unclip_status uc_device_weight_of(uc_device *d, uc_view *view, uc_weight_form form, const char *name,
                                  unclip_error *err);

/* Launches enqueued from now on find the weights that were asked for so far. */
unclip_status uc_device_weights_ready(uc_device *d, unclip_error *err);

#endif

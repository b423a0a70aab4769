/* runtime_cuda.c - the runtime table over the CUDA runtime: one call each, for every arrow of the flow that runs on
 * a real device. Built where CMake finds the CUDA toolkit. Operations are the launchers of kernels/cuda and its
 * libraries. */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kernels/cuda/libraries.h"
#include "runtime.h"

typedef struct cuda_runtime {
    uc_runtime table; /* first */
    uc_cuda_libraries *libraries;
    char detail[512];
} cuda_runtime;

static cuda_runtime *cuda_of(uc_runtime *rt) { return (cuda_runtime *)rt; }

/* The number of a call, with CUDA's text for it. A failed call must not come back as the next one's failure. */
static int told(uc_runtime *rt, cudaError_t error) {
    cuda_runtime *r = cuda_of(rt);
    r->detail[0] = '\0';
    if (error == cudaSuccess) return 0;
    snprintf(r->detail, sizeof r->detail, "%s", cudaGetErrorString(error));
    (void)cudaGetLastError();
    return (int)error;
}

static cudaStream_t stream_of(uc_stream *s) { return (cudaStream_t)(void *)s; }
static cudaEvent_t event_of(uc_event *e) { return (cudaEvent_t)(void *)e; }
static cudaGraphExec_t exec_of(uc_exec *e) { return (cudaGraphExec_t)(void *)e; }

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static int device_count(uc_runtime *rt, int *count) {
    *count = 0;
    return told(rt, cudaGetDeviceCount(count));
}

static int device_info(uc_runtime *rt, int device, uc_device_info *info) {
    struct cudaDeviceProp p;
    *info = (uc_device_info){ .name = "" };
    const int failed = told(rt, cudaGetDeviceProperties(&p, device));
    if (failed) return failed;
    snprintf(info->name, sizeof info->name, "%s", p.name);
    info->major = p.major;
    info->minor = p.minor;
    info->processors = p.multiProcessorCount;
    info->bytes = p.totalGlobalMem;
    return 0;
}

static int set_device(uc_runtime *rt, int device) { return told(rt, cudaSetDevice(device)); }

static int memory_info(uc_runtime *rt, uint64_t *free_bytes, uint64_t *total_bytes) {
    size_t available = 0, all = 0;
    const int failed = told(rt, cudaMemGetInfo(&available, &all));
    *free_bytes = available;
    *total_bytes = all;
    return failed;
}

static int enable_peer(uc_runtime *rt, int peer) { return told(rt, cudaDeviceEnablePeerAccess(peer, 0)); }

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int alloc_device(uc_runtime *rt, void **at, size_t bytes) { return told(rt, cudaMalloc(at, bytes ? bytes : 1)); }
static int release_device(uc_runtime *rt, void *at) { return told(rt, cudaFree(at)); }
static int alloc_host(uc_runtime *rt, void **at, size_t bytes) {
    return told(rt, cudaHostAlloc(at, bytes ? bytes : 1, cudaHostAllocDefault));
}
static int release_host(uc_runtime *rt, void *at) { return told(rt, cudaFreeHost(at)); }

/* ---- streams and events ------------------------------------------------------------------------------------------ */

static int stream_new(uc_runtime *rt, uc_stream **stream) {
    cudaStream_t s = NULL;
    const int failed = told(rt, cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    *stream = (uc_stream *)(void *)s;
    return failed;
}

static int stream_free(uc_runtime *rt, uc_stream *stream) { return told(rt, cudaStreamDestroy(stream_of(stream))); }
static int stream_sync(uc_runtime *rt, uc_stream *stream) { return told(rt, cudaStreamSynchronize(stream_of(stream))); }

static int event_new(uc_runtime *rt, uc_event **event, bool timed) {
    cudaEvent_t e = NULL;
    const int failed = told(rt, cudaEventCreateWithFlags(&e, timed ? cudaEventDefault : cudaEventDisableTiming));
    *event = (uc_event *)(void *)e;
    return failed;
}

static int event_free(uc_runtime *rt, uc_event *event) { return told(rt, cudaEventDestroy(event_of(event))); }

static int event_record(uc_runtime *rt, uc_event *event, uc_stream *stream) {
    return told(rt, cudaEventRecord(event_of(event), stream_of(stream)));
}

static int event_wait(uc_runtime *rt, uc_stream *stream, uc_event *event) {
    return told(rt, cudaStreamWaitEvent(stream_of(stream), event_of(event), 0));
}

static int event_sync(uc_runtime *rt, uc_event *event) { return told(rt, cudaEventSynchronize(event_of(event))); }

static int event_seconds(uc_runtime *rt, uc_event *from, uc_event *to, double *seconds) {
    float milliseconds = 0;
    const int failed = told(rt, cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to)));
    *seconds = 1e-3 * (double)milliseconds;
    return failed;
}

/* ---- work on a stream -------------------------------------------------------------------------------------------- */

static int to_device(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream) {
    return told(rt, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(stream)));
}

static int to_host(uc_runtime *rt, void *to, const void *from, size_t bytes, uc_stream *stream) {
    return told(rt, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(stream)));
}

static int to_peer(uc_runtime *rt, void *to, int at_device, const void *from, int from_device, size_t bytes,
                   uc_stream *stream) {
    return told(rt, cudaMemcpyPeerAsync(to, at_device, from, from_device, bytes, stream_of(stream)));
}

static int set_bytes(uc_runtime *rt, void *at, int byte, size_t bytes, uc_stream *stream) {
    return told(rt, cudaMemsetAsync(at, byte, bytes, stream_of(stream)));
}

/* Relaxed: a library that loads a kernel at its first use in a capture may do so. */
static int capture_begin(uc_runtime *rt, uc_stream *stream) {
    return told(rt, cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeRelaxed));
}

static int capture_end(uc_runtime *rt, uc_stream *stream, uc_exec **exec) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t ready = NULL;
    *exec = NULL;
    int failed = told(rt, cudaStreamEndCapture(stream_of(stream), &graph));
    if (!failed) failed = told(rt, cudaGraphInstantiate(&ready, graph, 0));
    if (graph) (void)cudaGraphDestroy(graph);
    *exec = (uc_exec *)(void *)ready;
    return failed;
}

static int exec_launch(uc_runtime *rt, uc_exec *exec, uc_stream *stream) {
    return told(rt, cudaGraphLaunch(exec_of(exec), stream_of(stream)));
}

static int exec_free(uc_runtime *rt, uc_exec *exec) { return told(rt, cudaGraphExecDestroy(exec_of(exec))); }

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* A launcher's message becomes the detail; the number is CUDA's own where it has one. */
static int failed_launch(uc_runtime *rt, const unclip_error *err) {
    const cudaError_t error = cudaGetLastError();
    snprintf(cuda_of(rt)->detail, sizeof cuda_of(rt)->detail, "%.511s", err->message);
    if (error != cudaSuccess) return (int)error;
    if (err->status == UNCLIP_ERR_UNSUPPORTED) return UC_CUDA_NotSupported;
    return err->status == UNCLIP_ERR_MEMORY ? UC_CUDA_MemoryAllocation : UC_CUDA_Unknown;
}

/* A library that tries what a device cannot do leaves CUDA's error behind though it succeeds in the end; the next
 * launch would be blamed for it. */
static void forget_error(void) { (void)cudaGetLastError(); }

static size_t op_scratch(uc_runtime *rt, const uc_launch *l) {
    const uc_cuda_kernel_entry kernel = uc_cuda_kernel(l->kind);
    if (kernel.scratch) return kernel.scratch(l);
    const size_t bytes = uc_cuda_library_scratch(cuda_of(rt)->libraries, l);
    forget_error();
    return bytes;
}

static int op_prepare(uc_runtime *rt, const uc_launch *l, const uc_device_op **op) {
    unclip_error err = { 0 };
    *op = NULL;
    cuda_of(rt)->detail[0] = '\0';
    if (uc_cuda_kernel(l->kind).run) return 0;
    const uc_cuda_library_op *chosen = NULL;
    if (uc_cuda_library_prepare(cuda_of(rt)->libraries, l, &chosen, &err)) return failed_launch(rt, &err);
    forget_error();
    *op = (const uc_device_op *)(const void *)chosen;
    return 0;
}

static int op_launch(uc_runtime *rt, const uc_device_op *op, const uc_launch *l, uc_stream *stream) {
    const uc_cuda_kernel_entry kernel = uc_cuda_kernel(l->kind);
    unclip_error err = { 0 };
    forget_error();
    const unclip_status status =
        kernel.run ? kernel.run(l, stream_of(stream), &err)
                   : uc_cuda_library_run(cuda_of(rt)->libraries, (const uc_cuda_library_op *)(const void *)op, l,
                                         stream_of(stream), &err);
    cuda_of(rt)->detail[0] = '\0';
    return status ? failed_launch(rt, &err) : 0;
}

/* ---- the runtime ------------------------------------------------------------------------------------------------- */

static const char *detail(uc_runtime *rt) { return cuda_of(rt)->detail; }

static void close_runtime(uc_runtime *rt) {
    uc_cuda_libraries_free(cuda_of(rt)->libraries);
    free(rt);
}

unclip_status uc_runtime_cuda_new(uc_runtime **rt, unclip_error *err) {
    cuda_runtime *r = calloc(1, sizeof *r);
    *rt = NULL;
    if (!r) return uc_fail_memory(err, sizeof *r, "CUDA runtime");
    r->libraries = uc_cuda_libraries_new();
    if (!r->libraries) {
        free(r);
        return uc_fail_memory(err, sizeof *r, "CUDA libraries");
    }
    r->table = (uc_runtime){
        .kind = "cuda", .close = close_runtime, .device_count = device_count, .device_info = device_info,
        .set_device = set_device, .memory_info = memory_info, .enable_peer = enable_peer, .alloc = alloc_device,
        .release = release_device, .host_alloc = alloc_host, .host_release = release_host, .stream_new = stream_new,
        .stream_free = stream_free, .stream_sync = stream_sync, .event_new = event_new, .event_free = event_free,
        .event_record = event_record, .event_wait = event_wait, .event_sync = event_sync,
        .event_seconds = event_seconds, .to_device = to_device, .to_host = to_host, .to_peer = to_peer,
        .set_bytes = set_bytes, .capture_begin = capture_begin, .capture_end = capture_end,
        .exec_launch = exec_launch, .exec_free = exec_free, .op_scratch = op_scratch, .op_prepare = op_prepare,
        .op_launch = op_launch, .detail = detail };
    *rt = &r->table;
    return UNCLIP_OK;
}

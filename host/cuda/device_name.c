/* device_name.c - devices by name: which runtime, which of its devices, and the simulation's settings. The flow's first
 * question of a GPU. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backend_cuda.h"
#include "sim.h"

static unclip_status bad_name(const char *name, unclip_error *err) {
    return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s is unknown, expected cuda:N or sim:N[,seed=S][,memory=BYTES]"
                   "[,fail=CALL,error=NUMBER]", name);
}

/* A decimal number at *text, which is moved behind it. */
static bool number(const char **text, uint64_t most, uint64_t *value) {
    const char *at = *text;
    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*value > (most - (uint64_t)(*at - '0')) / 10) return false;
        *value = *value * 10 + (uint64_t)(*at - '0');
    }
    const bool some = at != *text;
    *text = at;
    return some;
}

static bool settings(const char *text, uc_sim_options *o) {
    uint64_t error = 0;
    const struct { const char *name; uint64_t *to; } known[] = {
        { ",seed=", &o->seed }, { ",memory=", &o->device_bytes }, { ",fail=", &o->fail_call }, { ",error=", &error },
    };
    while (*text) {
        const size_t all = sizeof known / sizeof *known;
        size_t i = 0;
        while (i < all && strncmp(text, known[i].name, strlen(known[i].name)) != 0) i++;
        if (i == all) return false;
        text += strlen(known[i].name);
        if (!number(&text, UINT64_MAX, known[i].to)) return false;
    }
    o->fail_number = error <= INT_MAX ? (int)error : 0;
    return (o->fail_call > 0) == (o->fail_number > 0);
}

static unclip_status open_cuda(uc_runtime **rt, const char *name, unclip_error *err) {
#ifdef UC_HAVE_CUDA
    (void)name;
    return uc_runtime_cuda_new(rt, err);
#else
    *rt = NULL;
    return uc_fail(err, UNCLIP_ERR_NO_DEVICE, "device %s: this build has no CUDA", name);
#endif
}

unclip_status uc_backend_cuda_open(uc_backend **backend, const char *name, const uc_backend_options *options,
                                   bool *known, unclip_error *err) {
    const bool cuda = !strncmp(name, "cuda", 4), sim = !strncmp(name, "sim", 3);
    const char *text = name + (cuda ? 4 : 3);
    uint64_t device = 0;
    uc_sim_options o = { .threads = options->threads };
    uc_runtime *rt = NULL;
    *backend = NULL;
    *known = (cuda || sim) && (!*text || *text == ':' || *text == ',');
    if (!*known) return bad_name(name, err);
    if (*text == ':') {
        text++;
        if (!number(&text, 1023, &device)) return bad_name(name, err);
    }
    if (cuda ? *text != '\0' : !settings(text, &o)) return bad_name(name, err);
    o.devices = 8;
    const unclip_status status = cuda ? open_cuda(&rt, name, err) : uc_runtime_sim_new(&rt, &o, err);
    return status ? status : uc_backend_cuda_new(backend, rt, true, (int)device, options, err);
}

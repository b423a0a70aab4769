/* names.c - the samplers as command lines and files spell them. */
#include "../unclip.h"

const char *unclip_sampler_name(unclip_sampler sampler) {
    static const char *const names[] = { "default", "unclip", "ddpm", "analytic", "ddim", "dpm++" };
    return (unsigned)sampler < sizeof names / sizeof *names ? names[sampler] : "unknown sampler";
}

/* path.c - see path.h. */
#include "path.h"

#include <stdlib.h>
#include <string.h>

#include "../sampling/slerp.h"

void uc_path_free(uc_path *path) {
    free(path->embeddings);
    free(path->noise);
    free(path->facts);
    *path = (uc_path){ 0 };
}

static unclip_status reserve(uc_path *path, size_t frames, size_t dim, size_t sample, unclip_error *err) {
    *path = (uc_path){ .frames = frames };
    path->embeddings = calloc(frames, dim * sizeof *path->embeddings);
    path->facts = calloc(frames, sizeof *path->facts);
    if (sample) path->noise = calloc(frames, sample * sizeof *path->noise);
    if (path->embeddings && path->facts && (path->noise || !sample)) return UNCLIP_OK;
    return uc_fail_memory(err, frames * (dim + sample) * sizeof *path->noise, "the frames of a path");
}

unclip_status uc_path_between(uc_path *path, const uc_end *ends, size_t count, size_t dim, size_t sample,
                              size_t frames, unclip_error *err) {
    const unclip_status status = reserve(path, frames, dim, sample, err);
    if (status) return status;
    /* whole numbers, so that a frame on an end is recognised as such */
    const size_t whole = frames > 1 ? frames - 1 : 1;
    for (size_t f = 0; f < frames; f++) {
        const size_t at = f * (count - 1), leg = at / whole, rest = at % whole;
        const uc_end *from = &ends[leg], *to = rest ? from + 1 : from;
        const double t = (double)rest / (double)whole;
        float *z = path->embeddings + f * dim;
        uc_slerp(z, from->embedding, to->embedding, dim, t);
        if (sample) uc_slerp(path->noise + f * sample, from->noise, to->noise, sample, t);
        path->facts[f] = (uc_frame){ .theta = (double)leg + t, .cosine = uc_cosine(z, ends[0].embedding, dim) };
    }
    return UNCLIP_OK;
}

unclip_status uc_path_towards(uc_path *path, const float *embedding, const float *direction, size_t dim,
                              double theta_max, size_t frames, unclip_error *err) {
    float *target = malloc(dim * sizeof *target);
    unclip_status status = reserve(path, frames, dim, 0, err);
    if (!status && !target) status = uc_fail_memory(err, dim * sizeof *target, "a direction");
    const double length = uc_length(direction, dim), scale = length > 0 ? uc_length(embedding, dim) / length : 0;
    for (size_t i = 0; i < dim && !status; i++) target[i] = (float)(scale * (double)direction[i]);
    for (size_t f = 0; f < frames && !status; f++) {
        const double theta = frames > 1 ? theta_max * (double)f / (double)(frames - 1) : theta_max;
        float *z = path->embeddings + f * dim;
        uc_slerp(z, embedding, target, dim, theta);
        path->facts[f] = (uc_frame){ .theta = theta, .cosine = uc_cosine(z, embedding, dim) };
    }
    free(target);
    return status;
}

unclip_status uc_path_components(uc_path *path, const float *embedding, const uc_pca *pca, const int *components,
                                 size_t count, unclip_error *err) {
    const unclip_status status = reserve(path, count, pca->dim, 0, err);
    for (size_t f = 0; f < count && !status; f++) {
        float *z = path->embeddings + f * pca->dim;
        uc_pca_rebuild(pca, embedding, (size_t)components[f], z);
        path->facts[f] = (uc_frame){ .cosine = uc_cosine(z, embedding, pca->dim), .components = components[f] };
    }
    return status;
}

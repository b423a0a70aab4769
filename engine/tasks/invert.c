/* invert.c - see invert.h. One image goes through the decoder's stage with an inverse plan. */
#include "invert.h"

#include "estimate.h"
#include "stage_run.h"

static unclip_status run(const uc_session *session, const uc_request *request, float *noise, unclip_error *err) {
    uc_text_features text;
    unclip_status status = uc_text_features_new(&text, session, request->ids, request->used,
                                                (int64_t)request->options->prompt_count + 1, err);
    if (status) return status;
    uc_cascade cascade = { .session = session, .request = request, .count = 1, .text = &text };
    uc_noise_source_init(&cascade.noise, UNCLIP_RNG_PHILOX, 0);
    const uc_stage_io io = { .embedding = request->given->embeddings, .noise = request->given->noise, .out = noise };
    status = uc_stage_run(&cascade, UNCLIP_STAGE_DECODER, &io, err);
    uc_text_features_free(&text);
    return status;
}

unclip_status uc_invert(const uc_session *session, const float *embedding, const float *picture,
                        const uc_inversion *how, float *noise, unclip_error *err) {
    const uc_given given = { .images = 1, .embeddings = embedding, .embedding_rows = 1, .noise = picture,
                             .noise_rows = 1, .inverse = true, .refinements = how->refinements };
    unclip_generate_options options;
    unclip_generate_options_init(&options);
    options.prompts = &how->prompt;
    options.prompt_count = how->prompt != NULL;
    options.size = (int)uc_stage_size(session->model, UNCLIP_STAGE_DECODER);
    options.on_progress = how->on_progress;
    options.user = how->user;
    unclip_stage_options *decoder = &options.stage[UNCLIP_STAGE_DECODER];
    decoder->steps = how->steps;
    decoder->guidance = how->guidance;
    decoder->sampler = UNCLIP_SAMPLER_DDIM;
    uc_request request;
    unclip_status status = uc_request_new_given(&request, session, &options, &given, err);
    if (status) return status;
    status = how->estimate ? uc_generate_estimate(session, &request, how->estimate, err)
                           : run(session, &request, noise, err);
    uc_request_free(&request);
    return status;
}

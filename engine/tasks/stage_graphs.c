/* stage_graphs.c - see stage_graphs.h. A graph that could not be recorded carries its error to uc_plan_new. */
#include "stage_graphs.h"

#include "../models/clip_image.h"
#include "../models/clip_text.h"
#include "../models/prior_diffusion.h"
#include "../models/text_proj.h"
#include "../models/unet.h"

uc_graph *uc_text_graph(const uc_session *s, int64_t rows) {
    const uc_clip_text_config *c = &s->model->text;
    uc_graph *g = uc_graph_new("text_encoder", s->type);
    if (!g) return NULL;
    uc_use_params(g, s->model->text_params);
    const uc_val ids = uc_state(g, "ids", UC_I32, UC_SHAPE2(rows, c->context));
    const uc_val end = uc_state(g, "end", UC_I32, UC_SHAPE1(rows));
    const uc_val hidden = uc_state(g, "hidden", UC_F32, UC_SHAPE3(rows, c->context, c->width));
    const uc_val embeds = uc_state(g, "embeds", UC_F32, UC_SHAPE2(rows, c->projection));
    const uc_clip_text out = uc_clip_text_record(g, c, ids, end);
    uc_store(g, hidden, out.hidden);
    uc_store(g, embeds, out.embeds);
    return g;
}

uc_graph *uc_image_graph(const uc_session *s, int64_t rows) {
    const uc_clip_image_config *c = &s->model->image;
    uc_graph *g = uc_graph_new("image_encoder", s->type);
    if (!g) return NULL;
    uc_use_params(g, s->model->image_params);
    const uc_val pixels = uc_state(g, "pixels", UC_F32, UC_SHAPE4(rows, c->channels, c->image_size, c->image_size));
    const uc_val embeds = uc_state(g, "embeds", UC_F32, UC_SHAPE2(rows, c->projection));
    uc_store(g, embeds, uc_clip_image_record(g, c, uc_copy(g, pixels, g->type)));
    return g;
}

/* What all diffusion stages share. */
typedef struct diffusion {
    uc_val x, x0, seeds, noise, timesteps;
} diffusion;

static diffusion diffusion_states(uc_graph *g, const uc_stage_shape *shape, uc_shape sample) {
    diffusion d;
    d.x = uc_state(g, "x", UC_F32, sample);
    d.x0 = uc_state(g, "x0", UC_F32, sample);
    d.seeds = uc_state(g, "seeds", UC_I64, UC_SHAPE1(shape->rows));
    d.noise = shape->host_noise ? uc_state(g, "noise", UC_F32, sample) : UC_NONE;
    d.timesteps = uc_state(g, "timesteps", UC_F32, UC_SHAPE1(shape->sampler->count));
    return d;
}

static uc_val network_input(uc_graph *g, const uc_stage_shape *shape, const diffusion *d) {
    return uc_repeat(g, uc_copy(g, d->x, g->type), shape->guided ? 2 : 1);
}

static void sampler_step(uc_graph *g, const uc_stage_shape *shape, const diffusion *d, uc_val prediction) {
    uc_noise_step(g, .x = d->x, .x0 = d->x0, .prediction = prediction, .seeds = d->seeds, .noise = d->noise,
                  .kind = shape->sampler->prediction, .guided = shape->guided,
                  .learned_variance = shape->sampler->learned_variance, .threshold = shape->sampler->threshold);
}

/* In a phase of its own, after all others. */
static void picture_bytes(uc_graph *g, const uc_stage_shape *shape, const diffusion *d, int64_t size, int phase) {
    if (!shape->bytes) return;
    uc_set_phase(g, phase);
    uc_to_bytes(g, uc_state(g, "bytes", UC_U8, UC_SHAPE3(shape->rows, size * size, 4)), d->x);
}

static int64_t network_rows(const uc_stage_shape *shape) { return shape->guided ? 2 * shape->rows : shape->rows; }

uc_graph *uc_prior_graph(const uc_session *s, const uc_stage_shape *shape) {
    const uc_prior_config *c = &s->model->prior;
    const int64_t rows = network_rows(shape);
    uc_graph *g = uc_graph_new("prior", s->type);
    if (!g) return NULL;
    uc_use_params(g, s->model->prior_params);
    const diffusion d = diffusion_states(g, shape, UC_SHAPE2(shape->rows, c->embedding_dim));
    const uc_val embeds = uc_state(g, "text_embeds", UC_F32, UC_SHAPE2(rows, c->embedding_proj_dim));
    const uc_val hidden = uc_state(g, "text_hidden", UC_F32, UC_SHAPE3(rows, c->num_embeddings, c->embedding_dim));
    const uc_val bias = uc_state(g, "mask_bias", UC_F32, UC_SHAPE2(rows, c->num_embeddings + 1));
    const uc_val embedding = uc_state(g, "embedding", UC_F32, UC_SHAPE2(shape->rows, c->clip_embed_dim));

    uc_prior_inputs in = { .timesteps = d.timesteps, .text_embeds = uc_copy(g, embeds, g->type),
                           .text_hidden = uc_copy(g, hidden, g->type), .mask_bias = bias };
    uc_set_phase(g, 1);
    in.x = network_input(g, shape, &d);
    sampler_step(g, shape, &d, uc_prior_record(g, c, &in));
    uc_set_phase(g, 2);
    uc_store(g, embedding, uc_prior_denormalise(g, c, uc_copy(g, d.x, g->type)));
    return g;
}

uc_graph *uc_decoder_graph(const uc_session *s, const uc_stage_shape *shape) {
    const uc_model *m = s->model;
    const uc_text_proj_config *p = &m->text_proj;
    const int64_t rows = network_rows(shape), size = m->decoder.sample_size, text = m->text.context;
    uc_graph *g = uc_graph_new("decoder", s->type);
    if (!g) return NULL;
    const diffusion d = diffusion_states(g, shape, UC_SHAPE4(shape->rows, m->decoder.in_channels, size, size));
    const uc_val image = uc_state(g, "embedding", UC_F32, UC_SHAPE2(shape->rows, p->clip_dim));
    const uc_val embeds = uc_state(g, "text_embeds", UC_F32, UC_SHAPE2(rows, p->clip_dim));
    const uc_val hidden = uc_state(g, "text_hidden", UC_F32, UC_SHAPE3(rows, text, p->clip_dim));
    const uc_val bias = uc_state(g, "context_bias", UC_F32, UC_SHAPE2(rows, p->extra_tokens + text));

    uc_use_params(g, m->text_proj_params);
    const uc_text_proj projected = uc_text_proj_record(g, p, uc_copy(g, image, g->type), uc_copy(g, embeds, g->type),
                                                       uc_copy(g, hidden, g->type), shape->guided);
    uc_use_params(g, m->decoder_params);
    uc_set_phase(g, 1);
    const uc_unet_inputs in = { .x = network_input(g, shape, &d), .timesteps = d.timesteps,
                                .time_addend = projected.time, .context = projected.context, .context_bias = bias };
    sampler_step(g, shape, &d, uc_unet_record(g, &m->decoder, &in));
    picture_bytes(g, shape, &d, size, 2);
    return g;
}

uc_graph *uc_upsampler_graph(const uc_session *s, unclip_stage stage, const uc_stage_shape *shape) {
    const uc_model *m = s->model;
    const bool first = stage == UNCLIP_STAGE_SR256;
    const uc_unet_config *c = first ? &m->sr256 : &m->sr1024;
    const int64_t size = c->sample_size, channels = c->out_channels;
    const int64_t low_size = uc_stage_size(m, first ? UNCLIP_STAGE_DECODER : UNCLIP_STAGE_SR256);
    uc_graph *g = uc_graph_new(unclip_stage_name(stage), s->type);
    if (!g) return NULL;
    const diffusion d = diffusion_states(g, shape, UC_SHAPE4(shape->rows, channels, size, size));
    const uc_val low = uc_state(g, "low", UC_F32, UC_SHAPE4(shape->rows, channels, low_size, low_size));
    const uc_val condition = uc_resample(g, uc_copy(g, low, g->type), UC_BICUBIC, size, size);

    const uc_params *networks[] = { first ? m->sr256_params : m->sr1024_params, first ? m->sr256_last_params : NULL };
    for (int i = 0; i < 2 && networks[i]; i++) {
        uc_use_params(g, networks[i]);
        uc_set_phase(g, 1 + i);
        const uc_val parts[] = { network_input(g, shape, &d), condition };
        const uc_unet_inputs in = { .x = uc_concat(g, 1, parts, 2), .timesteps = d.timesteps };
        sampler_step(g, shape, &d, uc_unet_record(g, c, &in));
    }
    picture_bytes(g, shape, &d, size, networks[1] ? 3 : 2);
    return g;
}

uc_graph *uc_stage_graph(const uc_session *s, unclip_stage stage, const uc_stage_shape *shape) {
    if (stage == UNCLIP_STAGE_PRIOR) return uc_prior_graph(s, shape);
    if (stage == UNCLIP_STAGE_DECODER) return uc_decoder_graph(s, shape);
    return uc_upsampler_graph(s, stage, shape);
}

int uc_step_phase(unclip_stage stage, int step, int steps) {
    return stage == UNCLIP_STAGE_SR256 && step + 1 == steps ? 2 : 1;
}

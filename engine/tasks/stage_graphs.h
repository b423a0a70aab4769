/* stage_graphs.h - each stage as one graph: its network, what is prepared once, and the sampler's step.
 *
 * Every diffusion stage has the states x and x0 [rows, ...] F32, seeds [rows] I64, timesteps [steps] F32, and noise like
 * x when the noise is made by the host. Phase 0 prepares, phase 1 is a step; see each function for what else there is.
 * The last phase of one that draws what is delivered turns x into its state bytes [rows, size*size, 4] U8. */
#ifndef UC_TASKS_STAGE_GRAPHS_H
#define UC_TASKS_STAGE_GRAPHS_H

#include "../sampling/sampler.h"
#include "model.h"

typedef struct uc_stage_shape {
    int64_t rows;     /* pictures (for the prior: candidates) in the launch */
    bool guided;      /* the network sees 2 rows each: unconditional rows first */
    bool host_noise;
    bool bytes;       /* the pictures are delivered */
    const uc_sampler_plan *sampler;
} uc_stage_shape;

/* States ids [rows,context] and end [rows] (I32), hidden [rows,context,width], embeds [rows,projection] (F32). */
uc_graph *uc_text_graph(const uc_session *s, int64_t rows);

/* States pixels [rows,3,size,size], embeds [rows,projection] (F32). */
uc_graph *uc_image_graph(const uc_session *s, int64_t rows);

/* States text_embeds, text_hidden, mask_bias of the network's rows; phase 2 writes embedding [rows,clip_embed_dim]. */
uc_graph *uc_prior_graph(const uc_session *s, const uc_stage_shape *shape);

/* States embedding [rows,clip_dim]; text_embeds, text_hidden and context_bias of the network's rows. */
uc_graph *uc_decoder_graph(const uc_session *s, const uc_stage_shape *shape);

/* State low [rows,3,h,w], the smaller picture. The 64 -> 256 stage's phase 2 is its last step, by another network. */
uc_graph *uc_upsampler_graph(const uc_session *s, unclip_stage stage, const uc_stage_shape *shape);

/* The graph of a diffusion stage. */
uc_graph *uc_stage_graph(const uc_session *s, unclip_stage stage, const uc_stage_shape *shape);

/* The phase that runs step i. */
int uc_step_phase(unclip_stage stage, int step, int steps);

#endif

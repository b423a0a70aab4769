/* unclip.h - the public interface of unclip-cuda, and the only header that is installed.
 *
 *     #include <unclip.h>
 *
 *     static int save(void *user, const unclip_image *image) {
 *         return unclip_image_write_png(image, user, NULL);
 *     }
 *
 *     int main(void) {
 *         unclip_error err = {0};
 *         unclip_engine *engine = NULL;
 *         unclip_engine_options open;
 *         unclip_engine_options_init(&open);
 *         open.model_dir = "weights/solids";
 *         if (unclip_engine_open(&engine, &open, &err)) return fprintf(stderr, "%s\n", err.message), 1;
 *
 *         const char *prompt = "a red cube on top of a blue sphere";
 *         unclip_generate_options want;
 *         unclip_generate_options_init(&want);
 *         want.prompts = &prompt;
 *         want.prompt_count = 1;
 *         want.seed = 7;
 *         want.on_image = save;
 *         want.user = "out.png";
 *         unclip_status status = unclip_generate(engine, &want, &err);
 *         unclip_engine_close(engine);
 *         return status ? (fprintf(stderr, "%s\n", err.message), 1) : 0;
 *     }
 *
 * Rules that hold for every function:
 *   - A status is returned and the message goes into the caller's unclip_error (which may be NULL). Nothing is printed,
 *     nothing exits, nothing global is read or written, no environment variable is consulted.
 *   - Options structs are filled by their init function first, which also stamps struct_size; a struct that was not is
 *     refused. Program and library use the same structs: the library's soname has the minor version until 1.0.
 *   - An engine may be used by one thread at a time; different engines are independent.
 *   - Strings are UTF-8 and zero-terminated unless a length is asked for.
 */
#ifndef UNCLIP_H
#define UNCLIP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UNCLIP_VERSION_MAJOR 0
#define UNCLIP_VERSION_MINOR 1
#define UNCLIP_VERSION_PATCH 0

#if defined(_WIN32)
#define UNCLIP_API
#else
#define UNCLIP_API __attribute__((visibility("default")))
#endif

/* Values are pinned: 1-99 are the caller's doing, 100-199 the world's, 200 and up ours. */
typedef enum unclip_status {
    UNCLIP_OK = 0,
    UNCLIP_ERR_ARGUMENT = 1,      /* an option is out of range or contradicts another */
    UNCLIP_ERR_UTF8 = 2,          /* a prompt is not valid UTF-8 */
    UNCLIP_ERR_UNSUPPORTED = 3,   /* the model or this build cannot do what was asked */
    UNCLIP_ERR_CANCELLED = 4,     /* a callback asked to stop */
    UNCLIP_ERR_IMAGE = 5,         /* an input picture is not acceptable */
    UNCLIP_ERR_MODEL_MISSING = 100, /* a model directory or one of its files is not there */
    UNCLIP_ERR_MODEL_DATA = 101,  /* a model file is malformed or does not fit the others */
    UNCLIP_ERR_WRITE = 102,       /* an output could not be written */
    UNCLIP_ERR_NO_DEVICE = 103,   /* there is no such device */
    UNCLIP_ERR_MEMORY = 104,      /* out of memory */
    UNCLIP_ERR_DEVICE = 105,      /* the device failed and must be reopened */
    UNCLIP_ERR_NOT_FINITE = 106,  /* a stage produced NaN or infinity; the message names it */
    UNCLIP_ERR_INTERNAL = 200     /* a bug in this library */
} unclip_status;

typedef struct unclip_error {
    unclip_status status;
    char message[1020];
} unclip_error;

/* "UNCLIP_ERR_ARGUMENT" and so on; "unknown status" for values outside the enum. */
UNCLIP_API const char *unclip_status_name(unclip_status status);

/* "0.1.0" */
UNCLIP_API const char *unclip_version(void);

/* ---- the engine: one model on one device ------------------------------------------------------------------------- */

typedef struct unclip_engine unclip_engine;

typedef enum unclip_type {
    UNCLIP_TYPE_AUTO = 0, /* f32 on a CPU */
    UNCLIP_TYPE_F32 = 1,
    UNCLIP_TYPE_F16 = 2,  /* needs a device that computes in it */
    UNCLIP_TYPE_BF16 = 3
} unclip_type;

/* How the recorded operations are run. All give the same picture. */
typedef enum unclip_run_mode {
    UNCLIP_RUN_REPLAY = 0,  /* the planned list, memory shared between values: the fast one */
    UNCLIP_RUN_EAGER = 1,   /* every value keeps memory of its own */
    UNCLIP_RUN_CHECKED = 2, /* as eager, and each operation is compared with the double-precision reference: the first
                               one outside its tolerance ends the run and is named */
    UNCLIP_RUN_TIMED = 3    /* as replay, with the time of each operation reported through on_log */
} unclip_run_mode;

typedef enum unclip_log_level { UNCLIP_LOG_DEBUG = 0, UNCLIP_LOG_INFO = 1, UNCLIP_LOG_WARNING = 2 } unclip_log_level;

typedef void (*unclip_log_fn)(void *user, unclip_log_level level, const char *message);

typedef struct unclip_engine_options {
    size_t struct_size;
    const char *model_dir; /* a diffusers UnCLIPPipeline directory, see weights/README.md; required */
    const char *device;    /* "auto" (default, NULL too), "cpu", "ref" (slow double-precision reference), "cuda:N",
                              "sim:N" (a simulation of CUDA devices on the CPU, for tests) */
    unclip_type type;
    unclip_run_mode run_mode;
    int threads;           /* CPU threads; 0 = all cores */
    unclip_log_fn on_log;  /* may be NULL */
    void *log_user;
    const char *tuning;    /* NULL, or a file of `unclip-bench tune`: which of its equally precise implementations the CPU
                              uses for which shape. Pictures may differ by roundings from those without it; with the same
                              file they have the same bytes again. Other processors' entries are ignored */
} unclip_engine_options;

UNCLIP_API void unclip_engine_options_init(unclip_engine_options *options);

/* Reads the configuration, maps the weights and checks every tensor's name and shape. *engine is NULL on failure. */
UNCLIP_API unclip_status unclip_engine_open(unclip_engine **engine, const unclip_engine_options *options,
                                            unclip_error *err);
UNCLIP_API void unclip_engine_close(unclip_engine *engine); /* NULL is allowed */

/* ---- stages ------------------------------------------------------------------------------------------------------ */

typedef enum unclip_stage {
    UNCLIP_STAGE_PRIOR = 0,  /* text -> CLIP image embedding (paper section 2.2) */
    UNCLIP_STAGE_DECODER = 1, /* embedding -> 64 x 64 picture (section 2.1) */
    UNCLIP_STAGE_SR256 = 2,  /* 64 -> 256 */
    UNCLIP_STAGE_SR1024 = 3, /* 256 -> 1024 */
    UNCLIP_STAGE_COUNT = 4
} unclip_stage;

/* "prior", "decoder", "sr256", "sr1024" */
UNCLIP_API const char *unclip_stage_name(unclip_stage stage);

typedef enum unclip_sampler {
    UNCLIP_SAMPLER_DEFAULT = 0,  /* what the model directory says */
    UNCLIP_SAMPLER_UNCLIP = 1,   /* ancestral, variance as the scheduler's configuration says (diffusers UnCLIPScheduler) */
    UNCLIP_SAMPLER_DDPM = 2,     /* ancestral with the fixed small variance */
    UNCLIP_SAMPLER_ANALYTIC = 3, /* ancestral with the optimal variance of Analytic-DPM; needs the model's table */
    UNCLIP_SAMPLER_DDIM = 4,     /* with eta */
    UNCLIP_SAMPLER_DPMPP_2M = 5  /* DPM-Solver++ 2M, deterministic */
} unclip_sampler;

/* "unclip", "ddpm", "analytic", "ddim", "dpm++"; UNCLIP_SAMPLER_DEFAULT is "default". */
UNCLIP_API const char *unclip_sampler_name(unclip_sampler sampler);

typedef struct unclip_stage_options {
    int steps;              /* 0 = the model's default; 1 to 1000 */
    float guidance;         /* classifier-free guidance scale; negative = the model's default; 1 or below = none.
                               The upsamplers ignore it. */
    unclip_sampler sampler;
    float eta;              /* DDIM: 0 = deterministic ... 1 = as noisy as the ancestral sampler; negative = default */
    const char *respacing;  /* NULL, or "fast27" / "a,b,c...": steps taken from equal sections of the schedule, as
                               guided-diffusion's space_timesteps; overrides steps */
} unclip_stage_options;

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

typedef struct unclip_image {
    size_t struct_size;
    int width, height;
    const uint8_t *rgb;     /* height rows of width pixels of 3 bytes, no padding; valid during the callback only */
    size_t index;           /* 0-based among the images of the request */
    size_t prompt_index;
    uint64_t seed;          /* the seed that makes this picture alone */
    double stage_seconds[UNCLIP_STAGE_COUNT]; /* time of the launch that this picture was in */
    const char *parameters_json; /* every setting of every stage, for replay; valid during the callback only */
    double theta;           /* where on its path a frame of unclip_interpolate or unclip_text_diff lies, else 0 */
    double cosine;          /* of the embedding that was drawn to the first source's, or 0 when there is no source */
    int components;         /* of unclip_probe: principal components kept; else 0 */
} unclip_image;

/* Writes a PNG (to a temporary file that is then renamed, so that a reader sees all of it or nothing). */
UNCLIP_API unclip_status unclip_image_write_png(const unclip_image *image, const char *path, unclip_error *err);

/* The same bytes in memory: *png is to be given to unclip_free. */
UNCLIP_API unclip_status unclip_image_encode_png(const unclip_image *image, uint8_t **png, size_t *size,
                                                 unclip_error *err);

/* Frees what this library returned through a pointer to a pointer. */
UNCLIP_API void unclip_free(void *memory);

/* ---- text to image ----------------------------------------------------------------------------------------------- */

typedef enum unclip_rng {
    UNCLIP_RNG_PHILOX = 0,   /* noise keyed by (seed, stage, step, element): a picture does not depend on its batch */
    UNCLIP_RNG_TORCH_CPU = 1 /* PyTorch's CPU generator in the order in which diffusers' UnCLIPPipeline draws: each
                                launch is one pipeline call seeded with its first image's seed */
} unclip_rng;

typedef struct unclip_progress {
    size_t struct_size;
    unclip_stage stage;
    int step, steps;              /* step = number of steps done, 0 when the stage begins */
    size_t first_image, image_count; /* the images in this launch */
    const unclip_image *preview;  /* the current estimate of the final picture, or NULL; see preview_interval */
} unclip_progress;

/* Return non-zero to stop: the function returns UNCLIP_ERR_CANCELLED. */
typedef int (*unclip_progress_fn)(void *user, const unclip_progress *progress);
typedef int (*unclip_image_fn)(void *user, const unclip_image *image);

/* Which image embedding the decoder is given (paper section 5.1, figure 8). */
typedef enum unclip_condition {
    UNCLIP_CONDITION_PRIOR = 0,          /* what the prior draws from the text, or prior_input */
    UNCLIP_CONDITION_TEXT_EMBEDDING = 1, /* the CLIP text embedding as if it were an image's */
    UNCLIP_CONDITION_CAPTION = 2         /* the one that stands for none: the decoder sees the caption alone */
} unclip_condition;

/* What draws the image embedding (paper section 2.2). */
typedef enum unclip_prior {
    UNCLIP_PRIOR_DIFFUSION = 0,
    UNCLIP_PRIOR_AUTOREGRESSIVE = 1 /* token by token; reads of stage[UNCLIP_STAGE_PRIOR] the guidance alone. Its draws are
                                       keyed by the seed whatever rng says. Needs a model with prior_ar */
} unclip_prior;

typedef struct unclip_estimate unclip_estimate; /* see "what it would cost" */

typedef struct unclip_generate_options {
    size_t struct_size;
    const char *const *prompts;
    size_t prompt_count;
    size_t images_per_prompt; /* default 1 */
    size_t batch_size;        /* images per launch; 0 = all at once up to 4 */
    uint64_t seed;            /* image k of the request has the seed `seed + k` */
    unclip_rng rng;
    int size;                 /* 64, 256, 1024: where the cascade stops; 0 = the largest the model has */
    unclip_stage_options stage[UNCLIP_STAGE_COUNT];
    int prior_candidates;     /* default 1; the paper draws 2 and keeps the one nearer to the text embedding */
    int preview_interval;     /* decoder and upsampler steps between previews; 0 = none */
    unclip_progress_fn on_progress; /* may be NULL */
    unclip_image_fn on_image;       /* each picture as it is finished; may be NULL */
    void *user;
    unclip_condition condition;     /* any but the default leaves the prior out */
    const float *prior_input;       /* [prior_input_dim] or NULL: an image embedding (unclip_embed_image) for all pictures
                                       instead of the prior's; prompts are the decoder's captions then, "" for none */
    size_t prior_input_dim;
    unclip_prior prior;             /* default: diffusion */
    float prior_temperature;        /* autoregressive: of each draw; default 1, 0 takes the most probable token */
    float prior_dot_low, prior_dot_high; /* autoregressive: the dot product with the text embedding that is asked for, a
                                       percentile of its training distribution, uniform between these two by the seed;
                                       default 50 to 100 */
    float threshold[UNCLIP_STAGE_COUNT]; /* decoder and upsamplers: dynamic thresholding (Imagen, arXiv 2205.11487), which
                                       keeps strong guidance from saturating: the estimate of each step is clamped to
                                       this quantile of its own size, at least 1, and divided by it; up to 1, usual are
                                       0.95 to 0.995. 0, the default: as the model's scheduler says; negative: none */
    unclip_estimate *estimate;      /* NULL, or: every function that would draw with these options plans its first launch
                                       into this instead; no callback is called */
} unclip_generate_options;

UNCLIP_API void unclip_generate_options_init(unclip_generate_options *options);

/* Draws prompt_count * images_per_prompt pictures, prompt by prompt. */
UNCLIP_API unclip_status unclip_generate(unclip_engine *engine, const unclip_generate_options *options,
                                         unclip_error *err);

/* ---- upscaling --------------------------------------------------------------------------------------------------- */

/* What the low-resolution picture suffers before it is upscaled: the paper's training corruptions (section 2.1). */
typedef enum unclip_degrade {
    UNCLIP_DEGRADE_NONE = 0,
    UNCLIP_DEGRADE_BLUR = 1, /* Gaussian, 3 x 3, sigma 0.6 */
    UNCLIP_DEGRADE_BSR = 2   /* blur, resizing, noise and JPEG, in an order and strength that degrade_seed says */
} unclip_degrade;

typedef struct unclip_upscale_options {
    size_t struct_size;
    const uint8_t *png;       /* the bytes of a PNG file; its largest centred square is upscaled */
    size_t png_size;
    size_t images;            /* pictures to make of it; default 1 */
    size_t batch_size;        /* as in unclip_generate_options, as the next two are */
    uint64_t seed;
    unclip_rng rng;
    int size;                 /* 256, 1024; 0 = the largest the model has */
    int from;                 /* the side to which the square is brought first, by area or bicubic: 64 runs the
                                 upsamplers from 64 on, 256 the one to 1024 alone; 0 = 256 when `size` is beyond that
                                 and the square has more than half of 256 pixels a side, else 64 */
    unclip_stage_options stage[UNCLIP_STAGE_COUNT]; /* of the prior and the decoder nothing is read */
    unclip_degrade degrade;
    uint64_t degrade_seed;
    int preview_interval;     /* as in unclip_generate_options, as the rest is */
    unclip_progress_fn on_progress;
    unclip_image_fn on_image;
    void *user;
    float threshold[UNCLIP_STAGE_COUNT];
    unclip_estimate *estimate;
} unclip_upscale_options;

UNCLIP_API void unclip_upscale_options_init(unclip_upscale_options *options);

/* The upsamplers alone: a picture becomes larger pictures. (Sizes are those of the usual models; what the model's own
 * stages draw counts.) UNCLIP_ERR_IMAGE when the picture is not acceptable, UNCLIP_ERR_UNSUPPORTED when the model lacks
 * an upsampler, UNCLIP_ERR_ARGUMENT when size or from is not one of its stages'. */
UNCLIP_API unclip_status unclip_upscale(unclip_engine *engine, const unclip_upscale_options *options,
                                        unclip_error *err);

/* ---- pictures from pictures (section 3 and 4 of the paper) ------------------------------------------------------- */

/* A picture as the model sees it: z_i, what it shows, and x_T, all else: the noise from which the decoder draws it. */
typedef struct unclip_pair {
    size_t struct_size;
    float *embedding;     /* [dim] z_i in CLIP's joint space, not normalised */
    size_t dim;
    float *noise;         /* [3, noise_size, noise_size] x_T, or NULL: not looked for */
    size_t noise_size;    /* side of the decoder's picture; 0 without noise */
    char *settings_json;  /* how it was made, an object: model, model_hash, steps, guidance, refinements, prompt */
} unclip_pair;

UNCLIP_API void unclip_pair_free(unclip_pair *pair);

typedef struct unclip_invert_options {
    size_t struct_size;
    int steps;            /* of the inversion, 2 to 1000; default 100 */
    float guidance;       /* default 1, none: the accurate choice */
    int refinements;      /* extra looks of the network at each step, 0 to 100, which bring reconstruction closer when
                             the steps are many; default 2 */
    int embed_only;       /* non-zero: z_i alone, which costs one run of the image encoder */
    const char *prompt;   /* the decoder's caption, or NULL for none */
    unclip_progress_fn on_progress; /* may be NULL; the stage is the decoder */
    void *user;
    unclip_estimate *estimate; /* NULL, or: the inversion is planned into this instead. The pair has then the right
                                  shapes and settings for the estimates of what would be drawn from it; its numbers are 0 */
} unclip_invert_options;

UNCLIP_API void unclip_invert_options_init(unclip_invert_options *options);

/* Picture -> pair: z_i by the image encoder, x_T by DDIM inversion of the largest centred square, brought to the
 * decoder's size. png: the bytes of a PNG file. UNCLIP_ERR_IMAGE when the picture is not acceptable,
 * UNCLIP_ERR_UNSUPPORTED when the model has no image encoder or no decoder. */
UNCLIP_API unclip_status unclip_invert(unclip_engine *engine, const uint8_t *png, size_t size,
                                       const unclip_invert_options *options, unclip_pair *out, unclip_error *err);

/* A safetensors file: F32 tensors "z_i" [dim] and, unless there is none, "x_T" [3, size, size]; the settings are the
 * entry "unclip_pair" of its metadata. Loading checks all of that and that every number is finite:
 * UNCLIP_ERR_MODEL_MISSING, UNCLIP_ERR_MODEL_DATA. */
UNCLIP_API unclip_status unclip_pair_save(const unclip_pair *pair, const char *path, unclip_error *err);
UNCLIP_API unclip_status unclip_pair_load(unclip_pair *pair, const char *path, unclip_error *err);

/* The four functions below draw as unclip_generate does, with `base` for all that they have in common: size, steps and
 * samplers of the stages, seed, batch_size, rng, previews, callbacks. Of the prior nothing is read. `base` needs no
 * prompt; one is the decoder's caption. Where the picture begins at a pair's noise, the decoder takes the steps, the
 * guidance and the caption of the (first) pair's inversion unless `base` says otherwise ("" is no caption), and DDIM with
 * eta 0 unless said otherwise. All but
 * unclip_vary give every picture the seed itself, so that frames differ by nothing else. */

typedef struct unclip_vary_options {
    size_t struct_size;
    int from_noise;       /* non-zero: fresh noise instead of x_T, sampler and guidance of the model: diffusers'
                             UnCLIPImageVariationPipeline */
} unclip_vary_options;

UNCLIP_API void unclip_vary_options_init(unclip_vary_options *options);

/* base->images_per_prompt variations: DDIM from (z_i, x_T) with the decoder's eta, by default 1; 0 reconstructs. */
UNCLIP_API unclip_status unclip_vary(unclip_engine *engine, const unclip_pair *pair,
                                     const unclip_generate_options *base, const unclip_vary_options *options,
                                     unclip_error *err);

typedef struct unclip_interpolate_options {
    size_t struct_size;
    int frames;           /* 1 to 100000 over the whole path with both ends; default 8. One frame is the first end. */
    int fixed_noise;      /* non-zero: one random x_T for all frames instead of a path between the pairs' */
} unclip_interpolate_options;

UNCLIP_API void unclip_interpolate_options_init(unclip_interpolate_options *options);

/* From pair to pair, 2 or more, on great circles, lengths changing linearly. Frames at a pair are its reconstruction to
 * the byte. A frame's theta runs from 0 to pair_count - 1. */
UNCLIP_API unclip_status unclip_interpolate(unclip_engine *engine, const unclip_pair *pairs, size_t pair_count,
                                            const unclip_generate_options *base,
                                            const unclip_interpolate_options *options, unclip_error *err);

typedef struct unclip_text_diff_options {
    size_t struct_size;
    const char *from;     /* what the picture shows, or NULL: the direction is that of `to` alone */
    const char *to;       /* required */
    double theta_max;     /* 0 to 1; default 0.5 (the paper: 0.25 to 0.5) */
    int frames;           /* 1 to 100000, theta from 0 to theta_max; default 8. One frame is theta_max's. */
    int from_noise;       /* non-zero: one random x_T instead of the pair's */
} unclip_text_diff_options;

UNCLIP_API void unclip_text_diff_options_init(unclip_text_diff_options *options);

/* z_i turned towards the difference of two texts' embeddings, which is given the length of z_i. The decoder's guidance
 * is the model's unless `base` says otherwise, since x_T alone outweighs a new embedding: with that of the inversion the
 * first frame would be the reconstruction, and few of the later ones another. */
UNCLIP_API unclip_status unclip_text_diff(unclip_engine *engine, const unclip_pair *pair,
                                          const unclip_generate_options *base,
                                          const unclip_text_diff_options *options, unclip_error *err);

typedef struct unclip_probe_options {
    size_t struct_size;
    const int *components; /* how many principal components each picture keeps; NULL: the paper's 20, 30, 40, 80, 120,
                              160, 200, 320 of 1024, in proportion to the model's embedding */
    size_t component_count;
    const char *pca_file;  /* what unclip_pca_fit wrote; NULL: the model's own */
} unclip_probe_options;

UNCLIP_API void unclip_probe_options_init(unclip_probe_options *options);

/* z_i rebuilt from its first principal components, each drawn with DDIM from the same random x_T.
 * UNCLIP_ERR_UNSUPPORTED when there is no basis. */
UNCLIP_API unclip_status unclip_probe(unclip_engine *engine, const unclip_pair *pair,
                                      const unclip_generate_options *base, const unclip_probe_options *options,
                                      unclip_error *err);

/* Mean and leading principal components of embeddings [count, dim], written as the F32 tensors "mean" [dim], "basis"
 * [components, dim] (orthonormal rows) and "variance" [components] (falling) of a safetensors file. components: 1 to
 * dim, and less than count; 0 = as many as there are. */
UNCLIP_API unclip_status unclip_pca_fit(const float *embeddings, size_t count, size_t dim, size_t components,
                                        const char *path, unclip_error *err);

/* How well a picture survives being made a pair and drawn again without noise. */
typedef struct unclip_reconstruction {
    size_t struct_size;
    double psnr;   /* in dB, of 8-bit samples, against the original's centred square at the same size; at most 100 */
    double cosine; /* of the two pictures' embeddings */
    int size;      /* side of the compared pictures */
} unclip_reconstruction;

/* png: the bytes of a PNG file. Of `base` the size (0 = the decoder's), the stages, the seed and the caption are read;
 * the decoder's eta is 0. `invert` may have progress; `base`'s callbacks are not called. */
UNCLIP_API unclip_status unclip_eval_reconstruction(unclip_engine *engine, const uint8_t *png, size_t size,
                                                    const unclip_invert_options *invert,
                                                    const unclip_generate_options *base, unclip_reconstruction *out,
                                                    unclip_error *err);

/* ---- what it would cost ------------------------------------------------------------------------------------------ */

typedef struct unclip_estimate_stage {
    uint64_t weight_bytes;     /* of the tensors as stored on disk */
    uint64_t activation_bytes; /* of the stage's arena: exact */
    double flops;              /* of one launch, all steps; 2 FLOP a multiply-add. Of an inversion the most: refinement
                                  stops at a step that is good enough */
    int steps;
} unclip_estimate_stage;

struct unclip_estimate {
    size_t struct_size;
    unclip_estimate_stage text;                      /* the CLIP text encoder */
    unclip_estimate_stage stage[UNCLIP_STAGE_COUNT];
    uint64_t peak_activation_bytes;                  /* stages run one after another and share memory */
    unclip_estimate_stage image;                     /* the CLIP image encoder, of unclip_invert */
};

/* unclip_generate with options.estimate: plans one launch of the options' batch without running it. */
UNCLIP_API unclip_status unclip_generate_estimate(unclip_engine *engine, const unclip_generate_options *options,
                                                  unclip_estimate *estimate, unclip_error *err);

/* ---- embeddings -------------------------------------------------------------------------------------------------- */

typedef struct unclip_embedding {
    size_t struct_size;
    float *values;       /* [dim], not normalised */
    size_t dim;
    int32_t *tokens;     /* start, pieces, end; NULL for an image */
    size_t token_count;
    int truncated;       /* non-zero when the text was longer than the model's context */
} unclip_embedding;

/* CLIP's joint space. Release with unclip_embedding_free. */
UNCLIP_API unclip_status unclip_embed_text(unclip_engine *engine, const char *text, unclip_embedding *out,
                                           unclip_error *err);
/* png: the bytes of a PNG file. */
UNCLIP_API unclip_status unclip_embed_image(unclip_engine *engine, const uint8_t *png, size_t size,
                                            unclip_embedding *out, unclip_error *err);
UNCLIP_API void unclip_embedding_free(unclip_embedding *embedding);

/* One text that a picture is held against. */
typedef struct unclip_label {
    const char *text;   /* the caller's */
    double cosine;      /* of the two embeddings, -1 ... 1 */
    double probability; /* among the labels: softmax of logit_scale * cosine */
} unclip_label;

/* CLIP's zero-shot classification (paper, figure 6): fills cosine and probability of label_count labels whose text is set.
 * The logit scale is the model's (unclip.json), 100 when it says none; *logit_scale gets it unless NULL. png: the bytes of
 * a PNG file. */
UNCLIP_API unclip_status unclip_classify_image(unclip_engine *engine, const uint8_t *png, size_t size,
                                               unclip_label *labels, size_t label_count, double *logit_scale,
                                               unclip_error *err);

/* The same for the embedding [dim] of a picture: unclip_embed_image's, a pair's, or what a prior drew. */
UNCLIP_API unclip_status unclip_classify_embedding(unclip_engine *engine, const float *embedding, size_t dim,
                                                   unclip_label *labels, size_t label_count, double *logit_scale,
                                                   unclip_error *err);

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

/* What a prior draws from captions, held against the embeddings of their pictures. Means over the draws; deviations are
 * those of single draws. */
typedef struct unclip_prior_statistics {
    size_t struct_size;
    size_t draws;
    double loss;             /* diffusion: the paper's L_prior, the mean squared error of the denoised embedding in the
                                prior's normalised units, over the timesteps of its schedule; autoregressive: the
                                cross-entropy of the true components in nats. Both without guidance */
    double mse;              /* of the drawn embedding to the true one, per number */
    double cosine, cosine_deviation; /* of the drawn to the true one */
    double dot, dot_deviation;       /* of the drawn one with the text embedding: what --prior-candidates compares */
    double true_dot, true_dot_deviation;
    double text_cosine, true_text_cosine;
    double length, true_length;      /* Euclidean */
    double seconds;          /* of drawing alone, in all */
} unclip_prior_statistics;

/* embeddings: [prompt_count, dim], of the picture of each prompt (unclip_embed_image). Of the options the prompts, their
 * number of images, batch, seed, and everything about the prior are read. */
UNCLIP_API unclip_status unclip_eval_prior(unclip_engine *engine, const unclip_generate_options *options,
                                           const float *embeddings, size_t dim, unclip_prior_statistics *statistics,
                                           unclip_error *err);

/* ---- description ------------------------------------------------------------------------------------------------- */

/* The model as JSON: name, licence, per part its class, parameter count and storage type, defaults of every stage.
 * *json is to be given to unclip_free. */
UNCLIP_API unclip_status unclip_engine_describe(unclip_engine *engine, char **json, unclip_error *err);

/* The settings stored in a PNG made by this library, as JSON: the parameters_json of unclip_image. */
UNCLIP_API unclip_status unclip_png_parameters(const uint8_t *png, size_t size, char **json, unclip_error *err);

/* The devices that this build can use on this machine, as a JSON array of {"device", "name", "types"}. */
UNCLIP_API unclip_status unclip_devices(char **json, unclip_error *err);

#ifdef __cplusplus
}
#endif
#endif

/* config_scheduler.c - the noise schedule of each diffusion stage (prior, decoder, both upsamplers). Defaults are those of
 * the diffusers class that the file names. */
#include "config_read.h"

#include <math.h>
#include <string.h>

static const char *const class_names[] = { "UnCLIPScheduler", "DDPMScheduler", "DDIMScheduler",
                                           "DPMSolverMultistepScheduler" };

static void read_class(uc_json *j, const char *expected, uc_scheduler_config *c) {
    char *said = uc_json_string(j, "_class_name");
    const char *name = said ? said : expected;
    int found = -1;
    for (int i = 0; i < 4 && name; i++)
        if (!strcmp(name, class_names[i])) found = i;
    if (said && expected && strcmp(said, expected))
        uc_json_fail(j, "_class_name", "is \"%.60s\", but model_index.json says \"%.60s\"", said, expected);
    else if (!name) uc_json_fail(j, "_class_name", "is missing");
    else if (found < 0)
        uc_json_fail(j, "_class_name",
                     "is \"%.60s\", expected \"UnCLIPScheduler\", \"DDPMScheduler\", "
                     "\"DDIMScheduler\" or \"DPMSolverMultistepScheduler\"",
                     name);
    c->class_id = found < 0 ? UC_SCHEDULER_UNCLIP : (uc_scheduler_class)found;
    free(said);
}

static void read_prediction(uc_json *j, uc_scheduler_config *c) {
    static const char *const names[] = { "epsilon", "sample", "v_prediction" };
    static const uc_prediction kinds[] = { UC_PREDICT_EPSILON, UC_PREDICT_SAMPLE, UC_PREDICT_V };
    const int count = c->class_id == UC_SCHEDULER_UNCLIP ? 2 : 3;
    c->prediction = kinds[uc_json_choice(j, "prediction_type", 0, names, count)];
}

static void read_variance(uc_json *j, uc_scheduler_config *c) {
    static const char *const unclip[] = { "fixed_small_log", "learned_range" };
    static const char *const ddpm[] = { "fixed_small", "fixed_small_log", "learned_range" };
    static const char *const solver[] = { "learned_range", "learned" };
    c->variance = UC_VARIANCE_FIXED_SMALL;
    if (c->class_id == UC_SCHEDULER_UNCLIP) {
        c->variance =
            uc_json_choice(j, "variance_type", 0, unclip, 2) ? UC_VARIANCE_LEARNED_RANGE : UC_VARIANCE_FIXED_SMALL_LOG;
    } else if (c->class_id == UC_SCHEDULER_DDPM) {
        c->variance = (uc_variance_type)uc_json_choice(j, "variance_type", 0, ddpm, 3);
    } else if (c->class_id == UC_SCHEDULER_DPMSOLVER_MULTISTEP &&
               !json_is_null(json_object_get(j->root, "variance_type"))) {
        if (json_object_get(j->root, "variance_type")) c->variance = UC_VARIANCE_LEARNED_RANGE;
        uc_json_choice(j, "variance_type", 0, solver, 2);
    } else {
        uc_json_only_null(j, "variance_type");
    }
}

/* Dynamic thresholding, which goes before clip_sample. Without it diffusers does not read its settings. */
static void read_threshold(uc_json *j, uc_scheduler_config *c) {
    static const char *const unread[] = { "dynamic_thresholding_ratio", "sample_max_value" };
    if (!uc_json_bool(j, "thresholding", false)) {
        uc_json_ignore(j, unread, sizeof unread / sizeof *unread);
        return;
    }
    c->threshold = (float)uc_json_number(j, "dynamic_thresholding_ratio", 0.995, 1e-6, 1);
    c->threshold_max = (float)uc_json_number(j, "sample_max_value", 1.0, 1e-6, 1e6);
}

/* Everything that the three general classes share and UnCLIPScheduler does not have. */
static void read_general(uc_json *j, uc_scheduler_config *c) {
    static const char *const schedules[] = { "squaredcos_cap_v2", "linear", "scaled_linear" };
    static const char *const spacings[] = { "linspace", "leading", "trailing" };
    const bool solver = c->class_id == UC_SCHEDULER_DPMSOLVER_MULTISTEP;
    c->beta_schedule = (uc_beta_schedule)uc_json_choice(j, "beta_schedule", UC_BETA_LINEAR, schedules, 3);
    c->beta_start = uc_json_number(j, "beta_start", 0.0001, 0, 1);
    c->beta_end = uc_json_number(j, "beta_end", 0.02, 0, 1);
    c->spacing =
        (uc_timestep_spacing)(UC_SPACING_LINSPACE + uc_json_choice(j, "timestep_spacing", solver ? 0 : 1, spacings, 3));
    c->steps_offset = uc_json_int(j, "steps_offset", 0, 0, 1000);
    c->rescale_betas_zero_snr = uc_json_bool(j, "rescale_betas_zero_snr", false);
    uc_json_only_null(j, "trained_betas");
    read_threshold(j, c);
    if (!(c->beta_start > 0) || c->beta_start > c->beta_end || c->beta_end >= 1)
        uc_json_fail(j, "beta_start", "is %g and beta_end %g, expected 0 < beta_start <= beta_end < 1", c->beta_start,
                     c->beta_end);
}

static void read_solver(uc_json *j, uc_scheduler_config *c) {
    uc_json_only_number(j, "solver_order", 2);
    uc_json_only_string(j, "algorithm_type", "dpmsolver++");
    uc_json_only_string(j, "solver_type", "midpoint");
    uc_json_only_string(j, "final_sigmas_type", "zero");
    uc_json_only_bool(j, "use_karras_sigmas", false);
    uc_json_only_bool(j, "use_exponential_sigmas", false);
    uc_json_only_bool(j, "use_beta_sigmas", false);
    uc_json_only_bool(j, "use_lu_lambdas", false);
    uc_json_only_bool(j, "use_flow_sigmas", false);
    uc_json_ignore(j, (const char *const[]){ "flow_shift" }, 1);
    c->lower_order_final = uc_json_bool(j, "lower_order_final", true);
    c->euler_at_final = uc_json_bool(j, "euler_at_final", false);
    c->lambda_min_clipped = uc_json_number(j, "lambda_min_clipped", -INFINITY, -1e308, 1e308);
    if (c->lambda_min_clipped <= -1e307) c->lambda_min_clipped = -INFINITY;
}

/* clip_sample and its range; DPM-Solver never clamps. */
static void read_clip(uc_json *j, uc_scheduler_config *c) {
    const bool clip = uc_json_bool(j, "clip_sample", true);
    if (json_is_null(json_object_get(j->root, "clip_sample_range")) && !clip)
        uc_json_ignore(j, (const char *const[]){ "clip_sample_range" }, 1);
    const double range = uc_json_number(j, "clip_sample_range", 1.0, 1e-6, 1e6);
    c->clip = clip ? (float)range : 0;
}

unclip_status uc_read_scheduler(const char *path, const char *class_name, uc_scheduler_config *c, uc_warnings *warnings,
                                unclip_error *err) {
    uc_json j;
    if (uc_json_open(&j, path, 0, warnings, err)) return j.status;
    *c = (uc_scheduler_config){ .beta_schedule = UC_BETA_SQUAREDCOS_CAP_V2,
                                .beta_start = 0.0001,
                                .beta_end = 0.02,
                                .spacing = UC_SPACING_UNCLIP,
                                .set_alpha_to_one = true,
                                .lower_order_final = true,
                                .lambda_min_clipped = -INFINITY,
                                .threshold_max = INFINITY };
    read_class(&j, class_name, c);
    c->train_timesteps = uc_json_int(&j, "num_train_timesteps", 1000, 2, 100000);
    read_prediction(&j, c);
    read_variance(&j, c);
    if (c->class_id == UC_SCHEDULER_UNCLIP) uc_json_only_string(&j, "beta_schedule", "squaredcos_cap_v2");
    else read_general(&j, c);
    if (c->class_id == UC_SCHEDULER_DPMSOLVER_MULTISTEP) read_solver(&j, c);
    else read_clip(&j, c);
    if (c->class_id == UC_SCHEDULER_DDIM) c->set_alpha_to_one = uc_json_bool(&j, "set_alpha_to_one", true);
    return uc_json_finish(&j);
}

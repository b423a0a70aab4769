/* goldens.c - schedules, single steps and whole runs of the samplers against diffusers' schedulers, as recorded in
 * tests/goldens/unit (unclip_scheduler.safetensors, schedulers.safetensors, units.json). */
#include "sampling_case.h"

#include "support/golden.h"

#include <jansson.h>

/* A part of units.json, to be given back with json_decref. */
static json_t *units(const char *part) {
    json_error_t error;
    json_t *root = json_load_file(UC_TEST_DATA "/goldens/unit/units.json", 0, &error);
    cr_assert_not_null(root, "units.json: %s", error.text);
    json_t *found = json_object_get(root, part);
    cr_assert_not_null(found, "units.json has no %s", part);
    json_incref(found);
    json_decref(root);
    return found;
}

/* A tensor's name from its parts. */
static const uc_param *tensor(const golden_file *file, const char *base, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, name);
    return golden_get(file, full);
}

/* ---- tables and timesteps ---------------------------------------------------------------------------------------- */

Test(sampling_goldens, unclip_tables_are_equal) {
    golden_file file = golden_open("unit/unclip_scheduler.safetensors");
    const uc_scheduler_config config = karlo_config();
    uc_schedule *s = NULL;
    cr_assert_eq(uc_schedule_new(&s, &config, NULL), UNCLIP_OK);
    const char *names[] = { "betas", "alphas", "alphas_cumprod" };
    const float *ours[] = { s->betas, s->alphas, s->alpha_bars };
    for (int i = 0; i < 3; i++) {
        const float *wanted = golden_get(&file, names[i])->data;
        for (int t = 0; t < 1000; t++) /* cos of another C library may round otherwise: one part in 2^23 */
            cr_assert(fabsf(ours[i][t] - wanted[t]) <= 1.2e-7f * wanted[t], "%s[%d] is %.9g, not %.9g", names[i], t,
                      (double)ours[i][t], (double)wanted[t]);
    }
    uc_schedule_free(s);
    golden_close(&file);
}

/* Timesteps that diffusers takes as they come, but that repeat one or leave the schedule, are refused here. */
static bool is_proper(const int32_t *list, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (list[i] < 0 || list[i] > 999 || (i > 0 && list[i] >= list[i - 1])) return false;
    return true;
}

static int check_timesteps(const uc_param *wanted, const uc_scheduler_config *config, uc_grid grid, int steps) {
    unclip_error err = { 0 };
    uc_schedule *s = NULL;
    uc_timesteps t;
    cr_assert_eq(uc_schedule_new(&s, config, &err), UNCLIP_OK, "%s", err.message);
    const unclip_status status = uc_timesteps_new(&t, config, s, grid, steps, NULL, &err);
    int32_t *list = golden_ints(wanted);
    const int64_t count = golden_count(wanted);
    const bool proper = is_proper(list, count);
    cr_assert_eq(status, proper ? UNCLIP_OK : UNCLIP_ERR_ARGUMENT, "%s: %s", wanted->name, err.message);
    if (proper) cr_assert_eq(t.count, count, "%s: %d timesteps", wanted->name, t.count);
    for (int i = 0; proper && i < t.count; i++)
        cr_assert_eq(t.at[i], list[i], "%s: timestep %d is %d, not %d", wanted->name, i, t.at[i], list[i]);
    free(list);
    free(t.at);
    uc_schedule_free(s);
    return proper;
}

Test(sampling_goldens, timesteps_are_equal) {
    golden_file unclip = golden_open("unit/unclip_scheduler.safetensors");
    golden_file file = golden_open("unit/schedulers.safetensors");
    static const int counts[] = { 2, 3, 4, 5, 7, 10, 25, 27, 50, 64, 100, 250, 999, 1000 };
    static const char *const spacings[] = { "linspace", "leading", "trailing" };
    int proper = 0;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char name[64];
        snprintf(name, sizeof name, "timesteps.%d", counts[i]);
        uc_scheduler_config config = karlo_config();
        cr_assert(check_timesteps(golden_get(&unclip, name), &config, UC_GRID_ANCESTRAL, counts[i]));
        for (int s = 0; s < 3; s++) {
            config = linear_config(UC_SCHEDULER_DDIM, (uc_timestep_spacing)(UC_SPACING_LINSPACE + s));
            snprintf(name, sizeof name, "timesteps.ddim.%s.%d", spacings[s], counts[i]);
            proper += check_timesteps(golden_get(&file, name), &config, UC_GRID_ANCESTRAL, counts[i]);
            snprintf(name, sizeof name, "timesteps.dpm++.%s.%d", spacings[s], counts[i]);
            proper += check_timesteps(golden_get(&file, name), &config, UC_GRID_MULTISTEP, counts[i]);
        }
    }
    cr_assert_geq(proper, 78, "only %d of 84 lists were compared", proper);
    golden_close(&unclip);
    golden_close(&file);
}

/* ---- single steps of UnCLIPScheduler ----------------------------------------------------------------------------- */

/* One step through the reference kernel, with every number where the engine has it. */
static void run_step(const uc_sampler_plan *plan, int index, uc_shape shape, float *x, float *x0, float *prediction,
                     bool has_variance, const float *noise) {
    uc_launch l = { .kind = UC_OP_noise_step, .step = &plan->steps[index], .threads = 1 };
    l.attrs.noise_step = (uc_noise_attrs){ .prediction = plan->prediction, .learned_variance = plan->learned_variance,
                                            .threshold = plan->threshold };
    uc_shape wide = shape;
    if (has_variance) wide.dim[1] *= 2;
    l.in[UC_NOISE_X] = l.out[0] = (uc_view){ .shape = shape, .data = x };
    l.in[UC_NOISE_X0] = l.out[1] = (uc_view){ .shape = shape, .data = x0 };
    l.in[UC_NOISE_PREDICTION] = (uc_view){ .shape = wide, .data = prediction };
    l.in[UC_NOISE_NOISE] = (uc_view){ .shape = shape, .data = (void *)(uintptr_t)noise };
    uc_ref_noise_step(&l);
}

/* The index of the step from t to prev in the plans of some numbers of steps; plan NULL when none has it. */
static uc_sampler_plan *plan_with_step(const uc_scheduler_config *config, int t, int prev, int *index) {
    static const int counts[] = { 1000, 2, 7, 25 };
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        uc_sampler_plan *plan = plan_of(config, (uc_sampler_request){ .steps = counts[k] });
        for (*index = 0; *index < plan->count; (*index)++) {
            const int next = *index + 1 < plan->count ? (int)plan->timesteps[*index + 1] : -1;
            if ((int)plan->timesteps[*index] == t && next == prev) return plan;
        }
        uc_sampler_plan_free(plan);
    }
    return NULL;
}

static uc_scheduler_config unclip_config_of(const json_t *entry) {
    uc_scheduler_config config = karlo_config();
    const json_t *clip = json_object_get(entry, "clip_sample_range");
    config.clip = json_is_null(clip) ? 0 : (float)json_number_value(clip);
    if (!strcmp(json_string_value(json_object_get(entry, "variance_type")), "learned_range"))
        config.variance = UC_VARIANCE_LEARNED_RANGE;
    if (!strcmp(json_string_value(json_object_get(entry, "prediction_type")), "sample"))
        config.prediction = UC_PREDICT_SAMPLE;
    return config;
}

/* The recorded model output has six channels; with a fixed variance diffusers was given the first three. */
static void check_unclip_step(const golden_file *file, const json_t *entry, int *checked) {
    const char *name = json_string_value(json_object_get(entry, "name"));
    const int t = (int)json_integer_value(json_object_get(entry, "t"));
    const json_t *given = json_object_get(entry, "prev_t");
    const uc_scheduler_config config = unclip_config_of(entry);
    int index;
    uc_sampler_plan *plan =
        plan_with_step(&config, t, json_is_null(given) ? t - 1 : (int)json_integer_value(given), &index);
    if (!plan) return;
    enum { COUNT = 2 * 3 * 3 * 2 };
    float *x = golden_floats(golden_get(file, "sample")), *noise = golden_floats(golden_get(file, "noise"));
    float *prediction = golden_floats(golden_get(file, "model_output")), x0[COUNT];
    for (int i = 0; i < COUNT; i++) x0[i] = NAN;
    run_step(plan, index, UC_SHAPE4(2, 3, 3, 2), x, x0, prediction, true, noise);
    golden_expect_close(name, x, tensor(file, name, "prev_sample"), 1e-6);
    golden_expect_close(name, x0, tensor(file, name, "pred_original_sample"), 1e-6);
    uc_sampler_plan_free(plan);
    free(x);
    free(noise);
    free(prediction);
    ++*checked;
}

Test(sampling_goldens, unclip_steps) {
    golden_file file = golden_open("unit/unclip_scheduler.safetensors");
    json_t *list = units("unclip_scheduler"), *entry;
    size_t i;
    int checked = 0;
    json_array_foreach(list, i, entry) check_unclip_step(&file, entry, &checked);
    /* no number of steps has the jumps 999 to 958 and 487 to 416 */
    cr_assert_eq(checked, 9 * 12, "%d steps of %zu were compared", checked, i);
    json_decref(list);
    golden_close(&file);
}

/* ---- whole runs of the other schedulers -------------------------------------------------------------------------- */

static const char *text_of(const json_t *config, const char *key, const char *otherwise) {
    const json_t *value = json_object_get(config, key);
    return value ? json_string_value(value) : otherwise;
}

static int index_of(const char *text, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (!strcmp(text, names[i])) return i;
    return -1;
}

/* Configurations with a dynamic threshold that config_of has met. */
static int thresholds;

/* What weights/ would read from such a scheduler_config.json. False for what the engine does not have. */
static bool config_of(const json_t *entry, uc_scheduler_config *out) {
    static const char *const classes[] = { "UnCLIPScheduler", "DDPMScheduler", "DDIMScheduler",
                                           "DPMSolverMultistepScheduler" };
    static const char *const kinds[] = { "epsilon", "sample", "v_prediction" };
    static const char *const variances[] = { "fixed_small", "fixed_small_log", "learned_range" };
    static const char *const betas[] = { "squaredcos_cap_v2", "linear", "scaled_linear" };
    static const char *const spacings[] = { "unclip", "linspace", "leading", "trailing" };
    const json_t *config = json_object_get(entry, "config"), *step = json_object_get(entry, "step");
    const json_t *order = json_object_get(config, "solver_order"), *clip = json_object_get(config, "clip_sample");
    const json_t *to_one = json_object_get(config, "set_alpha_to_one");
    const int class_id = index_of(text_of(entry, "class", ""), classes, 4);
    const bool solver = class_id == UC_SCHEDULER_DPMSOLVER_MULTISTEP;
    const int variance = index_of(text_of(config, "variance_type", "fixed_small"), variances, 3);
    cr_assert_geq(class_id, 0);
    if (variance < 0 || (order && json_integer_value(order) != 2) ||
        strcmp(text_of(config, "solver_type", "midpoint"), "midpoint") != 0)
        return false;
    *out = linear_config((uc_scheduler_class)class_id,
                         (uc_timestep_spacing)index_of(
                             text_of(config, "timestep_spacing", solver ? "linspace" : "leading"), spacings, 4));
    /* re-deriving the noise from the clamped estimate is what the engine does on other models than DDIMScheduler's */
    if (json_is_true(json_object_get(step, "use_clipped_model_output"))) out->class_id = UC_SCHEDULER_UNCLIP;
    out->variance = (uc_variance_type)variance;
    out->prediction = (uc_prediction)index_of(text_of(config, "prediction_type", "epsilon"), kinds, 3);
    out->beta_schedule = (uc_beta_schedule)index_of(text_of(config, "beta_schedule", "linear"), betas, 3);
    out->clip = solver || (clip && !json_is_true(clip)) ? 0 : 1;
    out->steps_offset = json_integer_value(json_object_get(config, "steps_offset"));
    out->set_alpha_to_one = !to_one || json_is_true(to_one);
    if (json_is_true(json_object_get(config, "thresholding"))) {
        const json_t *most = json_object_get(config, "sample_max_value");
        out->threshold = (float)json_number_value(json_object_get(config, "dynamic_thresholding_ratio"));
        out->threshold_max = most ? (float)json_number_value(most) : 1;
        thresholds++;
    }
    out->rescale_betas_zero_snr = json_is_true(json_object_get(config, "rescale_betas_zero_snr"));
    return true;
}

/* The stand-in for a network of make_units.py. */
static void toy_model(const float *x, float t, int count, float *prediction) {
    for (int i = 0; i < count; i++) {
        prediction[i] = 0.5f * sinf(3 * x[i]) + 0.1f * (t / 1000);
        prediction[count + i] = cosf(2 * x[i]);
    }
}

static void check_run(const golden_file *file, const char *name, const json_t *entry,
                      const uc_scheduler_config *config) {
    enum { STEPS = 10, COUNT = 12 };
    const json_t *step = json_object_get(entry, "step");
    const bool ddim = !strcmp(text_of(entry, "class", ""), "DDIMScheduler");
    uc_sampler_plan *plan =
        plan_of(config, (uc_sampler_request){ .sampler = ddim ? UNCLIP_SAMPLER_DDIM : UNCLIP_SAMPLER_DEFAULT,
                                              .steps = STEPS,
                                              .eta = (float)json_number_value(json_object_get(step, "eta")) });
    float *x = golden_floats(golden_get(file, "start")), *noise = golden_floats(golden_get(file, "noise"));
    float *timesteps = golden_floats(tensor(file, name, "timesteps")),
          *path = golden_floats(tensor(file, name, "path"));
    float x0[COUNT] = { 0 }, prediction[2 * COUNT];
    cr_assert_eq(plan->count, STEPS, "%s", name);
    for (int i = 0; i < STEPS; i++) {
        cr_assert_eq(plan->timesteps[i], timesteps[i], "%s: step %d", name, i);
        toy_model(x, plan->timesteps[i], COUNT, prediction);
        run_step(plan, i, UC_SHAPE4(1, 3, 2, 2), x, x0, prediction, true, noise + i * COUNT);
        for (int k = 0; k < COUNT; k++) /* the toy model triples a distance at most, and the steps contract */
            cr_assert(fabsf(x[k] - path[i * COUNT + k]) <= 2e-5f * fmaxf(1, fabsf(path[i * COUNT + k])),
                      "%s: step %d element %d is %.9g, not %.9g", name, i, k, (double)x[k],
                      (double)path[i * COUNT + k]);
    }
    free(x);
    free(noise);
    free(timesteps);
    free(path);
    uc_sampler_plan_free(plan);
}

Test(sampling_goldens, runs) {
    golden_file file = golden_open("unit/schedulers.safetensors");
    json_t *list = units("schedulers"), *entry;
    const char *name;
    int checked = 0, left_out = 0;
    json_object_foreach(list, name, entry) {
        uc_scheduler_config config;
        if (!config_of(entry, &config)) {
            left_out++;
            continue;
        }
        check_run(&file, name, entry, &config);
        checked++;
    }
    /* per beta schedule: a fixed large variance, and solvers of order 1, order 3 and by Heun */
    cr_assert_eq(left_out, 2 * 4, "%d runs were left out", left_out);
    cr_assert_geq(checked, 60, "only %d runs were compared", checked);
    cr_assert_eq(thresholds, 2 * 5, "%d runs had a dynamic threshold", thresholds);
    json_decref(list);
    golden_close(&file);
}

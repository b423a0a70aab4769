/* schedule.c - betas, their products and the timesteps of a run, against numbers computed by diffusers' formulas. */
#include "sampling_case.h"

static uc_schedule *schedule_of(const uc_scheduler_config *config) {
    unclip_error err = { 0 };
    uc_schedule *schedule = NULL;
    cr_assert_eq(uc_schedule_new(&schedule, config, &err), UNCLIP_OK, "%s", err.message);
    return schedule;
}

Test(sampling_schedule, cosine_values) {
    const uc_scheduler_config config = karlo_config();
    uc_schedule *s = schedule_of(&config);
    assert_near(s->betas[0], 4.12842e-05, 5e-11, "first beta");
    assert_near(s->betas[999], 0.999, 1e-7, "the cap");
    static const struct {
        int t;
        double value;
    } wanted[] = {
        { 0, 0.9999587 },    { 166, 0.92760009 }, { 333, 0.74197471 },    { 500, 0.49228504 },
        { 666, 0.24600056 }, { 832, 0.06622054 }, { 998, 2.4287663e-06 }, { 999, 2.4287350e-09 },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_near(s->alpha_bars[wanted[i].t] / wanted[i].value, 1, 1e-7, "alpha_bar[%d]", wanted[i].t);
    uc_schedule_free(s);
}

/* The known ends of Stable Diffusion's schedule, and of DDPM's. */
Test(sampling_schedule, linear_values) {
    uc_scheduler_config config = linear_config(UC_SCHEDULER_DDPM, UC_SPACING_LEADING);
    uc_schedule *s = schedule_of(&config);
    assert_near(s->betas[0], 1e-4, 1e-11, "first");
    assert_near(s->betas[999], 0.02, 1e-9, "last");
    assert_near(s->betas[500], 1e-4 + 500 * (0.02 - 1e-4) / 999, 2e-9, "middle");
    assert_near(s->alpha_bars[999] / 4.0358e-05, 1, 1e-4, "the product");
    uc_schedule_free(s);
    config.beta_schedule = UC_BETA_SCALED_LINEAR;
    config.beta_start = 0.00085;
    config.beta_end = 0.012;
    s = schedule_of(&config);
    assert_near(s->betas[0], 0.00085, 1e-10, "first");
    assert_near(s->betas[999], 0.012, 2e-9, "last");
    assert_near(s->alpha_bars[999] / 0.0046601, 1, 1e-4, "the product");
    uc_schedule_free(s);
}

Test(sampling_schedule, alpha_bar_falls) {
    for (int kind = UC_BETA_SQUAREDCOS_CAP_V2; kind <= UC_BETA_SCALED_LINEAR; kind++)
        for (int rescaled = 0; rescaled < 2; rescaled++) {
            uc_scheduler_config config = linear_config(UC_SCHEDULER_DDPM, UC_SPACING_LEADING);
            config.beta_schedule = (uc_beta_schedule)kind;
            config.rescale_betas_zero_snr = rescaled;
            uc_schedule *s = schedule_of(&config);
            cr_assert_lt(s->alpha_bars[0], 1.0f);
            for (int t = 1; t < s->count; t++)
                cr_assert_lt(s->alpha_bars[t], s->alpha_bars[t - 1], "schedule %d at %d", kind, t);
            if (rescaled) cr_assert_eq(s->alpha_bars[999], 0.0f, "schedule %d does not end in pure noise", kind);
            else cr_assert_gt(s->alpha_bars[999], 0.0f);
            uc_schedule_free(s);
        }
}

Test(sampling_schedule, refuses_nonsense) {
    for (int i = 0; i < 3; i++) {
        uc_scheduler_config config = karlo_config();
        config.train_timesteps = (const int64_t[]){ 0, -3, INT64_MAX }[i];
        unclip_error err = { 0 };
        uc_schedule *schedule = NULL;
        cr_assert_eq(uc_schedule_new(&schedule, &config, &err), UNCLIP_ERR_MODEL_DATA);
        cr_assert_null(schedule);
        cr_assert_not_null(strstr(err.message, "num_train_timesteps"), "%s", err.message);
    }
}

/* ---- timesteps --------------------------------------------------------------------------------------------------- */

static unclip_status timesteps_of(uc_timesteps *t, const uc_scheduler_config *config, uc_grid grid, int steps,
                                  const char *respacing, unclip_error *err) {
    uc_schedule *schedule = schedule_of(config);
    const unclip_status status = uc_timesteps_new(t, config, schedule, grid, steps, respacing, err);
    uc_schedule_free(schedule);
    return status;
}

static void expect_list(const uc_scheduler_config *config, uc_grid grid, int steps, const char *respacing, int count,
                        const int *wanted) {
    unclip_error err = { 0 };
    uc_timesteps t;
    cr_assert_eq(timesteps_of(&t, config, grid, steps, respacing, &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(t.count, count, "%d steps, respacing %s: %d timesteps, not %d", steps, respacing ? respacing : "none",
                 t.count, count);
    for (int i = 0; i < count; i++)
        cr_assert_eq(t.at[i], wanted[i], "%d steps, respacing %s: timestep %d is %d, not %d", steps,
                     respacing ? respacing : "none", i, t.at[i], wanted[i]);
    free(t.at);
}

#define EXPECT_LIST(config, grid, steps, respacing, ...)                                                     \
    expect_list((config), (grid), (steps), (respacing), (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)), \
                (int[]){ __VA_ARGS__ })

Test(sampling_timesteps, unclip_lists) {
    const uc_scheduler_config config = karlo_config();
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 1, NULL, 999);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 2, NULL, 999, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 7, NULL, 999, 832, 666, 500, 333, 166, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 25, NULL, 999, 957, 916, 874, 832, 791, 749, 708, 666, 624, 583, 541, 500,
                458, 416, 375, 333, 291, 250, 208, 166, 125, 83, 42, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 50, NULL, 999, 979, 958, 938, 917, 897, 877, 856, 836, 816, 795, 775, 754,
                734, 714, 693, 673, 652, 632, 612, 591, 571, 550, 530, 510, 489, 469, 449, 428, 408, 387, 367, 347, 326,
                306, 285, 265, 245, 224, 204, 183, 163, 143, 122, 102, 82, 61, 41, 20, 0);
    /* the solver of DPM has no spacing of its own on a model of UnCLIPScheduler */
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 7, NULL, 999, 832, 666, 500, 333, 166, 0);
}

Test(sampling_timesteps, spacings_of_diffusers) {
    uc_scheduler_config config = linear_config(UC_SCHEDULER_DDPM, UC_SPACING_LEADING);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 7, NULL, 852, 710, 568, 426, 284, 142, 0);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 7, NULL, 875, 750, 625, 500, 375, 250, 125);
    config.steps_offset = 1;
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 4, NULL, 751, 501, 251, 1);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 3, NULL, 751, 501, 251);
    config.spacing = UC_SPACING_LINSPACE;
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 10, NULL, 999, 888, 777, 666, 555, 444, 333, 222, 111, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 1, NULL, 0);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 10, NULL, 999, 899, 799, 699, 599, 500, 400, 300, 200, 100);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 1, NULL, 999);
    config.spacing = UC_SPACING_TRAILING;
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 4, NULL, 999, 749, 499, 249);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 7, NULL, 999, 856, 713, 570, 428, 285, 142);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 4, NULL, 999, 749, 499, 249);
}

/* numpy.arange steps by (start + step) - start, which decides where a step ends on a half. */
Test(sampling_timesteps, trailing_steps_as_arange) {
    const uc_scheduler_config config = linear_config(UC_SCHEDULER_DDPM, UC_SPACING_TRAILING);
    static const int cases[][3] = {
        { 48, 3, 936 }, { 48, 15, 686 }, { 96, 18, 812 }, { 240, 9, 962 }, { 720, 9, 986 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unclip_error err = { 0 };
        uc_timesteps t;
        cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, cases[i][0], NULL, &err), UNCLIP_OK, "%s",
                     err.message);
        cr_assert_eq(t.at[cases[i][1]], cases[i][2], "%d steps: timestep %d is %d, not %d", cases[i][0], cases[i][1],
                     t.at[cases[i][1]], cases[i][2]);
        free(t.at);
    }
}

/* lambda falls below -5.1 at the noisiest end of the cosine schedule, which DPM-Solver then leaves out. */
Test(sampling_timesteps, clipped_lambda) {
    uc_scheduler_config config = linear_config(UC_SCHEDULER_DPMSOLVER_MULTISTEP, UC_SPACING_LINSPACE);
    config.beta_schedule = UC_BETA_SQUAREDCOS_CAP_V2;
    config.lambda_min_clipped = -5.1;
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 3, NULL, 995, 663, 332);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 3, NULL, 999, 500, 0);
    config.lambda_min_clipped = 100;
    unclip_error err = { 0 };
    uc_timesteps t;
    cr_assert_neq(timesteps_of(&t, &config, UC_GRID_MULTISTEP, 3, NULL, &err), UNCLIP_OK);
    cr_assert_null(t.at);
}

Test(sampling_timesteps, fall_strictly_for_every_count) {
    const uc_scheduler_config config = karlo_config();
    for (int steps = 2; steps <= 1000; steps++) {
        unclip_error err = { 0 };
        uc_timesteps t;
        cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, steps, NULL, &err), UNCLIP_OK, "%s", err.message);
        cr_assert_eq(t.count, steps);
        cr_assert_eq(t.at[0], 999);
        cr_assert_eq(t.at[steps - 1], 0);
        for (int i = 1; i < steps; i++) cr_assert_lt(t.at[i], t.at[i - 1], "%d steps at %d", steps, i);
        free(t.at);
    }
}

Test(sampling_timesteps, respacing) {
    const uc_scheduler_config config = karlo_config();
    /* guided-diffusion's space_timesteps by hand: five sections of 200; strides 199/9, 199/9, 99.5, 199, 199 */
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 3, "10,10,3,2,2", 999, 800, 799, 600, 599, 500, 400, 399, 377, 355, 333,
                311, 288, 266, 244, 222, 200, 199, 177, 155, 133, 111, 88, 66, 44, 22, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 0, "fast27", 997, 800, 799, 600, 599, 500, 400, 399, 377, 355, 333, 311,
                288, 266, 244, 222, 200, 199, 177, 155, 133, 111, 88, 66, 44, 22, 0);
    /* 124.5 is rounded to the even 124 */
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 0, "3,3,3,3", 999, 874, 750, 749, 624, 500, 499, 374, 250, 249, 124, 0);
    EXPECT_LIST(&config, UC_GRID_MULTISTEP, 0, "ddim5", 800, 600, 400, 200, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 0, "4", 999, 666, 333, 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 0, "1", 0);
    EXPECT_LIST(&config, UC_GRID_ANCESTRAL, 0, "1,1,2", 999, 667, 334, 0);
}

Test(sampling_timesteps, respacing_of_a_whole_schedule) {
    const uc_scheduler_config config = karlo_config();
    for (int i = 0; i < 3; i++) {
        const char *const texts[] = { "1000", "500,500", "ddim1000" };
        unclip_error err = { 0 };
        uc_timesteps t;
        cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 0, texts[i], &err), UNCLIP_OK, "%s", err.message);
        cr_assert_eq(t.count, 1000);
        for (int k = 0; k < 1000; k++) cr_assert_eq(t.at[k], 999 - k);
        free(t.at);
    }
}

Test(sampling_timesteps, wrong_counts_are_refused) {
    uc_scheduler_config config = karlo_config();
    const int counts[] = { 0, -1, 1001, INT32_MIN, INT32_MAX };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unclip_error err = { 0 };
        uc_timesteps t;
        cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, counts[i], NULL, &err), UNCLIP_ERR_ARGUMENT);
        cr_assert_null(t.at);
        char number[16];
        snprintf(number, sizeof number, "%d", counts[i]);
        cr_assert_not_null(strstr(err.message, number), "\"%s\" does not name %s", err.message, number);
        cr_assert_not_null(strstr(err.message, "1000"), "\"%s\" does not name the limit", err.message);
    }
    /* a solver that would stand still for a step divides by zero */
    config = linear_config(UC_SCHEDULER_DPMSOLVER_MULTISTEP, UC_SPACING_LINSPACE);
    unclip_error err = { 0 };
    uc_timesteps t;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_MULTISTEP, 1000, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "twice"), "%s", err.message);
    config = linear_config(UC_SCHEDULER_DDIM, UC_SPACING_LEADING);
    config.steps_offset = 1;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 1000, NULL, &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "outside"), "%s", err.message);
    config.steps_offset = INT64_MAX;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 10, NULL, &err), UNCLIP_ERR_MODEL_DATA);
    cr_assert_not_null(strstr(err.message, "steps_offset"), "%s", err.message);
}

Test(sampling_timesteps, wrong_respacing_is_refused) {
    const uc_scheduler_config config = karlo_config();
    const char *const texts[] = { "",        ",",       "10,",     ",10",   "10,,5",
                                  "abc",     "-5",      "0",       "5,0,5", "1001",
                                  "ddim",    "ddim0",   "ddim999", "ddim1", "ddim5x",
                                  "fast28",  "fast27 ", "10 10",   "+5",    "99999999999999999999",
                                  "501,499", "ddim-1",  "DDIM5",   "1.5" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        unclip_error err = { 0 };
        uc_timesteps t;
        cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 10, texts[i], &err), UNCLIP_ERR_ARGUMENT,
                     "\"%s\" was taken", texts[i]);
        cr_assert_null(t.at);
        cr_assert_not_null(strstr(err.message, texts[i]), "\"%s\" does not name \"%s\"", err.message, texts[i]);
    }
    char *many = malloc(4002);
    cr_assert_not_null(many);
    for (int i = 0; i < 4000; i += 2) memcpy(many + i, "1,", 2);
    strcpy(many + 4000, "1");
    unclip_error err = { 0 };
    uc_timesteps t;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 10, many, &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "2001"), "%s", err.message);
    free(many);
}

/* Short schedules have no room for it. */
Test(sampling_timesteps, fast27_needs_room) {
    uc_scheduler_config config = karlo_config();
    unclip_error err = { 0 };
    uc_timesteps t;
    config.train_timesteps = 50;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 0, "fast27", &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(t.count, 27);
    for (int i = 1; i < t.count; i++) cr_assert_lt(t.at[i], t.at[i - 1]);
    free(t.at);
    config.train_timesteps = 20;
    cr_assert_eq(timesteps_of(&t, &config, UC_GRID_ANCESTRAL, 0, "fast27", &err), UNCLIP_ERR_ARGUMENT);
    cr_assert_null(t.at);
}

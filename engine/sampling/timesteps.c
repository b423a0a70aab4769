/* timesteps.c - which training timesteps a run visits. See schedule.h for the arrows of the flow that this serves.
 *
 * The rounding is numpy's: halves go to the even neighbour. C's round() would visit other steps (833 for 832). */
#include "schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rising lists are built first and reversed at the end. */
static void reverse(uc_timesteps *t) {
    for (int i = 0, j = t->count - 1; i < j; i++, j--) {
        const int swapped = t->at[i];
        t->at[i] = t->at[j];
        t->at[j] = swapped;
    }
}

static unclip_status reserve(uc_timesteps *t, int count, unclip_error *err) {
    t->count = 0;
    t->at = calloc((size_t)count, sizeof *t->at);
    return t->at ? UNCLIP_OK : uc_fail_memory(err, (size_t)count * sizeof *t->at, "a list of timesteps");
}

/* ---- spacing by the scheduler's configuration -------------------------------------------------------------------- */

/* numpy.linspace(0, last, count)[i], rounded */
static int linspace(int last, int count, int i) {
    if (count == 1) return 0;
    return i == count - 1 ? last : (int)rint(i * ((double)last / (count - 1)));
}

/* Where DPM-Solver's timesteps start: lambda = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)) falls with t. */
static int first_above(const uc_scheduler_config *config, const uc_schedule *schedule) {
    int count = schedule->count;
    while (count > 0) {
        const float alpha_bar = schedule->alpha_bars[count - 1];
        const float lambda = logf(sqrtf(alpha_bar)) - logf(sqrtf(1 - alpha_bar));
        if ((double)lambda >= config->lambda_min_clipped) break;
        count--;
    }
    return count;
}

/* numpy.arange(last, 0, -train / steps).round() - 1, falling; arange steps by (last + step) - last, and the excess that
 * rounding can give it at the end is left out. */
static void trailing(uc_timesteps *t, int train, int last, int steps) {
    const double ratio = (double)train / steps, stride = last - (last - ratio);
    for (int i = 0; i < steps && last - i * stride > 0.5; i++) t->at[t->count++] = (int)rint(last - i * stride) - 1;
}

static void ancestral(uc_timesteps *t, const uc_scheduler_config *config, int train, int steps) {
    switch (config->spacing) {
    case UC_SPACING_UNCLIP:
        if (steps == 1) t->at[0] = train - 1;
        for (int i = 0; steps > 1 && i < steps; i++) t->at[i] = (int)rint(i * ((double)(train - 1) / (steps - 1)));
        break;
    case UC_SPACING_LINSPACE:
        for (int i = 0; i < steps; i++) t->at[i] = linspace(train - 1, steps, i);
        break;
    case UC_SPACING_LEADING:
        for (int i = 0; i < steps; i++) t->at[i] = i * (train / steps) + (int)config->steps_offset;
        break;
    case UC_SPACING_TRAILING: trailing(t, train, train, steps); return;
    }
    t->count = steps;
    reverse(t);
}

/* DPM-Solver has one timestep more in mind, and leaves out the least noisy one. */
static void multistep(uc_timesteps *t, const uc_scheduler_config *config, int train, int last, int steps) {
    if (config->spacing == UC_SPACING_TRAILING) {
        trailing(t, train, last, steps);
        return;
    }
    for (int i = 0; i < steps; i++)
        t->at[i] = config->spacing == UC_SPACING_LEADING ? (i + 1) * (last / (steps + 1)) + (int)config->steps_offset
                                                         : linspace(last - 1, steps + 1, i + 1);
    t->count = steps;
    reverse(t);
}

static unclip_status check_grid(const uc_timesteps *t, int train, int steps, unclip_error *err) {
    for (int i = 0; i < t->count; i++) {
        if (t->at[i] < 0 || t->at[i] >= train)
            return uc_fail(err, UNCLIP_ERR_ARGUMENT,
                           "%d steps: timestep %d is outside of the model's 0 to %d; ask for fewer", steps, t->at[i],
                           train - 1);
        if (i > 0 && t->at[i] >= t->at[i - 1])
            return uc_fail(err, UNCLIP_ERR_ARGUMENT,
                           "%d steps: the schedule would visit timestep %d twice; ask for fewer", steps, t->at[i]);
    }
    return t->count > 0 ? UNCLIP_OK : uc_fail(err, UNCLIP_ERR_MODEL_DATA, "lambda_min_clipped leaves no timestep");
}

static unclip_status spaced(uc_timesteps *t, const uc_scheduler_config *config, const uc_schedule *schedule,
                            uc_grid grid, int steps, unclip_error *err) {
    const int train = schedule->count;
    if (steps < 1 || steps > train)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "the number of steps must be between 1 and %d, not %d", train, steps);
    const unclip_status status = reserve(t, steps, err);
    if (status) return status;
    /* guards the arithmetic below against a configuration beyond sense */
    if (config->steps_offset < 0 || config->steps_offset > train)
        return uc_fail(err, UNCLIP_ERR_MODEL_DATA, "steps_offset must be between 0 and %d, not %lld", train,
                       (long long)config->steps_offset);
    if (grid == UC_GRID_MULTISTEP && config->spacing != UC_SPACING_UNCLIP)
        multistep(t, config, train, first_above(config, schedule), steps);
    else ancestral(t, config, train, steps);
    return check_grid(t, train, steps, err);
}

/* ---- respacing strings ------------------------------------------------------------------------------------------- */

/* A whole number of up to seven digits at *text, which moves behind it; -1 when there is none. */
static int parse_count(const char **text) {
    const char *begin = *text;
    int value = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (*text - begin == 7) return -1;
        value = value * 10 + (**text - '0');
    }
    return *text == begin ? -1 : value;
}

static unclip_status bad_respacing(unclip_error *err, const char *text) {
    return uc_fail(err, UNCLIP_ERR_ARGUMENT,
                   "respacing \"%.100s\" is not \"fast27\", \"ddimN\" or step counts from 1 on such as \"10,10,5\"",
                   text);
}

static unclip_status strided(uc_timesteps *t, const char *text, int train, unclip_error *err) {
    const char *rest = text + strlen("ddim");
    const int wanted = parse_count(&rest);
    if (wanted < 1 || *rest) return bad_respacing(err, text);
    for (int stride = 1; stride < train; stride++) {
        if ((train + stride - 1) / stride != wanted) continue;
        const unclip_status status = reserve(t, wanted, err);
        if (status) return status;
        for (int i = 0; i < wanted; i++) t->at[t->count++] = i * stride;
        reverse(t);
        return UNCLIP_OK;
    }
    return uc_fail(err, UNCLIP_ERR_ARGUMENT, "respacing \"%.100s\": no whole stride makes %d steps out of %d", text,
                   wanted, train);
}

/* guided-diffusion's space_timesteps: the stride is added up in double and each sum rounded to even, as Python does. */
static void section(uc_timesteps *t, int start, int size, int steps) {
    const double stride = steps > 1 ? (double)(size - 1) / (steps - 1) : 1;
    double at = 0;
    for (int i = 0; i < steps; i++, at += stride) t->at[t->count++] = start + (int)rint(at);
}

static unclip_status sections(uc_timesteps *t, const char *text, int train, unclip_error *err) {
    int count = 1, index = 0, start = 0;
    for (const char *p = text; *p; p++) count += *p == ',';
    if (count > train)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "respacing has %d sections, more than the model's %d timesteps", count,
                       train);
    const unclip_status status = reserve(t, train, err);
    if (status) return status;
    for (const char *p = text;; p++, index++) {
        const int size = train / count + (index < train % count), steps = parse_count(&p);
        if (steps < 1 || (*p && *p != ',')) return bad_respacing(err, text);
        if (steps > size)
            return uc_fail(err, UNCLIP_ERR_ARGUMENT,
                           "respacing \"%.100s\": section %d of %d has %d timesteps, too few for %d steps", text,
                           index + 1, count, size, steps);
        section(t, start, size, steps);
        start += size;
        if (!*p) break;
    }
    reverse(t);
    return UNCLIP_OK;
}

static unclip_status respaced(uc_timesteps *t, int train, const char *text, unclip_error *err) {
    if (strncmp(text, "ddim", 4) == 0) return strided(t, text, train, err);
    if (strcmp(text, "fast27") != 0) return sections(t, text, train, err);
    const unclip_status status = sections(t, "10,10,3,2,2", train, err);
    /* the last section's second step must stay below the moved one */
    if (!status && t->at[1] >= train - 3)
        return uc_fail(err, UNCLIP_ERR_ARGUMENT, "respacing \"fast27\" needs more than the model's %d timesteps",
                       train);
    if (!status) t->at[0] = train - 3;
    return status;
}

unclip_status uc_timesteps_new(uc_timesteps *timesteps, const uc_scheduler_config *config, const uc_schedule *schedule,
                               uc_grid grid, int steps, const char *respacing, unclip_error *err) {
    *timesteps = (uc_timesteps){ 0 };
    const unclip_status status = respacing ? respaced(timesteps, schedule->count, respacing, err)
                                           : spaced(timesteps, config, schedule, grid, steps, err);
    if (status) {
        free(timesteps->at);
        *timesteps = (uc_timesteps){ 0 };
    }
    return status;
}

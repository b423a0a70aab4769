/* callbacks.c - every public function that draws tells where it is, shows it, and stops when it is told to. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "roads.h"
#include "support/pictures.h"

enum { STEPS = 3, BATCH = 2 };

typedef struct watch {
    const road *road;
    int reports[UNCLIP_STAGE_COUNT], last[UNCLIP_STAGE_COUNT], previews[UNCLIP_STAGE_COUNT];
    size_t pictures;
    int stop_at; /* the report that returns non-zero; 0 = none */
    bool stop_at_picture;
} watch;

static int all_reports(const watch *w) {
    int sum = 0;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) sum += w->reports[s];
    return sum;
}

static int look(void *user, const unclip_progress *p) {
    watch *w = user;
    const char *name = w->road->name;
    cr_assert(p->stage >= w->road->first && p->stage <= UNCLIP_STAGE_SR256, "%s reports %s", name,
              unclip_stage_name(p->stage));
    cr_expect_eq(p->steps, STEPS, "%s: %d steps of %s", name, p->steps, unclip_stage_name(p->stage));
    cr_expect_eq(p->step, p->step ? w->last[p->stage] + 1 : 0, "%s: steps come one by one", name);
    cr_expect(p->image_count >= 1 && p->image_count <= BATCH && p->first_image == w->pictures, "%s: images %zu + %zu",
              name, p->first_image, p->image_count);
    w->last[p->stage] = p->step;
    w->reports[p->stage]++;
    if (p->preview) {
        cr_expect_eq(p->preview->width, p->stage == UNCLIP_STAGE_DECODER ? 16 : 64, "%s", name);
        cr_expect(p->preview->height == p->preview->width && p->preview->rgb && p->preview->index == p->first_image);
        w->previews[p->stage]++;
    }
    return w->stop_at && all_reports(w) == w->stop_at;
}

static int take(void *user, const unclip_image *image) {
    watch *w = user;
    cr_expect_eq(image->index, w->pictures++, "%s: pictures come in order", w->road->name);
    return w->stop_at_picture;
}

static unclip_generate_options watched(watch *w, const road *r) {
    static const char *const prompts[] = { "a red cube" };
    unclip_generate_options o;
    unclip_generate_options_init(&o);
    *w = (watch){ .road = r };
    o.prompts = prompts;
    o.prompt_count = 1;
    o.images_per_prompt = r->pictures;
    o.batch_size = BATCH;
    o.seed = 5;
    for (int s = 0; s < UNCLIP_STAGE_COUNT; s++) o.stage[s].steps = STEPS;
    o.preview_interval = 1;
    o.on_progress = look;
    o.on_image = take;
    o.user = w;
    return o;
}

typedef struct scene {
    unclip_engine *engine;
    unclip_pair pairs[2];
} scene;

static scene begin(void) {
    scene s = { .engine = open_engine(ROADS_MODEL) };
    unclip_invert_options o;
    unclip_error err = { 0 };
    size_t size = 0;
    uint8_t *png = read_file(ROADS_PICTURE, &size);
    unclip_invert_options_init(&o);
    o.steps = 3;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(unclip_invert(s.engine, png, size, &o, &s.pairs[i], &err), UNCLIP_OK, "%s", err.message);
    free(png);
    return s;
}

static void end(scene *s) {
    for (int i = 0; i < 2; i++) unclip_pair_free(&s->pairs[i]);
    unclip_engine_close(s->engine);
}

static int launches(const road *r) { return (int)(r->pictures + BATCH - 1) / BATCH; }

Test(tasks_callbacks, every_road_reports_each_step_and_shows_it) {
    scene s = begin();
    for (size_t i = 0; i < road_count; i++) {
        const road *r = &roads[i];
        unclip_error err = { 0 };
        watch w;
        const unclip_generate_options o = watched(&w, r);
        cr_assert_eq(r->draw(s.engine, s.pairs, &o, &err), UNCLIP_OK, "%s: %s", r->name, err.message);
        cr_expect_eq(w.pictures, r->pictures, "%s: %zu pictures", r->name, w.pictures);
        for (int stage = 0; stage <= UNCLIP_STAGE_SR256; stage++) {
            const bool runs = stage >= (int)r->first, drawn = runs && stage != UNCLIP_STAGE_PRIOR;
            cr_expect_eq(w.reports[stage], runs ? launches(r) * (STEPS + 1) : 0, "%s: %d reports of %s", r->name,
                         w.reports[stage], unclip_stage_name((unclip_stage)stage));
            cr_expect_eq(w.previews[stage], drawn ? launches(r) * STEPS : 0, "%s: %d previews of %s", r->name,
                         w.previews[stage], unclip_stage_name((unclip_stage)stage));
        }
    }
    end(&s);
}

Test(tasks_callbacks, every_road_stops_at_a_report_and_delivers_nothing) {
    scene s = begin();
    for (size_t i = 0; i < road_count; i++)
        for (int at = 1; at <= STEPS + 1; at++) { /* before the first step to after the last */
            const road *r = &roads[i];
            unclip_error err = { 0 };
            watch w;
            const unclip_generate_options o = watched(&w, r);
            w.stop_at = at;
            cr_expect_eq(r->draw(s.engine, s.pairs, &o, &err), UNCLIP_ERR_CANCELLED, "%s at report %d", r->name, at);
            cr_expect(strstr(err.message, "cancelled at step"), "%s: %s", r->name, err.message);
            cr_expect_eq(all_reports(&w), w.stop_at, "%s goes on after report %d", r->name, at);
            cr_expect_eq(w.pictures, 0, "%s delivers a picture after report %d", r->name, at);
        }
    end(&s);
}

Test(tasks_callbacks, every_road_stops_at_a_picture) {
    scene s = begin();
    for (size_t i = 0; i < road_count; i++) {
        const road *r = &roads[i];
        unclip_error err = { 0 };
        watch w;
        const unclip_generate_options o = watched(&w, r);
        w.stop_at_picture = true;
        cr_expect_eq(r->draw(s.engine, s.pairs, &o, &err), UNCLIP_ERR_CANCELLED, "%s", r->name);
        cr_expect(strstr(err.message, "cancelled after image 1 of"), "%s: %s", r->name, err.message);
        cr_expect_eq(w.pictures, 1, "%s goes on after the picture", r->name);
    }
    end(&s);
}

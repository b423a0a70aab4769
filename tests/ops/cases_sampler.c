/* cases_sampler.c - one step of a sampler: of diffusion, and of the autoregressive prior; and the bytes of what comes out. */
#include "case_list.h"

#include <math.h>
#include <stdio.h>

void cases_noise_step(case_list *l) {
    static const struct {
        uc_shape x;
        uc_prediction kind;
        bool guided, learned, given, add_noise;
        float clip, c_old, threshold, threshold_max; /* threshold 0: not dynamic */
    } shapes[] = {
        { { 2, { 1, 1 } }, UC_PREDICT_SAMPLE, false, false, false, true, 5, 0, 0, 0 },
        { { 2, { 3, 129 } }, UC_PREDICT_SAMPLE, true, false, false, true, 5, 0, 0, 0 },
        { { 4, { 2, 3, 16, 16 } }, UC_PREDICT_EPSILON, true, true, false, true, 1, 0, 0, 0 },
        { { 4, { 3, 3, 9, 7 } }, UC_PREDICT_EPSILON, true, true, true, true, 1, 0, 0, 0 },
        { { 4, { 1, 3, 33, 31 } }, UC_PREDICT_EPSILON, false, false, false, false, 1, 0, 0, 0 },
        { { 4, { 2, 3, 8, 8 } }, UC_PREDICT_V, false, true, false, true, 0, 0.25f, 0, 0 },
        { { 4, { 1, 3, 64, 64 } }, UC_PREDICT_SAMPLE, false, false, false, true, 1, -0.5f, 0, 0 },
        { { 2, { 2, 768 } }, UC_PREDICT_EPSILON, true, false, true, false, 0, 0, 0, 0 },
        { { 2, { 1, 1 } }, UC_PREDICT_EPSILON, false, false, false, false, 1, 0, 0.5f, 100 },
        { { 4, { 3, 3, 16, 16 } }, UC_PREDICT_EPSILON, true, true, false, true, 1, 0, 0.995f, INFINITY },
        { { 4, { 2, 3, 9, 7 } }, UC_PREDICT_V, false, false, false, true, 1, -0.5f, 0.9f, 1.5f },
        { { 4, { 2, 3, 8, 8 } }, UC_PREDICT_SAMPLE, true, false, true, true, 0, 0.25f, 1, INFINITY },
        { { 4, { 1, 3, 112, 104 } }, UC_PREDICT_EPSILON, false, true, false, true, 1, 0, 0.95f, INFINITY },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue;
            const uc_shape x = shapes[i].x;
            op_case c = blank(UC_OP_noise_step, &all_types[t], UC_PLAIN);
            char text[UC_SHAPE_TEXT];
            c.attrs.noise_step = (uc_noise_attrs){ .prediction = shapes[i].kind,
                                                   .guided = shapes[i].guided,
                                                   .learned_variance = shapes[i].learned,
                                                   .threshold = shapes[i].threshold > 0 };
            c.in[UC_NOISE_X] = c.in[UC_NOISE_X0] = c.out[0] = c.out[1] = x;
            c.in[UC_NOISE_PREDICTION] = x;
            c.in[UC_NOISE_PREDICTION].dim[0] *= shapes[i].guided ? 2 : 1;
            c.in[UC_NOISE_PREDICTION].dim[1] *= shapes[i].learned ? 2 : 1;
            c.in[UC_NOISE_SEEDS] = UC_SHAPE1(x.dim[0]);
            if (shapes[i].given) c.in[UC_NOISE_NOISE] = x;
            c.in_type[UC_NOISE_X] = c.in_type[UC_NOISE_X0] = c.in_type[UC_NOISE_NOISE] = c.out_type = UC_F32;
            c.in_type[UC_NOISE_SEEDS] = UC_I64;
            c.batched = 0x1F;
            c.step = (uc_step){ .index = 3,
                                .stage = 2,
                                .noise_index = 4,
                                .add_noise = shapes[i].add_noise,
                                .guidance = 4,
                                .sqrt_alpha_bar = 0.6f,
                                .sqrt_beta_bar = 0.8f,
                                .clip = shapes[i].clip,
                                .threshold = shapes[i].threshold,
                                .threshold_max = shapes[i].threshold_max,
                                .c_x0 = 0.7f,
                                .c_x = 0.3f,
                                .c_pred = shapes[i].clip > 0 ? 0 : 0.1f,
                                .c_old = shapes[i].c_old,
                                .sigma = 0.2f,
                                .log_min = -4,
                                .log_max = -2 };
            snprintf(c.name, sizeof c.name, "%s %s kind%d%s%s%s%s%s", all_types[t].name, uc_shape_text(x, text),
                     (int)shapes[i].kind, shapes[i].guided ? " guided" : "", shapes[i].learned ? " learned" : "",
                     shapes[i].given ? " given noise" : "", shapes[i].add_noise ? "" : " last",
                     shapes[i].threshold > 0 ? " threshold" : "");
            add_case(l, &c);
        }
}

void cases_sample_token(case_list *l) {
    static const struct {
        int batch, count;
        bool guided;
        float temperature;
    } shapes[] = { { 1, 1, false, 1 },  { 2, 5, false, 1 },     { 3, 128, true, 1 },
                   { 2, 131, true, 0 }, { 5, 1024, false, 0.7f }, { 3, 515, true, 2 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < ALL_TYPES; t++) {
            if (all_types[t].type != all_types[t].weight) continue;
            op_case c = blank(UC_OP_sample_token, &all_types[t], UC_PLAIN);
            c.attrs.sample_token.guided = shapes[i].guided;
            c.in[UC_SAMPLE_SEEDS] = UC_SHAPE1(shapes[i].batch);
            c.in_type[UC_SAMPLE_SEEDS] = UC_I64;
            c.in[UC_SAMPLE_LOGITS] = UC_SHAPE2(shapes[i].batch * (shapes[i].guided ? 2 : 1), shapes[i].count);
            c.out[0] = UC_SHAPE2(shapes[i].batch, 1);
            c.out_type = UC_I32;
            c.batched = 3;
            c.step = (uc_step){ .stage = 1, .noise_index = 5, .guidance = 3, .temperature = shapes[i].temperature };
            snprintf(c.name, sizeof c.name, "%s %dx%d%s temperature %g", all_types[t].name, shapes[i].batch,
                     shapes[i].count, shapes[i].guided ? " guided" : "", (double)shapes[i].temperature);
            add_case(l, &c);
        }
}

void cases_to_bytes(case_list *l) {
    static const struct { int n, h, w; fill fill; } shapes[] = {
        { 1, 1, 1, FILL_NORMAL },  { 2, 5, 7, FILL_PEAKS }, { 3, 16, 16, FILL_NORMAL },
        { 2, 37, 26, FILL_PEAKS }, { 1, 64, 64, FILL_FAR }, { 1, 128, 96, FILL_PEAKS },
        { 2, 7, 9, FILL_BROKEN },  { 2, 12, 8, FILL_BROKEN },
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        op_case c = blank(UC_OP_to_bytes, &all_types[0], UC_PLAIN);
        c.in[0] = UC_SHAPE4(shapes[i].n, 3, shapes[i].h, shapes[i].w);
        c.out[0] = UC_SHAPE3(shapes[i].n, shapes[i].h * shapes[i].w, 4);
        c.out_type = UC_U8;
        c.fill = shapes[i].fill;
        c.batched = 1;
        snprintf(c.name, sizeof c.name, "n%d %dx%d%s", shapes[i].n, shapes[i].h, shapes[i].w,
                 (const char *const[]){ "", " far", "", " peaks", " broken" }[shapes[i].fill]);
        add_case(l, &c);
    }
}

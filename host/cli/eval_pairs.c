/* eval_pairs.c - how well pictures survive becoming pairs: inverted, drawn again without noise, and compared. One JSON
 * object. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "caption_pairs.h"
#include "commands.h"
#include "eval.h"
#include "model.h"
#include "pairs.h"
#include "settings.h"
#include "signals.h"
#include "text.h"

/* What adds up over pictures. */
typedef struct sums {
    double psnr, psnr_squares, least_psnr, cosine, least_cosine;
    size_t count;
} sums;

static void add(sums *s, const unclip_reconstruction *r) {
    s->least_psnr = s->count ? fmin(s->least_psnr, r->psnr) : r->psnr;
    s->least_cosine = s->count ? fmin(s->least_cosine, r->cosine) : r->cosine;
    s->psnr += r->psnr;
    s->psnr_squares += r->psnr * r->psnr;
    s->cosine += r->cosine;
    s->count++;
}

static int measure(unclip_engine *engine, const char *path, const unclip_invert_options *invert,
                   const unclip_generate_options *base, unclip_reconstruction *r, cli_error *err) {
    char *png = NULL;
    size_t size = 0;
    if (cli_is_pair_file(path))
        return cli_fail(err, CLI_DATA, "%s: a pair keeps no picture that its reconstruction could be held against", path);
    const int code = cli_read_file(path, CLI_LARGEST_PNG, &png, &size, err);
    if (code) return code;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_eval_reconstruction(engine, (const uint8_t *)png, size, invert, base, r,
                                                            &error);
    free(png);
    if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
    return status ? cli_fail(err, cli_exit_code(status), "%s: %s", path, error.message) : CLI_OK;
}

static json_t *picture_json(const char *path, const unclip_reconstruction *r) {
    json_t *out = json_object();
    json_object_set_new(out, "image", json_string(path)); /* left out when the name is not UTF-8 */
    json_object_set_new(out, "psnr", json_real(r->psnr));
    json_object_set_new(out, "cosine", json_real(r->cosine));
    return out;
}

static int print_results(const sums *s, const unclip_invert_options *invert, int size, json_t *pictures,
                         cli_error *err) {
    const double n = (double)s->count, mean = s->psnr / n;
    json_t *root = json_object();
    json_object_set_new(root, "pairs", json_integer((json_int_t)s->count));
    json_object_set_new(root, "size", json_integer(size));
    json_object_set_new(root, "invert_steps", json_integer(invert->steps));
    json_object_set_new(root, "invert_refinements", json_integer(invert->refinements));
    json_object_set_new(root, "psnr", json_real(mean));
    json_object_set_new(root, "psnr_deviation", json_real(sqrt(fmax(0, s->psnr_squares / n - mean * mean))));
    json_object_set_new(root, "psnr_least", json_real(s->least_psnr));
    json_object_set_new(root, "cosine", json_real(s->cosine / n));
    json_object_set_new(root, "cosine_least", json_real(s->least_cosine));
    json_object_set(root, "pictures", pictures);
    return cli_eval_print(root, err);
}

static int measure_all(unclip_engine *engine, const cli_caption_pairs *pairs, const cli_args *args,
                       const unclip_generate_options *base, cli_error *err) {
    unclip_invert_options invert = cli_inversion(args);
    invert.on_progress = cli_eval_progress;
    unclip_reconstruction r = { .struct_size = sizeof r };
    json_t *pictures = json_array();
    sums s = { 0 };
    int code = CLI_OK;
    for (size_t i = 0; i < pairs->count && !code; i++) {
        if (cli_signal_received()) code = cli_fail(err, 128 + cli_signal_received(), "interrupted");
        if (!code) code = measure(engine, pairs->images[i], &invert, base, &r, err);
        if (code) break;
        add(&s, &r);
        json_array_append_new(pictures, picture_json(pairs->images[i], &r));
    }
    if (!code) code = print_results(&s, &invert, r.size, pictures, err);
    json_decref(pictures);
    return code;
}

int cli_eval_pairs(const cli_args *args, cli_log *log, cli_error *err) {
    const char *list = args->flag[CLI_FLAG_PAIRS].text;
    cli_caption_pairs pairs = { 0 };
    unclip_engine *engine = NULL;
    unclip_generate_options base;
    int code = list ? cli_settings_fill(&base, args, NULL, err)
                    : cli_fail(err, CLI_USAGE, "eval pairs: give captions and pictures by --pairs FILE");
    if (!code) code = cli_caption_pairs_read(&pairs, list, err);
    if (!code) code = cli_open_engine(&engine, args, UNCLIP_TYPE_AUTO, log, err);
    if (!code) code = measure_all(engine, &pairs, args, &base, err);
    unclip_engine_close(engine);
    cli_caption_pairs_free(&pairs);
    return code;
}

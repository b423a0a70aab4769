/* pairs.c - see pairs.h. */
#include "pairs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "model.h"
#include "settings.h"
#include "signals.h"
#include "text.h"
#include "unused.h"

bool cli_is_pair_file(const char *path) {
    static const char ending[] = ".safetensors";
    const size_t length = strlen(path), tail = sizeof ending - 1;
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

int cli_parse_counts(const char *flag, const char *text, long least, long most, int **list, size_t *count,
                     cli_error *err) {
    size_t items = 1;
    for (const char *c = text; *c; c++) items += *c == ',';
    *count = 0;
    *list = malloc(items * sizeof **list);
    if (!*list) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    for (const char *at = text;; at++) {
        char *end = NULL;
        errno = 0;
        const long n = strtol(at, &end, 10);
        if (end == at || *at == ' ' || *at == '+' || *at == '-' || (*end && *end != ',') || errno || n < least ||
            n > most) {
            free(*list);
            *list = NULL;
            return cli_fail(err, CLI_USAGE, "%s: \"%.80s\" is not a list of whole numbers from %ld to %ld such as 5,10",
                            flag, text, least, most);
        }
        (*list)[(*count)++] = (int)n;
        at = end;
        if (!*at) return CLI_OK;
    }
}

/* ---- before the model -------------------------------------------------------------------------------------------- */

static int check_inputs(const cli_list *images, cli_error *err) {
    for (size_t i = 0; i < images->count; i++) {
        FILE *file = strcmp(images->items[i], "-") == 0 ? NULL : fopen(images->items[i], "rb");
        if (!file && strcmp(images->items[i], "-") != 0)
            return cli_fail(err, CLI_NO_INPUT, "%s: %s", images->items[i], strerror(errno));
        if (file) fclose(file);
    }
    return CLI_OK;
}

int cli_pairs_begin(cli_pairs *p, size_t least, size_t most, size_t pictures, cli_error *err) {
    const cli_args *args = p->drawing.args;
    const cli_list *images = &args->flag[CLI_FLAG_INIT_IMG].list;
    const char *name = cli_command_name(args->command);
    if (images->count < least || images->count > most) {
        if (most == 1)
            return cli_fail(err, CLI_USAGE, "%s takes one picture or pair file, not %zu: unclip-cuda %s IMAGE", name,
                            images->count, name);
        return cli_fail(err, CLI_USAGE, "%s takes %zu to %zu pictures or pair files, not %zu", name, least, most,
                        images->count);
    }
    int code = cli_settings_fill(&p->base, args, NULL, err);
    if (!code) code = cli_prompts_gather(&p->prompts, args, err);
    if (!code && p->prompts.count > 1)
        code = cli_fail(err, CLI_USAGE, "%s takes one caption for the decoder, not %zu", name, p->prompts.count);
    if (!code) code = check_inputs(images, err);
    const cli_value *keep = &args->flag[CLI_FLAG_KEEP_PAIR];
    p->estimating = args->flag[CLI_FLAG_ESTIMATE].on;
    if (!code && p->estimating && keep->given)
        code = cli_fail(err, CLI_USAGE, "--estimate makes no pair that --keep-pair could write; give one of them");
    if (!code && !p->estimating) code = cli_drawing_begin(&p->drawing, pictures, err);
    if (!code && keep->given) code = cli_check_writable(keep->text, err);
    if (code) return code;
    if (p->estimating) p->base.estimate = &p->launch;
    p->base.prompts = p->prompts.items;
    p->base.prompt_count = p->prompts.count;
    p->base.on_progress = cli_drawing_progress;
    p->base.on_image = cli_drawing_image;
    p->base.user = &p->drawing;
    return CLI_OK;
}

/* ---- pictures -> pairs ------------------------------------------------------------------------------------------- */

static unclip_invert_options inversion(const cli_pairs *p, bool embed_only) {
    unclip_invert_options o = cli_inversion(p->drawing.args);
    if (p->prompts.count) o.prompt = p->prompts.items[0];
    o.embed_only = embed_only;
    o.on_progress = p->base.on_progress;
    o.user = p->base.user;
    return o;
}

static int fail_input(cli_pairs *p, const char *path, unclip_status status, const unclip_error *error, cli_error *err) {
    if (status == UNCLIP_ERR_IMAGE) return cli_fail(err, CLI_DATA, "%s: %s", path, error->message);
    return cli_drawing_end(&p->drawing, status, error, err);
}

static void add_inversion(unclip_estimate *all, const unclip_estimate *one) {
    const unclip_estimate before = *all;
    *all = *one;
    all->image.flops += before.image.flops;
    all->text.flops += before.text.flops;
    all->stage[UNCLIP_STAGE_DECODER].flops += before.stage[UNCLIP_STAGE_DECODER].flops;
}

static int read_pair(cli_pairs *p, const char *path, bool embed_only, unclip_pair *pair, cli_error *err) {
    unclip_error error = { .status = UNCLIP_OK };
    if (cli_is_pair_file(path)) {
        const unclip_status status = unclip_pair_load(pair, path, &error);
        return status ? cli_fail_status(err, status, &error) : CLI_OK;
    }
    char *png = NULL;
    size_t size = 0;
    const int code = cli_read_file(path, CLI_LARGEST_PNG, &png, &size, err);
    if (code) return code;
    unclip_estimate estimate = { .struct_size = sizeof estimate };
    unclip_invert_options o = inversion(p, embed_only);
    if (p->estimating) o.estimate = &estimate;
    const unclip_status status = unclip_invert(p->engine, (const uint8_t *)png, size, &o, pair, &error);
    free(png);
    if (p->estimating) add_inversion(&p->inversion, &estimate);
    return status ? fail_input(p, path, status, &error, err) : CLI_OK;
}

int cli_pairs_open(cli_pairs *p, bool embed_only, cli_error *err) {
    const cli_args *args = p->drawing.args;
    const cli_list *images = &args->flag[CLI_FLAG_INIT_IMG].list;
    const cli_value *keep = &args->flag[CLI_FLAG_KEEP_PAIR];
    bool inverts = false;
    for (size_t i = 0; i < images->count; i++) inverts = inverts || (!embed_only && !cli_is_pair_file(images->items[i]));
    int code = cli_refuse_unused_inversion(args, inverts, err);
    if (code) return code;
    p->pairs = calloc(images->count, sizeof *p->pairs);
    if (!p->pairs) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    code = cli_open_engine(&p->engine, args, UNCLIP_TYPE_AUTO, p->drawing.log, err);
    if (!code && !p->estimating) cli_say(p->drawing.log, CLI_NOTICE, "seed: %" PRIu64, p->base.seed);
    for (size_t i = 0; !code && i < images->count; i++) {
        if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
        code = read_pair(p, images->items[i], embed_only, &p->pairs[i], err);
        p->count += !code;
    }
    if (code || !keep->given) return code;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_pair_save(&p->pairs[0], keep->text, &error);
    return status ? cli_fail_status(err, status, &error) : CLI_OK;
}

int cli_pairs_end(cli_pairs *p, unclip_status status, const unclip_error *error, cli_error *err) {
    if (status || !p->estimating) return cli_drawing_end(&p->drawing, status, error, err);
    return cli_print_estimate(&p->inversion, &p->launch, err);
}

void cli_pairs_free(cli_pairs *p) {
    for (size_t i = 0; i < p->count; i++) unclip_pair_free(&p->pairs[i]);
    free(p->pairs);
    unclip_engine_close(p->engine);
    cli_prompts_free(&p->prompts);
    cli_drawing_free(&p->drawing);
}

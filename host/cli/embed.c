/* embed.c - only the second arrow: a text or a picture and its place in CLIP's joint space, one JSON object a line; or
 * what lies near a picture there. */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "embedding_file.h"
#include "labels.h"
#include "model.h"
#include "prompts.h"
#include "signals.h"
#include "text.h"

/* %.9g is enough for a float to be read back as itself. */
static int print_line(const char *kind, const char *name, const unclip_embedding *embedding, cli_error *err) {
    printf("{\"%s\": ", kind);
    cli_write_json_string(stdout, name);
    if (embedding->tokens) {
        fputs(", \"tokens\": [", stdout);
        for (size_t i = 0; i < embedding->token_count; i++) printf(i ? ", %d" : "%d", embedding->tokens[i]);
        fputs("]", stdout);
    }
    fputs(", \"embedding\": [", stdout);
    for (size_t i = 0; i < embedding->dim; i++) printf(i ? ", %.9g" : "%.9g", (double)embedding->values[i]);
    fputs("]}\n", stdout);
    return cli_flush_results(err);
}

static int embed_text(unclip_engine *engine, const char *text, cli_log *log, cli_error *err) {
    unclip_embedding embedding = { .struct_size = sizeof embedding };
    unclip_error error = { .status = UNCLIP_OK };
    unclip_status status = unclip_embed_text(engine, text, &embedding, &error);
    if (!status && embedding.truncated) {
        cli_say(log, CLI_WARNING, "the text is longer than the model's %zu tokens: its end is not seen",
                embedding.token_count);
    }
    int code = status ? cli_fail_status(err, status, &error) : print_line("text", text, &embedding, err);
    unclip_embedding_free(&embedding);
    return code;
}

static int embed_image(unclip_engine *engine, const char *path, cli_error *err) {
    unclip_embedding embedding = { .struct_size = sizeof embedding };
    int code = cli_embedding_of_picture(engine, path, &embedding.values, &embedding.dim, err);
    if (!code) code = print_line("image", path, &embedding, err);
    free(embedding.values);
    return code;
}

static int print_labels(const char *path, double logit_scale, const cli_labels *labels, cli_error *err) {
    fputs("{\"image\": ", stdout);
    cli_write_json_string(stdout, path);
    printf(", \"logit_scale\": %.9g, \"labels\": [", logit_scale);
    for (size_t i = 0; i < labels->count; i++) {
        fputs(i ? ", {\"label\": " : "{\"label\": ", stdout);
        cli_write_json_string(stdout, labels->items[i].text);
        printf(", \"probability\": %.9g, \"cosine\": %.9g}", labels->items[i].probability, labels->items[i].cosine);
    }
    fputs("]}\n", stdout);
    return cli_flush_results(err);
}

static int classify_image(unclip_engine *engine, const char *path, const cli_labels *labels, cli_error *err) {
    float *values = NULL;
    size_t dim = 0;
    double scale = 0;
    const int code = cli_embedding_of_picture(engine, path, &values, &dim, err);
    if (code) return code;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_classify_embedding(engine, values, dim, labels->items, labels->count, &scale,
                                                           &error);
    free(values);
    if (status) return cli_fail(err, cli_exit_code(status), "%s: %s", path, error.message);
    return print_labels(path, scale, labels, err);
}

static int embed_all(unclip_engine *engine, const cli_prompts *prompts, const cli_list *images,
                     const cli_labels *labels, cli_log *log, cli_error *err) {
    int code = CLI_OK;
    for (size_t i = 0; !code && i < prompts->count + images->count; i++) {
        if (cli_signal_received()) return cli_fail(err, 128 + cli_signal_received(), "interrupted");
        if (i < prompts->count) code = embed_text(engine, prompts->items[i], log, err);
        else if (labels->count) code = classify_image(engine, images->items[i - prompts->count], labels, err);
        else code = embed_image(engine, images->items[i - prompts->count], err);
    }
    return code;
}

int cli_embed(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_list *images = &args->flag[CLI_FLAG_INIT_IMG].list;
    cli_prompts prompts;
    cli_labels labels = { 0 };
    int code = cli_prompts_gather(&prompts, args, err);
    if (code) return code;
    if (args->flag[CLI_FLAG_LABELS].given) code = cli_labels_split(&labels, &args->flag[CLI_FLAG_LABELS].list, err);
    if (!code && labels.count && (prompts.count || !images->count)) {
        code = cli_fail(err, CLI_USAGE, "--labels are held against pictures: give one with -i, and no text");
    }
    unclip_engine *engine = NULL;
    if (!code && prompts.count + images->count == 0) {
        code = cli_fail(err, CLI_USAGE, "nothing to embed: give a text (-p, -f) or a picture (-i)");
    }
    if (!code) code = cli_open_engine(&engine, args, UNCLIP_TYPE_AUTO, log, err);
    if (!code) code = embed_all(engine, &prompts, images, &labels, log, err);
    unclip_engine_close(engine);
    cli_labels_free(&labels);
    cli_prompts_free(&prompts);
    return code;
}

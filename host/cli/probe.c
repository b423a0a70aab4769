/* probe.c - a picture in, what its first principal components alone say of it out; and the fit of those components. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "embedding_file.h"
#include "model.h"
#include "pairs.h"
#include "signals.h"
#include "text.h"

enum { MOST_COMPONENTS = 8192, PAPERS_PICTURES = 8, LARGEST_TEXT = 1 << 30 };

/* Without a list the library decides, which may leave some of the paper's out: names are planned for all of them. */
static int draw_probe(cli_pairs *p, unclip_probe_options *options, cli_error *err) {
    int code = cli_pairs_begin(p, 1, 1, options->components ? options->component_count : PAPERS_PICTURES, err);
    if (!code) code = cli_pairs_open(p, true, err);
    if (code) return code;
    unclip_error error = { .status = UNCLIP_OK };
    const unclip_status status = unclip_probe(p->engine, &p->pairs[0], &p->base, options, &error);
    return cli_pairs_end(p, status, &error, err);
}

int cli_probe(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_value *flag = args->flag;
    cli_pairs p = { .drawing = { .args = args, .log = log, .err = err } };
    unclip_probe_options options;
    unclip_probe_options_init(&options);
    int *components = NULL, code = CLI_OK;
    if (flag[CLI_FLAG_COMPONENTS].given)
        code = cli_parse_counts("--components", flag[CLI_FLAG_COMPONENTS].text, 0, MOST_COMPONENTS, &components,
                                &options.component_count, err);
    options.components = components;
    if (flag[CLI_FLAG_PCA].given) options.pca_file = flag[CLI_FLAG_PCA].text;
    if (!code) code = draw_probe(&p, &options, err);
    cli_pairs_free(&p);
    free(components);
    return code;
}

/* ---- fit-pca ----------------------------------------------------------------------------------------------------- */

typedef struct table {
    float *values; /* [count, dim] */
    size_t count, dim;
} table;

static int add_row(table *t, const float *values, size_t dim, const char *name, cli_error *err) {
    if (t->count && dim != t->dim)
        return cli_fail(err, CLI_DATA, "%s: an embedding of %zu numbers after some of %zu", name, dim, t->dim);
    t->dim = dim;
    float *grown = realloc(t->values, (t->count + 1) * dim * sizeof *grown);
    if (!grown) return cli_fail(err, CLI_TRY_AGAIN, "out of memory");
    t->values = grown;
    memcpy(grown + t->count++ * dim, values, dim * sizeof *grown);
    return CLI_OK;
}

static int add_picture(table *t, unclip_engine *engine, const char *path, cli_error *err) {
    float *values = NULL;
    size_t dim = 0;
    int code = cli_embedding_of_picture(engine, path, &values, &dim, err);
    if (!code) code = add_row(t, values, dim, path, err);
    free(values);
    return code;
}

/* One line of what `embed` prints. */
static int add_line(table *t, const char *line, size_t length, const char *path, cli_error *err) {
    float *values = NULL;
    size_t dim = 0;
    int code = cli_embedding_parse(line, length, path, &values, &dim, err);
    if (code) return code;
    code = add_row(t, values, dim, path, err);
    free(values);
    return code;
}

static int add_lines(table *t, const char *path, cli_error *err) {
    char *text = NULL;
    size_t size = 0;
    int code = cli_read_file(path, LARGEST_TEXT, &text, &size, err);
    if (code) return code;
    for (const char *at = text; !code && *at;) {
        const size_t span = strcspn(at, "\n");
        if (span) code = add_line(t, at, span, path, err);
        at += span + (at[span] == '\n');
    }
    free(text);
    return code;
}

static bool ends_with(const char *path, const char *ending) {
    const size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

static int add_input(table *t, unclip_engine **engine, const char *path, const cli_args *args, cli_log *log,
                     cli_error *err) {
    if (ends_with(path, ".jsonl") || ends_with(path, ".json")) return add_lines(t, path, err);
    const bool opens = !*engine && !cli_is_pair_file(path);
    const int code = opens ? cli_open_engine(engine, args, UNCLIP_TYPE_AUTO, log, err) : CLI_OK;
    return code ? code : add_picture(t, *engine, path, err);
}

int cli_fit_pca(const cli_args *args, cli_log *log, cli_error *err) {
    const cli_value *flag = args->flag;
    const cli_list *inputs = &flag[CLI_FLAG_INIT_IMG].list;
    const char *output = flag[CLI_FLAG_OUTPUT].given ? flag[CLI_FLAG_OUTPUT].text : "pca.safetensors";
    unclip_engine *engine = NULL;
    table t = { 0 };
    int *components = NULL, code = CLI_OK;
    size_t lists = 0;
    if (!inputs->count) return cli_fail(err, CLI_USAGE, "nothing to fit: give pictures, pairs or embed's JSON lines");
    if (flag[CLI_FLAG_COMPONENTS].given)
        code = cli_parse_counts("--components", flag[CLI_FLAG_COMPONENTS].text, 1, MOST_COMPONENTS, &components, &lists,
                                err);
    if (!code && lists > 1) code = cli_fail(err, CLI_USAGE, "--components: fit-pca takes one number");
    if (!code) code = cli_check_writable(output, err);
    for (size_t i = 0; !code && i < inputs->count; i++) {
        if (cli_signal_received()) code = cli_fail(err, 128 + cli_signal_received(), "interrupted");
        else code = add_input(&t, &engine, inputs->items[i], args, log, err);
    }
    if (!code) {
        unclip_error error = { .status = UNCLIP_OK };
        const unclip_status status =
            unclip_pca_fit(t.values, t.count, t.dim, components ? (size_t)components[0] : 0, output, &error);
        if (status) code = cli_fail_status(err, status, &error);
    }
    if (!code) {
        printf("%s\n", output);
        code = cli_flush_results(err);
    }
    free(components);
    free(t.values);
    unclip_engine_close(engine);
    return code;
}

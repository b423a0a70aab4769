/* pairs.h - what the subcommands that draw pictures from pictures do alike: pictures and pair files in, pairs out,
 * then the drawing. Between the first arrow and drawing.h.
 *
 *   cli_pairs p = { .drawing = { .args = args, .log = log, .err = err } };
 *   code = cli_pairs_begin(&p, least, most, pictures, err);        // before the model is opened
 *   if (!code) code = cli_pairs_open(&p, embed_only, err);         // model opened, pictures inverted
 *   if (!code) status = unclip_...(p.engine, p.pairs, &p.base, &options, &error);
 *   if (!code) code = cli_pairs_end(&p, status, &error, err);
 *   cli_pairs_free(&p);                                            // always */
#ifndef CLI_PAIRS_H
#define CLI_PAIRS_H

#include "drawing.h"
#include "prompts.h"

typedef struct cli_pairs {
    cli_drawing drawing;
    unclip_generate_options base;
    cli_prompts prompts;
    unclip_engine *engine;
    unclip_pair *pairs; /* one for each picture, in order */
    size_t count;
    bool estimating;    /* --estimate: the same calls, of which none runs the model */
    unclip_estimate inversion, launch; /* inversion: FLOP of all pictures that are not pairs yet */
} cli_pairs;

/* Reads the flags that these subcommands share and refuses what can be refused: other than least to most inputs,
 * more than one caption, files that cannot be read or written. pictures: how many will be drawn. */
int cli_pairs_begin(cli_pairs *pairs, size_t least, size_t most, size_t pictures, cli_error *err);

/* Opens the model and turns every input into a pair: by inversion, or without the noise when embed_only. Says the
 * seed, and writes --keep-pair. */
int cli_pairs_open(cli_pairs *pairs, bool embed_only, cli_error *err);

/* cli_drawing_end, or the table of --estimate. */
int cli_pairs_end(cli_pairs *pairs, unclip_status status, const unclip_error *error, cli_error *err);
void cli_pairs_free(cli_pairs *pairs);

/* Is this the name of a pair file? Everything else is a picture. */
bool cli_is_pair_file(const char *path);

/* "20,30,40": whole numbers from least to most, for --components. *list is to be freed. */
int cli_parse_counts(const char *flag, const char *text, long least, long most, int **list, size_t *count,
                     cli_error *err);

#endif

/* caption_pairs.h - captions and their pictures, for eval: read from a list. */
#ifndef CLI_CAPTION_PAIRS_H
#define CLI_CAPTION_PAIRS_H

#include <stddef.h>

#include "exit.h"

typedef struct cli_caption_pairs {
    char **captions, **images; /* [count] */
    size_t count;
} cli_caption_pairs;

/* One pair a line: a JSON object with "caption" and "image", or caption, tab, path of a PNG. A path that is not
 * absolute begins at the list's own folder. Empty lines are left out. A wrong line is CLI_DATA and named by its
 * number. */
int cli_caption_pairs_read(cli_caption_pairs *pairs, const char *path, cli_error *err);
void cli_caption_pairs_free(cli_caption_pairs *pairs);

#endif

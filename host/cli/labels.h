/* labels.h - the texts of --labels, for embed. */
#ifndef CLI_LABELS_H
#define CLI_LABELS_H

#include "args.h"

typedef struct cli_labels {
    unclip_label *items; /* their texts are allocations */
    size_t count;
} cli_labels;

/* One --labels is split at its commas, spaces around a label left out; of several each is one label as it stands. An
 * empty label is CLI_USAGE. */
int cli_labels_split(cli_labels *labels, const cli_list *given, cli_error *err);
void cli_labels_free(cli_labels *labels);

#endif

/* prompts.h - the texts of a run, gathered from -p, operands, files and standard input. */
#ifndef CLI_PROMPTS_H
#define CLI_PROMPTS_H

#include "args.h"

typedef struct cli_prompts {
    const char **items; /* each is its own allocation */
    size_t count;
} cli_prompts;

/* -p and operands in their order, "-" being the whole of standard input; then the lines of the files, empty lines left
 * out. An empty -p "" is a prompt: it draws without a condition. */
int cli_prompts_gather(cli_prompts *prompts, const cli_args *args, cli_error *err);
void cli_prompts_free(cli_prompts *prompts);

/* Copies one prompt of `length` bytes. */
int cli_prompts_add(cli_prompts *prompts, const char *text, size_t length, cli_error *err);

/* The lines of a text that may end in \n or \r\n. */
int cli_prompts_add_lines(cli_prompts *prompts, const char *text, cli_error *err);

#endif

/* help.h - texts generated from the table of flags: help and shell completions. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "args.h"

void cli_print_help(FILE *stream, int command, bool with_commands);

/* shell: "bash", "zsh" or "fish" */
void cli_print_completion(FILE *stream, const char *shell);

#endif

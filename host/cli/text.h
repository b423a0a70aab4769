/* text.h - text that grows, JSON strings, and whole files in memory: what several subcommands need. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "exit.h"

enum { CLI_LARGEST_PNG = 256 << 20 };

/* Reads a file, or standard input when path is "-", up to limit bytes. *data is zero-terminated beyond *size and is to
 * be freed. A missing file is CLI_NO_INPUT, one that is too large CLI_DATA. */
int cli_read_file(const char *path, size_t limit, char **data, size_t *size, cli_error *err);

/* Writes a whole file or none: through a temporary one beside it that is forced to the disk and renamed. Pipes and
 * devices, which cannot be replaced, are written straight. */
int cli_write_file(const char *path, const char *data, size_t size, cli_error *err);

/* Writes text as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that the line stays JSON. */
void cli_write_json_string(FILE *stream, const char *text);

/* Flushes standard output: results that did not get out are a failure. */
int cli_flush_results(cli_error *err);

#endif

/* embedding_file.h - an image embedding that the user already has, as a file: enters the flow behind the prior. */
#ifndef CLI_EMBEDDING_FILE_H
#define CLI_EMBEDDING_FILE_H

#include <stddef.h>

#include "exit.h"

/* Reads the JSON object that `embed` prints on a line. name says in messages where the text is from. *values is to be
 * freed. CLI_DATA when it is something else. */
int cli_embedding_parse(const char *text, size_t size, const char *name, float **values, size_t *dim, cli_error *err);

/* Reads one embedding: a line that `embed` printed (a JSON object with "embedding"), or a pair's file
 * (unclip_pair_save), of which the embedding is taken. path: - is standard input, for JSON. *values is to be freed.
 * CLI_NO_INPUT when there is no such file, CLI_DATA when it is something else. */
int cli_embedding_load(const char *path, float **values, size_t *dim, cli_error *err);

/* The embedding of a picture: the image encoder's of a PNG file (- is standard input), or that which a pair's file keeps.
 * engine is not used, and may be NULL, for a pair. *values is to be freed. */
int cli_embedding_of_picture(unclip_engine *engine, const char *path, float **values, size_t *dim, cli_error *err);

#endif

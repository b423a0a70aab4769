/* file.h - opening and reading the files of a model directory: regular files only, sizes known, clear messages. */
#ifndef UC_WEIGHTS_FILE_H
#define UC_WEIGHTS_FILE_H

#include "../engine/core/error.h"

/* "DIR/NAME" in memory of its own, or NULL when there is none. */
char *uc_path_join(const char *dir, const char *name);

/* Whether a regular file (a directory) is there; links are followed. */
int uc_file_exists(const char *path);
int uc_directory_exists(const char *path);

/* Opens for reading without ever blocking (a named pipe is refused, as everything that is not a regular file). */
unclip_status uc_file_open(const char *path, int *descriptor, uint64_t *size, unclip_error *err);

/* Exactly size bytes from offset, or an error: a file that became shorter since it was measured says so. */
unclip_status uc_file_read_at(int descriptor, const char *path, uint64_t offset, void *out, size_t size,
                              unclip_error *err);

/* The whole file plus a zero byte, at most limit bytes; *text is to be freed. */
unclip_status uc_file_read_text(const char *path, size_t limit, char **text, size_t *size, unclip_error *err);

/* "PATH: what: No such file or directory": MISSING when the file is not there or not readable. */
unclip_status uc_fail_errno(unclip_error *err, unclip_status status, const char *path, const char *what, int number);

/* text with control characters replaced by '?', cut to what fits, so that a message never echoes raw bytes. text must be
 * valid UTF-8. Returns buf. */
enum { UC_PRINTABLE = 160 };
const char *uc_printable(const char *text, char buf[UC_PRINTABLE]);

#endif

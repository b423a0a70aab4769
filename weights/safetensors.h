/* safetensors.h - one safetensors file: a strict reader that maps the tensors, and a small writer.
 *
 * The file: 8 bytes little-endian header length, the header in JSON, the tensors' bytes. Checked, each with a message that
 * names file and tensor: the header length, UTF-8, a '{' first, spaces only behind the last '}', no key twice,
 * __metadata__ from string to string, known types, whole non-negative sizes, products without overflow, offsets that
 * follow each other without hole or overlap to the last byte, as many bytes as sizes times type.
 *
 * How the bytes come in: the header, and tensors that are not aligned to their type, are read with pread into memory of
 * their own; everything else is a read-only mapping that is never copied. A file that another program shortens while it
 * is mapped would end this one with a bus error when the lost pages are touched; uc_safetensors_unchanged, asked before a
 * stage runs, finds that out in time for every change but one during the stage itself. */
#ifndef UC_WEIGHTS_SAFETENSORS_H
#define UC_WEIGHTS_SAFETENSORS_H

#include "../engine/core/params.h"

enum { UC_SAFETENSORS_HEADER_LIMIT = 100000000 };

typedef struct uc_safetensors {
    char *path;
    int descriptor;            /* kept open, so that a file replaced under its name stays the one that was checked */
    uint64_t size;             /* of the file */
    int64_t mtime_s, mtime_ns; /* when it was opened */
    void *map;                 /* NULL when the file has no tensor bytes */
    size_t map_size;
    size_t count;
    uc_param *items; /* sorted by name */
    char *names;     /* the items' names, one after another */
    void **copies;   /* [count] aligned copies, NULL where the item points into the mapping */
    char *metadata;  /* __metadata__ as a JSON object from strings to strings, or NULL when the file has none */
} uc_safetensors;

/* On failure *file is empty and nothing is held. An absent file is UNCLIP_ERR_MODEL_MISSING, anything else wrong with it
 * UNCLIP_ERR_MODEL_DATA. */
unclip_status uc_safetensors_open(uc_safetensors *file, const char *path, unclip_error *err);
void uc_safetensors_close(uc_safetensors *file);

/* Fails when the mapped file has another size or time than when it was opened. */
unclip_status uc_safetensors_unchanged(const uc_safetensors *file, unclip_error *err);

/* Writes items (in any order; `used` is ignored) with metadata {"format": "pt"}, which transformers insists on. The file
 * appears whole or not at all: temporary file beside it, fsync, rename. */
unclip_status uc_safetensors_write(const char *path, const uc_param *items, size_t count, unclip_error *err);

/* The same with one more entry in the metadata. */
unclip_status uc_safetensors_write_with(const char *path, const uc_param *items, size_t count, const char *key,
                                        const char *value, unclip_error *err);

#endif

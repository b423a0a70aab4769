/* files.h - what the tests of weights/ share: a temporary folder, files written byte by byte, and model directories that
 * are the shipped one with single keys changed. */
#ifndef UC_TESTS_WEIGHTS_FILES_H
#define UC_TESTS_WEIGHTS_FILES_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "weights/safetensors.h"

/* The folder of this test, created at the first call; remove_folder at the end of the test. */
const char *folder(void);
void remove_folder(void);

/* folder()/name, in one of a few rotating buffers; name may be a format. */
const char *path_in(const char *format, ...) __attribute__((format(printf, 1, 2)));

void make_folder(const char *path);
void write_bytes(const char *path, const void *data, size_t size);
void write_text(const char *path, const char *text);

/* A safetensors file: the header's length, the header as it stands, then data_size bytes 1, 2, 3, ... */
void write_raw_tensors(const char *path, const char *header, size_t header_size, size_t data_size);

/* A valid file of float tensors with one element each, named by the NULL-terminated list. */
void write_tensors(const char *path, const char *const *names);

/* path/PART/... for every part of the shipped model, made of links; to be changed with edit_json and edit_remove. */
void link_model(const char *path);

/* Sets one key of a JSON file (links are replaced by a copy) to a JSON value, or removes it when value is NULL. A dot in
 * key reaches into an object. */
void edit_json(const char *path, const char *key, const char *value);

/* Replaces a link or file by this text. */
void replace_text(const char *path, const char *text);

#endif

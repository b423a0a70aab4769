/* targets.c - see targets.h. */
#define _GNU_SOURCE /* memfd_create */
#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/unclip.h"
#include "host/image/png_read.h"
#include "host/loaded_model.h"
#include "weights/safetensors.h"
#include "weights/tokenizer_files.h"

#define MODEL UC_TEST_DATA "/goldens/models/tiny-a"

static void must(int holds, const char *what, const char *message) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, message);
    abort();
}

static void must_agree(const char *what, unclip_status status, const unclip_error *err) {
    must(!status || (err->status == status && err->message[0]), what, "an error without its message");
    must(!status || strlen(err->message) < sizeof err->message, what, "a message without an end");
}

/* The bytes as a file that has a name until it is closed. */
static int file_of(const uint8_t *data, size_t size, char path[64]) {
    const int descriptor = memfd_create("fuzz", 0);
    must(descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size, "memfd_create", "no memory for a file");
    snprintf(path, 64, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

void fuzz_png(const uint8_t *data, size_t size) {
    unclip_error err = { 0 };
    uint8_t *rgb = NULL;
    int width = 0, height = 0;
    const unclip_status status = uc_png_read(data, size, &rgb, &width, &height, &err);
    must_agree("png", status, &err);
    must(status || (rgb && width > 0 && height > 0), "png", "a picture without pixels");
    volatile uint8_t last = 0; /* the last pixel is there */
    if (!status) last = rgb[(size_t)width * (size_t)height * 3 - 1];
    (void)last;
    free(rgb);
}

void fuzz_png_parameters(const uint8_t *data, size_t size) {
    unclip_error err = { 0 };
    char *json = NULL;
    const unclip_status status = unclip_png_parameters(data, size, &json, &err);
    must_agree("png_parameters", status, &err);
    unclip_free(json);
}

void fuzz_safetensors(const uint8_t *data, size_t size) {
    unclip_error err = { 0 };
    uc_safetensors file;
    char path[64];
    const int descriptor = file_of(data, size, path);
    const unclip_status status = uc_safetensors_open(&file, path, &err);
    must_agree("safetensors", status, &err);
    for (size_t i = 0; !status && i < file.count; i++) {
        const uc_param *p = &file.items[i];
        size_t count = 1;
        for (int d = 0; d < p->rank; d++) count *= (size_t)p->dim[d];
        if (count) (void)uc_get(p->data, p->dtype, (int64_t)count - 1); /* the last byte is there */
    }
    if (!status) uc_safetensors_close(&file);
    close(descriptor);
}

void fuzz_pair(const uint8_t *data, size_t size) {
    unclip_error err = { 0 };
    unclip_pair pair = { .struct_size = sizeof pair };
    char path[64];
    const int descriptor = file_of(data, size, path);
    const unclip_status status = unclip_pair_load(&pair, path, &err);
    must_agree("pair", status, &err);
    if (!status) unclip_pair_free(&pair);
    close(descriptor);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static unclip_status encode(const uc_tokenizer_spec *spec, const char *text, size_t length, unclip_error *err) {
    enum { CONTEXT = 77 };
    int32_t ids[CONTEXT];
    int used = 0;
    bool truncated = false;
    uc_tokenizer *tok = NULL;
    unclip_status status = uc_tokenizer_new(&tok, spec, err);
    if (!status) status = uc_tokenizer_encode(tok, text, length, ids, CONTEXT, &used, &truncated, err);
    for (int i = 0; !status && i < CONTEXT; i++)
        must(ids[i] >= 0 && ids[i] < uc_tokenizer_id_limit(tok), "tokens", "a token that does not exist");
    must(status || (used >= 2 && used <= CONTEXT), "tokens", "a wrong number of tokens");
    uc_tokenizer_free(tok);
    return status;
}

/* A text through the tokenizer of a folder, of which one file may be another. */
static void with_tokenizer(const char *what, const char *replaced, const uint8_t *data, size_t size,
                           const char *text, size_t length) {
    static const char *const names[] = { "vocab.json", "merges.txt", "tokenizer_config.json",
                                         "special_tokens_map.json" };
    char folder[] = "/tmp/uc_fuzz_XXXXXX", path[512], from[512];
    unclip_error err = { 0 };
    uc_tokenizer_files files;
    uc_warnings warnings = { 0 };
    must(mkdtemp(folder) != NULL, what, "no folder can be made");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        snprintf(from, sizeof from, "%s/tokenizer/%s", MODEL, names[i]);
        if (!replaced || strcmp(names[i], replaced) != 0) {
            must(!symlink(from, path), what, "no link can be made");
            continue;
        }
        FILE *f = fopen(path, "wb");
        must(f && fwrite(data, 1, size, f) == size && !fclose(f), what, "no file can be written");
    }
    unclip_status status = uc_tokenizer_files_read(&files, folder, &warnings, &err);
    if (!status) {
        status = encode(&files.spec, text, length, &err);
        uc_tokenizer_files_free(&files);
    }
    must_agree(what, status, &err);
    uc_warnings_free(&warnings);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

void fuzz_prompt(const uint8_t *data, size_t size) {
    with_tokenizer("prompt", NULL, NULL, 0, (const char *)data, size);
}

void fuzz_vocab(const uint8_t *data, size_t size) {
    with_tokenizer("vocab", "vocab.json", data, size, "a red cube's 3 spheres", 22);
}

void fuzz_merges(const uint8_t *data, size_t size) {
    with_tokenizer("merges", "merges.txt", data, size, "a red cube's 3 spheres", 22);
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

/* A model directory whose decoder has another configuration. */
void fuzz_config(const uint8_t *data, size_t size) {
    static const char *const parts[] = { "decoder_scheduler", "feature_extractor", "image_encoder", "model_index.json",
                                         "prior", "prior_scheduler", "super_res_first", "super_res_last",
                                         "super_res_scheduler", "text_encoder", "text_proj", "tokenizer",
                                         "decoder/diffusion_pytorch_model.safetensors" };
    char folder[] = "/tmp/uc_fuzz_XXXXXX", path[512], from[512];
    unclip_error err = { 0 };
    uc_loaded_model *model = NULL;
    must(mkdtemp(folder) != NULL, "config", "no folder can be made");
    snprintf(path, sizeof path, "%s/decoder", folder);
    must(!mkdir(path, 0700), "config", "no folder can be made");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        snprintf(from, sizeof from, "%s/%s", MODEL, parts[i]);
        must(!symlink(from, path), "config", "no link can be made");
    }
    snprintf(path, sizeof path, "%s/decoder/config.json", folder);
    FILE *f = fopen(path, "wb");
    must(f && fwrite(data, 1, size, f) == size && !fclose(f), "config", "no file can be written");
    const unclip_status status = uc_loaded_model_open(&model, folder, &err);
    must_agree("config", status, &err);
    uc_loaded_model_close(model);
    unlink(path);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/decoder", folder);
    rmdir(path);
    rmdir(folder);
}

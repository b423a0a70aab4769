/* prior_ar.c - the autoregressive prior in a model directory: every key of its configuration, sizes that must agree
 * with the other parts, and tensors and tables that are not what they should be, each with its message. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "host/loaded_model.h"
#include "engine/models/prior_ar_tables.h"
#include "weights/config_read.h"
#include "weights/model_dir.h"

#define TINY UC_TEST_DATA "/goldens/models/tiny-a/prior_ar"

TestSuite(prior_ar_files, .fini = remove_folder);

static const char *const keys[][2] = {
    { "embedding_dim", "32" }, { "text_hidden_size", "16" }, { "text_projection_dim", "24" },
    { "num_text_tokens", "77" }, { "num_components", "12" }, { "num_buckets", "64" }, { "num_dot_buckets", "20" },
    { "hidden_size", "48" }, { "num_hidden_layers", "3" }, { "num_attention_heads", "4" },
    { "intermediate_size", "96" },
};
enum { KEYS = sizeof keys / sizeof *keys };

/* All keys but the one numbered `without`. */
static const char *write_config(size_t without, const char *more) {
    char text[1024] = "{\"_class_name\":\"AutoregressivePrior\"";
    for (size_t i = 0; i < KEYS; i++) {
        if (i == without) continue;
        snprintf(text + strlen(text), sizeof text - strlen(text), ",\"%s\":%s", keys[i][0], keys[i][1]);
    }
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s}", more);
    const char *path = path_in("config.json");
    write_text(path, text);
    return path;
}

Test(prior_ar_files, every_key_is_read) {
    uc_prior_ar_config c;
    uc_warnings warnings = { 0 };
    unclip_error err = { 0 };
    const char *path = write_config(KEYS, ",\"layer_norm_eps\":0.25,\"hidden_act\":\"gelu\"");
    cr_assert_eq(uc_read_prior_ar(path, &c, &warnings, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(c.embedding_dim == 32 && c.text_width == 16 && c.text_projection == 24 && c.text_tokens == 77);
    cr_expect(c.components == 12 && c.buckets == 64 && c.dot_buckets == 20 && c.width == 48 && c.layers == 3);
    cr_expect(c.heads == 4 && c.intermediate == 96 && c.eps > 0.2499f && c.eps < 0.2501f);
    cr_assert_eq(uc_read_prior_ar(write_config(KEYS, ""), &c, &warnings, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(c.eps > 0.99e-5f && c.eps < 1.01e-5f);
    cr_expect_eq(warnings.count, 0);
    uc_warnings_free(&warnings);
}

Test(prior_ar_files, every_size_must_be_stated) {
    for (size_t i = 0; i < KEYS; i++) {
        uc_prior_ar_config c;
        uc_warnings warnings = { 0 };
        unclip_error err = { 0 };
        char expected[1200];
        const char *path = write_config(i, "");
        cr_expect_eq(uc_read_prior_ar(path, &c, &warnings, &err), UNCLIP_ERR_MODEL_DATA);
        snprintf(expected, sizeof expected, "%s: %s: is missing", path, keys[i][0]);
        cr_expect_str_eq(err.message, expected);
        uc_warnings_free(&warnings);
    }
}

Test(prior_ar_files, wrong_values_are_named) {
    static const struct { const char *key, *value, *message; } cases[] = {
        { "_class_name", "\"PriorTransformer\"", "_class_name: is \"PriorTransformer\", only \"AutoregressivePrior\"" },
        { "hidden_act", "\"relu\"", "hidden_act: is \"relu\"" },
        { "num_components", "40", "num_components: is 40, expected at most embedding_dim, 32" },
        { "num_components", "1", "num_components: is 1" },
        { "num_buckets", "100000", "num_buckets: is 100000" },
        { "num_attention_heads", "5", "num_attention_heads: is 5, which does not divide hidden_size, 48" },
        { "num_hidden_layers", "257", "num_hidden_layers: is 257" },
        { "layer_norm_eps", "\"small\"", "layer_norm_eps: is \"small\"" },
        { "vocabulary", "3", "vocabulary: " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_prior_ar_config c;
        uc_warnings warnings = { 0 };
        unclip_error err = { 0 };
        const char *path = write_config(KEYS, "");
        edit_json(path, cases[i].key, cases[i].value);
        cr_expect_eq(uc_read_prior_ar(path, &c, &warnings, &err), UNCLIP_ERR_MODEL_DATA, "%s", cases[i].message);
        cr_expect(strstr(err.message, cases[i].message), "%s: %s", cases[i].message, err.message);
        uc_warnings_free(&warnings);
    }
}

/* ---- in a directory ---------------------------------------------------------------------------------------------- */

/* tiny-a with a prior_ar whose configuration can be edited. */
static void make_model(void) {
    static const char *const others[] = { "decoder", "decoder_scheduler", "feature_extractor", "image_encoder", "prior",
                                          "prior_scheduler", "super_res_first", "super_res_last",
                                          "super_res_scheduler", "text_encoder", "text_proj", "tokenizer",
                                          "model_index.json" };
    make_folder(path_in("model"));
    make_folder(path_in("model/prior_ar"));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char from[1024];
        snprintf(from, sizeof from, "%s/../%s", TINY, others[i]);
        cr_assert_eq(symlink(from, path_in("model/%s", others[i])), 0);
    }
    cr_assert_eq(symlink(TINY "/config.json", path_in("model/prior_ar/config.json")), 0);
    cr_assert_eq(symlink(TINY "/model.safetensors", path_in("model/prior_ar/model.safetensors")), 0);
}

Test(prior_ar_files, sizes_agree_with_the_other_parts) {
    static const struct { const char *key, *value, *message; } cases[] = {
        { "text_hidden_size", "48",
          "prior_ar/config.json: text_hidden_size is 48, but text_encoder/config.json: hidden_size is 32" },
        { "text_projection_dim", "31",
          "prior_ar/config.json: text_projection_dim is 31, but text_encoder/config.json: projection_dim is 32" },
        { "num_text_tokens", "16",
          "prior_ar/config.json: num_text_tokens is 16, but text_encoder/config.json: max_position_embeddings is 77" },
        { "embedding_dim", "64", "clip_embeddings_dim is 32, but prior_ar/config.json: embedding_dim is 64" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_model_dir *dir = NULL;
        unclip_error err = { 0 };
        make_model();
        edit_json(path_in("model/prior_ar/config.json"), cases[i].key, cases[i].value);
        cr_expect_eq(uc_model_dir_open(&dir, path_in("model"), NULL, &err), UNCLIP_ERR_MODEL_DATA);
        cr_expect(strstr(err.message, cases[i].message), "%s: %s", cases[i].message, err.message);
        uc_model_dir_close(dir);
        remove_folder();
    }
}

Test(prior_ar_files, the_index_may_name_it) {
    uc_model_dir *dir = NULL;
    unclip_error err = { 0 };
    make_model();
    edit_json(path_in("model/model_index.json"), "prior_ar", "[\"unclip\",\"AutoregressivePrior\"]");
    cr_assert_eq(uc_model_dir_open(&dir, path_in("model"), NULL, &err), UNCLIP_OK, "%s", err.message);
    cr_expect(dir->has[UC_PART_PRIOR_AR]);
    uc_model_dir_close(dir);
    edit_json(path_in("model/model_index.json"), "prior_ar", "[\"unclip\",\"PriorTransformer\"]");
    cr_expect_eq(uc_model_dir_open(&dir, path_in("model"), NULL, &err), UNCLIP_ERR_MODEL_DATA);
    cr_expect(strstr(err.message, "prior_ar: class is \"PriorTransformer\""), "%s", err.message);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* tiny-a's prior_ar with one tensor changed; what the engine then says. */
static unclip_status open_changed(const uc_param *tensors, size_t count, char message[1020]) {
    unclip_engine_options options;
    unclip_engine *engine = NULL;
    unclip_error err = { 0 };
    make_model();
    unlink(path_in("model/prior_ar/model.safetensors"));
    cr_assert_eq(uc_safetensors_write(path_in("model/prior_ar/model.safetensors"), tensors, count, &err), UNCLIP_OK);
    unclip_engine_options_init(&options);
    options.model_dir = path_in("model");
    options.threads = 1;
    const unclip_status status = unclip_engine_open(&engine, &options, &err);
    unclip_engine_close(engine);
    snprintf(message, 1020, "%s", err.message);
    remove_folder();
    return status;
}

Test(prior_ar_files, wrong_tensors_are_named) {
    static const struct { const char *tensor, *message; int change; } cases[] = {
        { "pca.components", "prior_ar: tensor pca.components has another type or shape than F32 [6,32]", 's' },
        { "pca.mean", "prior_ar: tensor pca.mean has another type or shape than F32 [32]", 't' },
        { "buckets.centres", "prior_ar: tensor buckets.centres has a number that is not finite", 'n' },
        { "buckets.boundaries", "prior_ar: tensor buckets.boundaries falls at row 0, column 1", 'f' },
        { "dot.boundaries", "prior_ar: tensor dot.boundaries falls at row 0, column 1", 'f' },
        { "dot.boundaries", "prior_ar: tensor dot.boundaries is missing", 'm' },
        { "head.weight", "prior_ar.head: weight is missing from", 'm' },
        { "layers.1.attn.k_proj.weight", "prior_ar.layers.1.attn.k_proj: weight is [23,24], expected [24,24]", 's' },
        { "", "tensor zzz of", 'a' },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uc_safetensors file;
        unclip_error err = { 0 };
        cr_assert_eq(uc_safetensors_open(&file, TINY "/model.safetensors", &err), UNCLIP_OK, "%s", err.message);
        uc_param *tensors = calloc(file.count + 1, sizeof *tensors);
        float *changed = NULL;
        size_t count = 0;
        for (size_t t = 0; t < file.count; t++) {
            uc_param *p = &tensors[count];
            *p = file.items[t];
            count++;
            if (strcmp(p->name, cases[i].tensor)) continue;
            if (cases[i].change == 'm') count--;
            if (cases[i].change == 's') p->dim[0]--;
            if (cases[i].change == 't') p->dtype = UC_I32;
            if (cases[i].change != 'n' && cases[i].change != 'f') continue;
            int64_t n = 1;
            for (int d = 0; d < p->rank; d++) n *= p->dim[d];
            changed = malloc((size_t)n * sizeof *changed);
            memcpy(changed, p->data, (size_t)n * sizeof *changed);
            changed[0] = cases[i].change == 'n' ? (float)NAN : 1e9f;
            p->data = changed;
        }
        if (cases[i].change == 'a') {
            tensors[count] = file.items[0];
            tensors[count++].name = "zzz";
        }
        char message[1020];
        cr_expect_eq(open_changed(tensors, count, message), UNCLIP_ERR_MODEL_DATA, "%s", cases[i].message);
        cr_expect(strstr(message, cases[i].message), "expected %s\n  got %s", cases[i].message, message);
        free(changed);
        free(tensors);
        uc_safetensors_close(&file);
    }
}

/* params_open.c - which files a network's tensors come from: one file, shards with their index, the fp16 variant in each of
 * its spellings; and every way in which an index can lie. Rerun one: test_weights --filter 'params_open/NAME'. */
#include "weights/params_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

TestSuite(params_open, .fini = remove_folder);

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Opens the folder with stem "model"; the only tensor tells which file it came from. */
static void expect_tensor(const char *variant, const char *name) {
    uc_params *params;
    unclip_error err = { 0 };
    cr_assert_eq(uc_params_open(&params, folder(), "model", variant, "part", &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(params->count, 1);
    cr_expect_str_eq(params->items[0].name, name);
    cr_expect_str_eq(params->component, "part");
    cr_expect_eq(uc_params_unchanged(params, &err), UNCLIP_OK, "%s", err.message);
    uc_params_close(params);
}

/* file: what the message begins with, inside the folder; "" for the folder itself. */
static void expect_failure(unclip_status status, const char *file, const char *message) {
    uc_params *params;
    unclip_error err = { 0 };
    char full[1400];
    const unclip_status got = uc_params_open(&params, folder(), "model", NULL, "part", &err);
    snprintf(full, sizeof full, "%s%s%s: %s", folder(), file[0] ? "/" : "", file, message);
    cr_expect_eq(got, status, "%s: status %d", err.message, (int)got);
    cr_expect_str_eq(err.message, full, "\n  got      %s\n  expected %s", err.message, full);
    cr_expect_null(params);
    uc_params_close(params);
}

Test(params_open, order_of_the_names) {
    static const char *const files[] = { "model.fp16.safetensors.index.json", "model.safetensors.index.fp16.json",
                                         "model.fp16.safetensors", "model.safetensors.index.json",
                                         "model.safetensors" };
    char tensor[32], shard[64], index[200];
    for (int i = 0; i < 5; i++) {
        snprintf(tensor, sizeof tensor, "tensor_%d", i);
        if (strstr(files[i], ".json")) {
            snprintf(shard, sizeof shard, "shard-%d.safetensors", i);
            write_tensors(path_in("%s", shard), NAMES(tensor));
            snprintf(index, sizeof index, "{\"metadata\":{\"total_size\":4},\"weight_map\":{\"%s\":\"%s\"}}", tensor,
                     shard);
            write_text(path_in("%s", files[i]), index);
        } else {
            write_tensors(path_in("%s", files[i]), NAMES(tensor));
        }
        expect_tensor(NULL, tensor);
        if (i < 3) expect_tensor("fp16", tensor);
    }
    expect_tensor("fp16", "tensor_2");
    expect_tensor("bf16", "tensor_4");
}

Test(params_open, bad_variant_names) {
    static const char *const bad[] = { "", "../x", "a/b", "fp16.x", "%s", "a-very-long-variant-name-of-33-bytes" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uc_params *params;
        unclip_error err = { 0 };
        cr_expect_eq(uc_params_open(&params, folder(), "model", bad[i], "part", &err), UNCLIP_ERR_ARGUMENT, "%s",
                     bad[i]);
        cr_expect(strstr(err.message, "is not a name like fp16"), "%s", err.message);
    }
}

Test(params_open, shards_are_one_sorted_set) {
    static const char *const expected[] = { "a", "b", "c", "d", "e" };
    write_tensors(path_in("model-00001-of-00002.safetensors"), NAMES("d", "a", "c"));
    write_tensors(path_in("model-00002-of-00002.safetensors"), NAMES("b", "e"));
    write_text(path_in("model.safetensors.index.json"),
               "{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\",\"e\":\"model-00002-of-00002.safetensors\","
               "\"c\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\","
               "\"d\":\"model-00001-of-00002.safetensors\"}}");
    uc_params *params;
    unclip_error err = { 0 };
    cr_assert_eq(uc_params_open(&params, folder(), "model", NULL, "prior", &err), UNCLIP_OK, "%s", err.message);
    cr_assert_eq(params->count, 5);
    for (int i = 0; i < 5; i++) cr_expect_str_eq(params->items[i].name, expected[i]);
    cr_expect_str_eq(params->file, path_in("model.safetensors.index.json"));
    cr_assert_eq(truncate(path_in("model-00002-of-00002.safetensors"), 10), 0);
    cr_expect_eq(uc_params_unchanged(params, &err), UNCLIP_ERR_MODEL_DATA);
    uc_params_close(params);
}

/* An index over shards one.safetensors {a, b} and two.safetensors {c}. */
typedef struct index_case {
    const char *index, *file, *message;
    unclip_status status;
} index_case;

static const index_case lies[] = {
    { "", "model.safetensors.index.json", "line 1, column 0: '[' or '{' expected near end of file",
      UNCLIP_ERR_MODEL_DATA },
    { "[]", "model.safetensors.index.json", "is a list, expected an object", UNCLIP_ERR_MODEL_DATA },
    { "{}", "model.safetensors.index.json", "weight_map is missing, expected an object", UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":[]}", "model.safetensors.index.json", "weight_map is a list, expected an object",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{}}", "model.safetensors.index.json", "weight_map is empty", UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":1}}", "model.safetensors.index.json", "weight_map: a is not a string",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "model.safetensors.index.json",
      "weight_map: a is in \"../one.safetensors\", expected the name of a .safetensors file in the same folder",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"/etc/one.safetensors\"}}", "model.safetensors.index.json",
      "weight_map: a is in \"/etc/one.safetensors\", expected the name of a .safetensors file in the same folder",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"one.bin\"}}", "model.safetensors.index.json",
      "weight_map: a is in \"one.bin\", expected the name of a .safetensors file in the same folder",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\".safetensors\"}}", "model.safetensors.index.json",
      "weight_map: a is in \".safetensors\", expected the name of a .safetensors file in the same folder",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"two.safetensors\"}}", "model.safetensors.index.json",
      "line 1, column 40: duplicate object key near '\"a\"'", UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"three.safetensors\"}}", "three.safetensors",
      "cannot be opened: No such file or directory", UNCLIP_ERR_MODEL_MISSING },
    { "{\"weight_map\":{\"a\":\"one.safetensors\"}}", "model.safetensors.index.json",
      "tensor b of one.safetensors is not listed", UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}",
      "model.safetensors.index.json", "tensor b is listed in two.safetensors, but also lies in one.safetensors",
      UNCLIP_ERR_MODEL_DATA },
    { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\",\"x\":\"two."
      "safetensors\"}}",
      "model.safetensors.index.json", "tensor x is listed in two.safetensors, but does not lie there",
      UNCLIP_ERR_MODEL_DATA },
};

Test(params_open, index_that_lies) {
    write_tensors(path_in("one.safetensors"), NAMES("a", "b"));
    write_tensors(path_in("two.safetensors"), NAMES("c"));
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        write_text(path_in("model.safetensors.index.json"), lies[i].index);
        expect_failure(lies[i].status, lies[i].file, lies[i].message);
    }
    write_tensors(path_in("two.safetensors"), NAMES("c", "a"));
    write_text(path_in("model.safetensors.index.json"),
               "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}");
    expect_failure(UNCLIP_ERR_MODEL_DATA, "model.safetensors.index.json",
                   "tensor a is listed in one.safetensors, but also lies in two.safetensors");
}

Test(params_open, damaged_shard_is_named) {
    write_text(path_in("model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"one.safetensors\"}}");
    write_text(path_in("one.safetensors"), "short");
    expect_failure(UNCLIP_ERR_MODEL_DATA, "one.safetensors", "has 5 bytes, a safetensors file has at least 8");
}

Test(params_open, pickles_are_refused) {
    expect_failure(UNCLIP_ERR_MODEL_MISSING, "", "has no model.safetensors (nor shards, nor an fp16 variant)");
    write_text(path_in("pytorch_model.bin"), "x");
    expect_failure(UNCLIP_ERR_MODEL_MISSING, "",
                   "has only pytorch_model.bin, a pickle, which can run code and is never read; convert it to "
                   "model.safetensors, in Python: pipeline.save_pretrained(..., safe_serialization=True)");
}

/* The JSON that the built program prints, read back by a real parser. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "'" UC_BINARY_DIR "/bin/unclip-cuda'"
#define MODEL " -m '" UC_SOURCE_DIR "/weights/solids'"

/* What a shell command prints, which must succeed. */
static char *output_of(const char *command) {
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    size_t size = 1 << 20, used = 0, got = 0;
    char *text = calloc(1, size + 1);
    while (used < size && (got = fread(text + used, 1, size - used, pipe)) > 0) used += got;
    cr_assert_eq(pclose(pipe), 0, "failed: %s", command);
    return text;
}

static json_t *parse_line(const char *line) {
    json_error_t error;
    json_t *json = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %.200s", error.text, line);
    return json;
}

static double dot(const json_t *a, const json_t *b) {
    double sum = 0;
    for (size_t i = 0; i < json_array_size(a); i++) {
        sum += json_number_value(json_array_get(a, i)) * json_number_value(json_array_get(b, i));
    }
    return sum;
}

static double cosine(const json_t *a, const json_t *b) { return dot(a, b) / sqrt(dot(a, a) * dot(b, b)); }

Test(cli_json, embeddings_are_one_object_a_line) {
    char *text = output_of(PROGRAM " embed" MODEL " -p 'a red \"cube\"\\' -p 'a red cube' -p 'A  red cube' 2>/dev/null");
    json_t *lines[3];
    const char *at = text;
    for (size_t i = 0; i < 3; i++) {
        lines[i] = parse_line(at);
        at += strcspn(at, "\n") + 1;
        cr_assert_gt(json_array_size(json_object_get(lines[i], "embedding")), 0);
    }
    cr_assert_eq(*at, '\0', "more than three lines");
    cr_assert_str_eq(json_string_value(json_object_get(lines[0], "text")), "a red \"cube\"\\");
    /* Start, one token a word, end; capitals and spaces make no difference. */
    cr_assert_eq(json_array_size(json_object_get(lines[1], "tokens")), 5);
    cr_assert(json_equal(json_object_get(lines[1], "tokens"), json_object_get(lines[2], "tokens")));
    cr_assert(json_equal(json_object_get(lines[1], "embedding"), json_object_get(lines[2], "embedding")));
    for (size_t i = 0; i < 3; i++) json_decref(lines[i]);
    free(text);
}

Test(cli_json, printed_floats_are_the_floats_themselves) {
    char *text = output_of(PROGRAM " embed" MODEL " -p 'a cone' 2>/dev/null");
    json_t *line = parse_line(text), *values = json_object_get(line, "embedding");
    for (size_t i = 0; i < json_array_size(values); i++) {
        char again[32];
        double value = json_number_value(json_array_get(values, i));
        snprintf(again, sizeof again, "%.9g", (double)(float)value);
        cr_assert_eq(strtod(again, NULL), value, "value %zu lost digits", i);
    }
    json_decref(line);
    free(text);
}

/* CLIP's purpose: a drawn picture is nearer to its own text than to one about other things. */
Test(cli_json, a_picture_is_nearer_to_its_text) {
    char folder[] = "/tmp/unclip-json-XXXXXX", command[512];
    cr_assert(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && " PROGRAM MODEL " -q --size 64 -s 7 -p 'a large matte red cube' -o a.png 2>/dev/null && " PROGRAM
             " embed" MODEL " -p 'a large matte red cube' -p 'a small shiny green ring' -i a.png 2>/dev/null | tail -3",
             folder);
    char *text = output_of(command);
    const char *at = strchr(text, '{');
    cr_assert(at);
    json_t *line[3];
    for (size_t i = 0; i < 3; i++, at += strcspn(at, "\n") + 1) line[i] = parse_line(at);
    const json_t *picture = json_object_get(line[2], "embedding");
    cr_assert_str_eq(json_string_value(json_object_get(line[2], "image")), "a.png");
    double own = cosine(picture, json_object_get(line[0], "embedding"));
    double other = cosine(picture, json_object_get(line[1], "embedding"));
    cr_assert_gt(own, other, "cosine with its own text %.3f, with another %.3f", own, other);
    for (size_t i = 0; i < 3; i++) json_decref(line[i]);
    free(text);
    snprintf(command, sizeof command, "rm -r %s", folder);
    free(output_of(command));
}

Test(cli_json, descriptions_parse) {
    static const char *const commands[] = { PROGRAM " devices", PROGRAM " inspect" MODEL " 2>/dev/null" };
    for (size_t i = 0; i < 2; i++) {
        char *text = output_of(commands[i]);
        json_error_t error;
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        cr_assert(json, "%s: %s", commands[i], error.text);
        json_decref(json);
        free(text);
    }
}

/* The settings stored in a picture are the ones that were asked for. */
Test(cli_json, stored_settings_say_what_was_asked) {
    char folder[] = "/tmp/unclip-json-XXXXXX", command[512];
    cr_assert(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && " PROGRAM MODEL " -q --size 64 -s 18446744073709551615 --steps 3 --cfg-scale 2.5 --sampler ddim "
             "--eta 0.25 --prior-steps 2 -p 'a \"cone\"' -o a.png >/dev/null 2>&1 && " PROGRAM " inspect a.png", folder);
    char *text = output_of(command);
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "%s: %s", error.text, text);
    const json_t *decoder = json_object_get(json_object_get(json, "stages"), "decoder");
    cr_assert_str_eq(json_string_value(json_object_get(json, "prompt")), "a \"cone\"");
    cr_assert_str_eq(json_string_value(json_object_get(json, "seed")), "18446744073709551615");
    cr_assert_eq(json_integer_value(json_object_get(json, "size")), 64);
    cr_assert_eq(json_integer_value(json_object_get(decoder, "steps")), 3);
    cr_assert_float_eq(json_number_value(json_object_get(decoder, "guidance")), 2.5, 0);
    cr_assert_float_eq(json_number_value(json_object_get(decoder, "eta")), 0.25, 0);
    cr_assert_str_eq(json_string_value(json_object_get(decoder, "sampler")), "ddim");
    json_decref(json);
    free(text);
    snprintf(command, sizeof command, "rm -r %s", folder);
    free(output_of(command));
}

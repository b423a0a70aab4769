/* targets.h - functions that take any bytes as a file or a text of the flow's user. They must come back, with a status that
 * agrees with the message and with nothing held. What does not hold ends the process with a line that says so. */
#ifndef UC_TESTS_FUZZ_TARGETS_H
#define UC_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* name, file of tests/goldens that is a good one to begin with */
#define FUZZ_TARGETS(X) \
    X(png, "images/small-grey.png") \
    X(png_parameters, "images/wide-rgb.png") \
    X(safetensors, "models/tiny-a/text_proj/diffusion_pytorch_model.safetensors") \
    X(pair, "models/tiny-a/text_proj/diffusion_pytorch_model.safetensors") \
    X(prompt, "models/tiny-a/model_index.json") \
    X(vocab, "models/tiny-a/tokenizer/vocab.json") \
    X(merges, "models/tiny-a/tokenizer/merges.txt") \
    X(config, "models/tiny-a/decoder/config.json")

#define FUZZ_DECLARE(name, seed) void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(FUZZ_DECLARE)

#endif

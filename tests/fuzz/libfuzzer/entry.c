/* entry.c - one target of targets.h for libFuzzer, which looks for bytes that reach new code:
 *
 *   cmake --preset fuzz && cmake --build --preset fuzz && build/fuzz/bin/fuzz_png CORPUS_DIR -max_total_time=600 */
#include "tests/fuzz/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    FUZZ_TARGET(data, size);
    return 0;
}

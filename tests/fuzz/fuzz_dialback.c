/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: dialback in all three roles, in plain text, against servers that say what the input says (hostile.h).
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "tests/fuzz/hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 2000)
        hostile_play(TARGET_DIALBACK, data, size);
    return 0;
}

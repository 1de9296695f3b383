/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: negotiation between servers with STARTTLS, direct TLS and SASL EXTERNAL beside dialback; certificates
 * are of the input's choice, TLS is a puppet (hostile.h, tls_puppet.c).
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "tests/fuzz/hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 2000)
        hostile_play(TARGET_S2S, data, size);
    return 0;
}

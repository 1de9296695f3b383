/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Hash: SipHash-1-3 (tables) and SipHash-2-4 (RFC-free published form), keyed. Peers choose our keys (JIDs, ids,
 * prefixes), so every table is keyed with 128 random bits of this process; the key is never printed.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; its appendix A vectors are the test.
 */
#include "core/base/span.h"

#include <stdint.h>

struct hash_key {
    uint64_t k0, k1;
};

uint64_t hash_siphash13(const struct hash_key *key, struct span bytes);
/* For tests alone: the rounds are the same, and it is this one whose values were published. */
uint64_t hash_siphash24(const struct hash_key *key, struct span bytes);

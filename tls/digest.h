/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Digest: hashes, HMAC, PBKDF2, constant-time compare: the cryptography that is not TLS, from the same library.
 *
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

enum digest { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
#define DIGEST_SIZE_MAX 64u

size_t digest_size(enum digest digest);
void digest_hash(enum digest digest, struct span bytes, uint8_t *out);
void digest_hmac(enum digest digest, struct span key, struct span bytes, uint8_t *out);
/* RFC 8018 s5.2, one block: Hi() of RFC 5802 s2.2. */
void digest_pbkdf2(enum digest digest, struct span password, struct span salt, uint32_t iterations, uint8_t *out);
/* The same in pieces, for a thread that must not stop for milliseconds: new, run until it says true, result. */
struct digest_pbkdf2;
struct digest_pbkdf2 *digest_pbkdf2_new(enum digest digest, struct span password, struct span salt,
                                        uint32_t iterations); /* NULL when memory is refused */
bool digest_pbkdf2_run(struct digest_pbkdf2 *pbkdf2, uint32_t iterations_max);
void digest_pbkdf2_result(const struct digest_pbkdf2 *pbkdf2, uint8_t *out);
void digest_pbkdf2_free(struct digest_pbkdf2 *pbkdf2); /* wipes */
/* Takes the same time for any content. */
bool digest_equal(const void *a, const void *b, size_t size);
/* Zeroes in a way that stays. */
void digest_wipe(void *bytes, size_t size);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Hex: bytes as hexadecimal digits, in lower case (RFC 4648 s8 has upper case; XEP-0185 and fingerprints have lower).
 */
#include "core/base/span.h"

#include <stdint.h>

/* Writes 2 * bytes.size digits, no NUL. */
void hex_encode(struct span bytes, char *out);
/* Pairs of digits in either case; a colon may stand before each pair but the first. False: something else, or more than
 * room octets. */
bool hex_decode(struct span text, uint8_t *out, size_t room, size_t *size);

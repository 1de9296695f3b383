/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Hex: bytes as hexadecimal digits, in lower case (RFC 4648 s8 has upper case; XEP-0185 and fingerprints have lower).
 */
#include "core/base/span.h"

/* Writes 2 * bytes.size digits, no NUL. */
void hex_encode(struct span bytes, char *out);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Base64 (RFC 4648 s4), strict as RFC 6120 s6.4.2 wants it: no white space, padding exact, unused bits zero.
 */
#include "core/base/span.h"

#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)

/* Writes BASE64_ENCODED_SIZE(bytes.size) characters, no NUL; returns that size. */
size_t base64_encode(struct span bytes, char *out);
/* At most bytes.size / 4 * 3 bytes are written; false if the input is not exact base64 (out is then undefined). */
bool base64_decode(struct span text, char *out, size_t *out_size);

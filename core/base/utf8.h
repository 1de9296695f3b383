/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * UTF-8 (RFC 3629): strict; no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#include "core/base/span.h"

#include <stdint.h>

bool utf8_is_valid(struct span bytes);
/* Decodes the first character of a non-empty span: its size in bytes, or 0 if it is not valid UTF-8. */
unsigned utf8_decode(struct span bytes, uint32_t *code_point);
/* Writes 1 to 4 bytes; 0 if code_point is no Unicode scalar value. */
unsigned utf8_encode(uint32_t code_point, char out[4]);

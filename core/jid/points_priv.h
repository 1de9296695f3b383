/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Points: the text of one part as Unicode code points, and the mappings that PRECIS and IDNA2008 share. The Unicode
 * data is libunistring's; what that version of it does not know is unassigned, and refused by those who ask
 * codepoint.c.
 *
 * Bounds:  POINTS_INPUT_MAX octets in, POINTS_MAX code points at any time. No preparation shrinks a text to less than
 *          two sevenths (a fullwidth letter, 3 octets, with two marks of 2 octets becomes U+01DF, 2 octets), so nothing
 *          longer than 3.5 x 1023 octets can become a part of 1023, and what is refused unseen is refused rightly.
 * Thread:  any; no state. 16 KiB of stack each.
 */
#include "core/base/span.h"
#include "core/jid/part_priv.h"

#include <stdint.h>

#define POINTS_INPUT_MAX 3581u
#define POINTS_MAX       4096u

struct points {
    size_t count;
    uint32_t at[POINTS_MAX];
};

enum part_result points_decode(struct span text, struct points *points);
/* PART_LONG when the octets do not fit. */
enum part_result points_encode(const uint32_t *at, size_t count, char *out, size_t out_size, size_t *size);
bool points_equal(const struct points *a, const struct points *b);

/* Fullwidth and halfwidth to their decomposition (RFC 8265 s3.3.1, RFC 5895 s2). */
void points_map_width(struct points *points);
/* toLowerCase() of the Unicode Standard, with its Final_Sigma context (RFC 8264 s5.2.3). False when it does not fit. */
bool points_map_lower(struct points *points);
/* Lowercase_Mapping of each code point for itself, without context (RFC 5895 s2). False when it does not fit. */
bool points_map_lower_each(struct points *points);
/* Normalization Form C. False when it does not fit. */
bool points_map_nfc(struct points *points);

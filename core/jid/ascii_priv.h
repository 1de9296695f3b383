/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ascii: the fast path of JID preparation. It answers "prepared" or "I do not know"; it never refuses. Whatever it
 * does not know (any octet above 0x7E, a trailing dot, an IP literal, an A-label, and everything that is in fact wrong)
 * goes to the slow path, which alone decides; so a refusal has one source and the two cannot disagree about one.
 *
 * Bounds:  reads text.size octets, writes at most text.size octets, and nothing when the text is over the part's limit.
 */
#include "core/base/span.h"

#include <stdbool.h>
#include <stdint.h>

#define ASCII_DOMAIN_MAX 253u /* octets of a domain name in text form, from the 255 on the wire of RFC 1035 s2.3.4 */
#define ASCII_LABEL_MAX  63u  /* RFC 1035 s2.3.4 */

bool ascii_prepare_local(struct span text, char *out);
bool ascii_prepare_domain(struct span text, char *out);
/* OpaqueString leaves printable ASCII and the space as they are. size_max is 1023 for a resourcepart. */
bool ascii_prepare_opaque(struct span text, size_t size_max, char *out);

/* NR-LDH by RFC 5890 s2.3.1 and RFC 5891 s4.2.3.1, lower case; A-labels ("xn--") are not. */
bool ascii_is_host_label(struct span label);

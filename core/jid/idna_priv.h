/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Idna: a domainpart by RFC 7622 s3.2. The prepared form is lower-case NR-LDH labels and U-labels (s3.2.1: A-labels
 * are converted), without a trailing dot; or an IP address, IPv6 in brackets and in the form of RFC 5952.
 *
 * Mapping is RFC 5895's: lower case, width, NFC, and U+3002 to the dot. Each U-label must pass our own reading of
 * RFC 5891 s4.2 and RFC 5892, and libidn2's: two tables, each strict, that rarely share a fault.
 *
 * Bounds:  what would be an A-label of more than 63 octets, or a name of more than 253 in A-label form, is PART_LONG.
 * Thread:  any; libidn2 allocates and releases.
 */
#include "core/jid/points_priv.h"

/* out has room for JID_PART_MAX octets; *size may be 0 only with a result other than PART_OK. */
enum part_result idna_prepare(struct span text, char *out, size_t *size, struct jid_reason *reason);

/* The ASCII form of a prepared name; at most 253 octets and a NUL. False when it is none, or too long. */
bool idna_to_ascii(struct span name, char *out);

/* "[...]" by RFC 3986 s3.2.2 and RFC 6874: an IPv6 address, perhaps with "%25" and a zone. */
enum part_result ip_literal_prepare(struct span text, char *out, size_t *size, struct jid_reason *reason);

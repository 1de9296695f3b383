/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Certificate: the few facts that are read from an X.509 certificate in DER here (RFC 5280 s4.1). The library has
 * checked, or will check, everything else; what does not parse has none of the facts.
 *
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

/* SHA-512 is the largest. */
#define CERTIFICATE_HASH_MAX 64u

/* Seconds since 1970 (s4.1.2.5). */
bool certificate_times(struct span der, int64_t *not_before, int64_t *not_after);
/* SHA-256 over issuer and subjectAltName: equal for a certificate and its renewals. */
#define CERTIFICATE_IDENTITY_SIZE 32u
bool certificate_identity(struct span der, uint8_t out[CERTIFICATE_IDENTITY_SIZE]);
/* Has a DNS-ID for the domain, in A-labels: equal, or with a wildcard as the whole left-most label (RFC 9525 s6.3). */
bool certificate_is_for(struct span der, struct span domain);
/* The hash of the certificate by the function of its signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929 s4.1).
 * 0: the signature has no such function. */
size_t certificate_hash(struct span der, uint8_t out[CERTIFICATE_HASH_MAX]);

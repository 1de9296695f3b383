/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dane: what a domain's own TLSA records say about the certificates of its server (RFC 6698, RFC 7671, RFC 7673 s4).
 *
 * Whoever gives records here has had them validated by DNSSEC, and the SRV record and addresses that led to them:
 * others must not be used at all (RFC 6698 s4.1). What a record of each usage asks of the server:
 *
 *   0 PKIX-TA  a path to a trusted authority (credential.h), through an authority of the record's; the name
 *   1 PKIX-EE  a path to a trusted authority; the certificate is the record's; the name
 *   2 DANE-TA  a path to an authority that the record names and the server sends; the name. An authority that stands in
 *              the record as a whole ("2 0 0"), or its key ("2 1 0"), need not be sent (RFC 7671 s5.2.2, s5.2.3)
 *   3 DANE-EE  the certificate is the record's: neither its names nor its dates nor its issuer count (RFC 7671 s5.1),
 *              but a key that is too weak is nobody's proof
 *
 * The name is the domain, as identity.h has it, or the host of the SRV record in a DNS-ID (RFC 7673 s4).
 *
 * A record of an unknown usage, selector or matching type, or whose data are malformed, is as if it were not there (RFC
 * 6698 s4.1); so is, of one usage and selector, a SHA-256 beside a SHA-512 (RFC 7671 s9). One match is enough; without
 * any, the server is not who it should be, whatever else its certificates are worth.
 *
 * Thread:  any; no state.
 * Bounds:  DANE_RECORDS_MAX records; two searches for a path, each with the bound of its own.
 */
#include "core/base/span.h"
#include "tls/credential.h"

#define DANE_RECORDS_MAX 16u

/* RFC 6698 s2.1. */
enum dane_usage { DANE_PKIX_TA, DANE_PKIX_EE, DANE_TA, DANE_EE };
enum dane_selector { DANE_CERTIFICATE, DANE_KEY };
enum dane_matching { DANE_FULL, DANE_SHA256, DANE_SHA512 };

struct dane_record {
    uint8_t usage;    /* enum dane_usage, if it is known */
    uint8_t selector; /* likewise */
    uint8_t matching; /* likewise */
    struct span data;
};

/* From MATCHED on the verdict is binding; the later, the closer it came. */
enum dane_verdict {
    DANE_UNUSABLE, /* no record can be used: as if there were none (RFC 6698 s4.1) */
    DANE_MATCHED,
    DANE_MISMATCH,   /* no record is of these certificates */
    DANE_INVALID,    /* one is, but it asks for a path that holds, and there is none */
    DANE_WRONG_NAME, /* one is, and the path holds, but the certificate is that of another domain */
};

struct dane_finding {
    enum dane_verdict verdict;
    unsigned record;              /* from MATCHED on but for MISMATCH: which one */
    enum credential_verdict path; /* INVALID: why it does not hold */
};

/* Records with the names to look for; a copy of all that is given. host empty: the domain alone. */
struct dane;
struct dane *dane_new(const struct dane_record *records, unsigned count, struct span domain, struct span host);
struct dane *dane_copy(const struct dane *dane); /* NULL when memory is refused; from NULL */
void dane_free(struct dane *dane);
unsigned dane_count(const struct dane *dane);
const struct dane_record *dane_record(const struct dane *dane, unsigned index);

bool dane_record_is_usable(const struct dane_record *record);
bool dane_is_usable(const struct dane *dane); /* any; NULL: false */
/* "no record is of these certificates"; for people and for the log. */
const char *dane_text(enum dane_verdict verdict);

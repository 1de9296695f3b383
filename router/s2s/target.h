/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Target: the host that an SRV record names, with what DNSSEC vouches for: that it stands for the domain, and the TLSA
 * records of its port; and what a server that was found there has shown of its domain (RFC 7673 s4).
 *
 * Where SRV record and addresses are not secure there are no TLSA records at all (resolver.h).
 *
 * Thread:  the shard's.
 */
#include "tls/dane.h"

#include <stdbool.h>

struct engine;
struct resolver_candidate;

struct target {
    struct target *next; /* of the same contact */
    struct dane *dane;   /* NULL: there are no TLSA records. TLS is a must where there are any */
    bool is_srv_secure;  /* host is a name as good as the domain (RFC 7673 s4.1) */
    char host[];
};

/* What a server's certificates are worth, as bits. REFUTED outweighs the others: there are TLSA records that can be
 * used, and none of them is of these certificates (RFC 6698 s4.1: "MUST abort"). */
enum evidence { EVIDENCE_PKIX = 1, EVIDENCE_DANE = 2, EVIDENCE_REFUTED = 4 };

/* NULL when memory is refused: then it must not be dialled. */
struct target *target_new(const struct resolver_candidate *found, struct span domain);
void target_free_all(struct target *first);

/* Before its certificates come: the records by which they will be judged. False when memory is refused. */
bool target_expect(const struct target *target, struct engine *engine);
/* Once the engine is ready: enum evidence. */
unsigned target_evidence(const struct target *target, const struct engine *engine, struct span domain);

/* "3 1 1 0b9c4f2a..", the first bytes of the data; for people and for the log. */
#define TARGET_RECORD_TEXT 40u
const char *target_record_text(const struct dane_record *record, char out[TARGET_RECORD_TEXT]);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Precedents: the certificate by which each peer authenticated last. Who comes back with another key, issuer or names
 * is told of; with a renewal, which differs in its dates alone, nobody is bothered.
 *
 * Only told: there is nothing to take away. Each stream is proven from zero (RFC 6120 s4.9.3.16), for no session of TLS
 * is resumed where a certificate counts, and neither the outcome of SASL nor that of dialback outlives its stream. The
 * streams that the peer still has stay: their certificate is as good as it was, and is watched until it ends (RFC 6120
 * s13.7.2.3 ends them by expiry and revocation, and by nothing else). Else whoever gets some authority to issue one for
 * a domain could end that domain's streams, and of a domain of several servers, each with its own certificate, each
 * would end the other's. An operator who fears that the old key is in wrong hands has it revoked, or distrusts it.
 *
 * Thread:  any. One lock for each kind of peer, taken once an authentication by a certificate.
 * Bounds:  PRECEDENTS_MAX peers of each kind, about 250 bytes each; beyond them the one that authenticated longest ago
 *          is forgotten, and comes as if for the first time.
 */
#include "router/certs/inspector.h"

#include "core/base/hash.h"

#define PRECEDENTS_MAX 16384u

struct stream;

enum precedent_kind { PRECEDENT_SERVER, PRECEDENT_CLIENT };
#define PRECEDENT_KINDS 2u

enum precedent_change { CHANGED_KEY = 1, CHANGED_ISSUER = 2, CHANGED_NAMES = 4 };

/* What was remembered of a peer. */
struct precedent {
    bool is_known;
    bool is_renewed; /* another certificate, and nothing has changed */
    uint8_t changed; /* enum precedent_change, together */
    enum standing standing;
    char certificate[CREDENTIAL_SHORT_SIZE];
    uint8_t chain[CREDENTIAL_SHA256];
    int64_t not_after;
};

struct precedents;

/* NULL: no memory. */
struct precedents *precedents_new(const struct hash_key *key, uint32_t count_max);
void precedents_free(struct precedents *precedents);
/* The peer (a prepared domain, or bare JID) has authenticated by a valid credential: what it is compared with is handed
 * out, and it takes its place. */
struct precedent precedents_exchange(struct precedents *precedents, enum precedent_kind kind, struct span peer,
                                     const struct credential *credential, enum standing standing);
/* What became of the last one, if that was this chain. */
void precedents_learn(struct precedents *precedents, enum precedent_kind kind, struct span peer,
                      const uint8_t chain[CREDENTIAL_SHA256], enum standing standing);
uint32_t precedents_count(struct precedents *precedents, enum precedent_kind kind);

/* The peer of a stream has authenticated by the certificate that its engine tells of: counted, and logged if it has
 * changed. Returns what has. */
uint8_t precedents_meet(struct stream *stream, enum precedent_kind kind, struct span peer);
/* Its chain is not good enough, and it is refused for that; or was let in, and ends. */
void precedents_refuse(const struct stream *stream, enum precedent_kind kind, struct span peer, enum standing standing);
void precedents_part(const struct stream *stream, enum standing standing);
/* "key,names"; empty: nothing. */
const char *precedents_text(uint8_t changed);

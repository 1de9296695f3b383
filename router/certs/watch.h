/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Watch: the streams of a shard that were authenticated by a certificate, for as long as they live (RFC 6120
 * s13.7.2.3). Streams with the same chain are one entry: one timer at the earliest notAfter of the chain, its anchor
 * included, and one watch of the inspector. A stream costs its entry eight bytes, and nothing while nothing is due.
 *
 *   expiry        <reset/>, never after notAfter; many of one entry within the second before it
 *   revoked, distrusted, or not good enough for certs.revocation
 *                 <reset/> to all of the entry within a second
 *   authentication
 *                 waits for what is found first, at most certs.wait
 *   clock set     the timers, which are monotonic, are counted anew from the wall clock
 *
 * Thread:  the shard's.
 */
#include "core/base/table.h"
#include "router/certs/inspector.h"

struct shard;
struct stream;

struct watch_list {
    struct table by_chain; /* struct watched by fingerprint */
    struct table by_tag;
    uint64_t last_tag;
};

void watch_init(struct watch_list *list, const struct hash_key *key);
/* All streams have left. */
void watch_fini(struct watch_list *list);

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_REFUSED,
    ADMISSION_WAITS, /* the stream is held; EV_INSPECTED comes, and then it is to be asked for again */
};
/* May a stream authenticate by the certificate that its engine tells of, by what its issuers say? It has entered from
 * then on, unless it is refused: then *standing is why. At once and without a question where none is asked. */
enum admission watch_admit(struct stream *stream, enum standing *standing) __attribute__((warn_unused_result));
/* Bound, by the certificate that its engine tells of. False: no memory; then it is not watched. */
bool watch_enter(struct stream *stream);
/* Of one that entered; before its certificate goes, or itself to another shard. */
void watch_leave(struct stream *stream);

/* Of a chain (by its fingerprint) that streams of this shard have now; otherwise: none has. */
enum standing watch_chain_standing(const struct shard *shard, const uint8_t chain[CREDENTIAL_SHA256],
                                   enum standing otherwise);
/* What was found about the chain of a stream that entered; answer: the last one when it is not good. */
enum standing watch_standing(const struct stream *stream, enum revocation_status *answer);

/* An inspector_finding_fn; context is the shard. */
void watch_found(void *context, const struct inspector_finding *finding);
/* The wall clock was set. */
void watch_clock(struct shard *shard);
/* The policy was exchanged: what is good enough may be another thing now. */
void watch_policy(struct shard *shard);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reset: what a reload means for streams that are there (RFC 6120 s4.3.2, s4.9.3.16): once negotiation is over no
 * features are sent, so where the features, the TLS policy, the certificate or the mechanism that a stream stands on
 * have gone, the stream ends with <reset/> and its peer begins anew; with <host-gone/> where its domain has. A renewed
 * certificate (issued by the same organisation, same names) ends nothing.
 *
 * Trust: a stream that was authenticated by a certificate ends when it does not hold by the authorities of now, whether
 * the file is another one or has another content, within a second; those of other authorities stay, and so do those
 * that were proven by dialback or DANE. Each chain was judged before, once (context_review()); here it is looked up.
 *
 * Sessions end spread over timeouts.reset, so that they do not all come back at once; streams in negotiation at once.
 *
 * Thread:  the shard's, when it has just exchanged its policy.
 */
#include <stdbool.h>

struct policy;
struct shard;
struct stream;

/* Judges every stream of the shard. The shard's policy is the new one already. */
void reset_streams(struct shard *shard, const struct policy *before);
/* A stream that came from another shard: were its features offered under another policy than this shard's? */
bool reset_is_stale(const struct stream *stream);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Newcomer: streams that want in, from their first byte to the bound resource, wait for their turn. A login costs as
 * much as hundreds of stanzas, and after a break of the network thousands come at once; so none of it is done where its
 * bytes arrive. All that established sessions have to say and to hear goes first, and is with the kernel before a step
 * begins. Then one step of a TLS handshake is taken, or CHEAP_STEPS of what is around it (headers, SASL, binding), and,
 * as long as nothing new comes for the shard, more, up to limits.handshakes_per_turn times as much. While much comes,
 * turns pass without a step, PUT_OFF_MAX in a row at the most. So a stanza waits for one handshake step (0.1 ms),
 * however many clients come at once. Where nobody has said anything for QUIET_MS, a turn takes all it may: fewer turns,
 * cheaper logins.
 *
 * First come, first served, but who has had a turn goes before those who begin: what was spent on it bears fruit, and
 * the logins of a storm are done one after the other and not all in the end. Who has not been served when its time is
 * over (timeouts.tls, timeouts.header) is dropped before anything was spent on it. From limits.logins_waiting on no
 * connection is accepted until half of them are served: the rest of a storm waits in the kernel's queue of the listener
 * and not in our memory.
 *
 * Thread:  the shard's.
 * Memory:  what one receive brought for each that waits (stream->held): it is not read meanwhile. Of who has not
 *          authenticated and was not called by us limits.stanza_size_unauthenticated and a record of TLS (18 KiB) at
 *          the most: with more its stream ends, by <policy-violation/>, or in the handshake without a word.
 */
#include "core/base/span.h"

#include <stdbool.h>

struct shard;
struct stream;

/* Still in its negotiation: what comes for it is held, and it is entered. */
bool newcomer_is(const struct stream *stream);
/* It has something to do; idempotent. */
void newcomer_enter(struct stream *stream);
/* The stream ends, or goes elsewhere; whether it is there or not. */
void newcomer_leave(struct stream *stream);
/* Is it entered? Then its peer's end, too, comes after what was said before. */
bool newcomer_is_entered(const struct stream *stream);
/* The turn's part. True: there is more to do. */
bool newcomer_run(struct shard *shard);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Crowd: what the peers behind one address prefix may do together, on all shards: connections at a time, TLS handshakes
 * and failed logins in a time. The kernel spreads the connections of one address over the shards, so the limits are
 * those of the process; shares of each shard would let through a number that depends on chance.
 *
 * A prefix that has failed to log in too often is not judged any more for a while: neither right nor wrong passwords,
 * of accounts that exist or not, so that nobody can tell them apart (RFC 6120 s6.5.10).
 *
 * Thread:  crowd_new and crowd_free on the main thread; the others on the stream's shard. Locks inside, held for less
 *          than a microsecond and never on the path of a session that is there.
 * Memory:  what rate.h says, twice; and one small entry for each prefix that has a connection, while
 *          limits.connections_per_address is set.
 */
#include <stdbool.h>

struct crowd;
struct hash_key;
struct stream;

struct crowd *crowd_new(const struct hash_key *key);
/* When no stream is left. */
void crowd_free(struct crowd *crowd);

/* The stream was accepted. False: its prefix has its share already (nothing was counted). */
bool crowd_enter(struct stream *stream);
/* The stream ends; counted or not. */
void crowd_leave(struct stream *stream);
/* A handshake is about to begin. False: not from there, not now. */
bool crowd_may_handshake(struct stream *stream);
/* May this stream's passwords be judged? */
bool crowd_may_login(struct stream *stream);
/* A password was wrong, or its account unknown. */
void crowd_login_failed(struct stream *stream);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Handshake: TLS handshakes that wait for their turn. One costs as much as hundreds of stanzas, so it is never done
 * where its bytes arrive: all that established sessions have to say and to hear goes first, and is with the kernel
 * before a step begins. Then one step is taken, and as long as nothing new has come for the shard the next, up to
 * limits.handshakes_per_turn. So a stanza waits for one step at the most (0.1 ms), however many clients come at once.
 *
 * First come, first served, but who has come half way goes before those who begin: what was spent on it bears fruit,
 * and the logins behind the handshakes come one after the other and not all in the end. Who has not been served when
 * its timeouts.tls is over is dropped before anything was spent on it. From limits.handshakes_waiting on no connection
 * is accepted until half of them are served: the rest of a storm waits in the kernel's queue of the listener and not in
 * our memory.
 *
 * Thread:  the shard's.
 * Memory:  the bytes of a hello for each that waits, in chunks of the pool.
 */
#include "core/base/span.h"

#include <stdbool.h>

struct shard;
struct stream;

/* Wire bytes for a stream in STREAM_TLS. */
void handshake_received(struct stream *stream, struct span wire);
/* The stream ends, or waits no more. */
void handshake_leave(struct stream *stream);
/* The turn's part. True: there is more to do. */
bool handshake_run(struct shard *shard);

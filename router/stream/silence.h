/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Silence: sessions from which nothing has come for a while (RFC 6120 s4.6).
 *
 *   dead connection   what is under way is not acknowledged for a minute (io/ring: TCP_USER_TIMEOUT), be it the question
 *                     below; where timeouts.keepalive is set the system asks as well
 *   broken stream     after timeouts.idle the client is asked (XEP-0199 s4.2: server-to-client ping); whatever it sends
 *                     is an answer, nothing within timeouts.answer ends the stream with <connection-timeout/> (s4.6.2)
 *   idle peer         who answers may stay for ever (s4.6.3 asks to be liberal)
 *
 * With timeouts.answer off a blank is sent instead (s4.6.1), which only finds dead connections.
 *
 * An idle session costs nothing for this but its place in the wheel: a stanza that comes writes the time, and the timer
 * looks at it when it fires, once in timeouts.idle.
 *
 * Thread:  the stream's shard.
 */
#include "router/stream/stream.h"

/* stream->received_ms of a session that was asked and has not sent anything since. */
#define SILENCE_ASKED 0u

/* The deadline of a bound stream has come: asks, waits on, or closes it. */
void silence_check(struct stream *stream);
/* Asked, and no answer came: closes the stream. Of one that is paused nothing is known: its silence begins anew. */
bool silence_ends(struct stream *stream);
/* A ping in the name of from. May throttle the stream by its own queue, which sets another deadline: so the deadline
 * for the answer is set before. */
void silence_ask(struct stream *stream, struct span from, struct span to);
/* White space between two stanzas; what waits for the connection already does as well. */
void silence_blank(struct stream *stream);

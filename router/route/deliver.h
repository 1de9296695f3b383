/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Deliver: what happens to a letter on the shard that owns its recipient (RFC 6121 s8.5), and the books: every stanza
 * that was accepted ends in exactly one counter (RELIABILITY s2.2):
 *
 *   accepted + born = delivered + routed + answered + refused + dropped by rule + lost, when no mail is under way
 *
 * and no stanza waits for another server. Delivered is what was written to a recipient's stream; where another server
 * acknowledges what it has heard (router/s2s/ack.h) it is routed then, and waits until then.
 * Lost is an answer, an error or presence that found a queue full or no way to its server: those are never answered.
 * born counts copies (a message for several resources) and stanzas the router makes itself for a recipient (errors that
 * travel back, presence on behalf of a session).
 *
 * Thread:  the recipient's owner shard.
 */
#include "router/route/mail.h"
#include "router/route/reply.h"

struct session;

/* The letter's bytes to the end of a chain; its own chain is empty afterwards if it was moved. */
void deliver_append(struct shard *shard, struct chain *out, struct letter *letter);
/* To a stream of this shard: counted as delivered, and its sender slowed down where the stream is not read. False, and
 * nothing was done, when its queue is full. */
bool deliver_to_stream(struct shard *shard, struct stream *stream, struct letter *letter);
/* Takes the letter's payload chain, if it has one. */
void deliver(struct shard *shard, struct letter *letter);
/* To the owner of letter->to, here or elsewhere. */
void deliver_anywhere(struct shard *shard, struct letter *letter);
/* A letter that cannot be delivered goes back as an error, except errors, iq results (RFC 6120 s8.3.1), and presence
 * for a user of ours. The letter counts as refused; or as dropped (nobody is there), or as lost. */
void deliver_bounce(struct shard *shard, const struct letter *letter, enum stanza_error error);
/* One copy made by the router itself, to a session of this shard; counted as born, and delivered or lost. */
void deliver_copy(struct shard *shard, struct session *session, struct span payload);

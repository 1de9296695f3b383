/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Presence: what a session's own presence does (RFC 6121 s4): among the user's resources, and to those it was directed
 * at. Subscriptions (rosters) do not exist yet, so nobody else is told.
 *
 * Thread:  the user's owner shard.
 */
#include "router/route/stanza.h"

struct letter;
struct session;
struct shard;
struct stream;

/* Presence without 'to' from a bound stream: initial, subsequent, unavailable (s4.2, s4.4, s4.5). Counted as answered.
 */
void presence_broadcast(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head);
/* Directed presence is about to be routed (s4.6): remembers the address, or forgets it. False: it cannot be remembered
 * (more than SESSION_DIRECTED_MAX, or no memory), so its end could not be told. */
bool presence_directed(struct session *session, const struct stanza_head *head);
bool presence_was_directed(struct session *session, const struct jid *jid);
/* Someone says that he has gone: he need not hear it of this session (s4.6.1). */
void presence_forget(struct session *session, struct span address);
/* Of one to whom presence was directed: mere presence, of this session alone (s4.6.6). Counted as answered. */
void presence_answer_probe(struct shard *shard, const struct session *session, const struct letter *probe);
/* The session has ended, however; it is out of its user's list already. */
void presence_gone(struct shard *shard, struct session *session);

/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Contact: finds a remote domain's servers and opens a stream to one of them: to speak for a pair, or to check a
 * dialback key with the domain's own servers.
 *
 * Addresses are tried in the resolver's order (RFC 6120 s3.2, XEP-0368), side by side until one is connected (race.h);
 * the first that completes negotiation wins, and one with which it fails is followed by the next. contact_begin() and
 * contact_begin_check() never call back before they return.
 *
 * Bounds:  s2s.dial_timeout for each address; s2s.timeout for all addresses of a check; 4096 contacts on a shard.
 * Thread:  the shard's.
 */
#include "router/route/reply.h"
#include "router/s2s/dialback.h"

struct io_conn;
struct resolver_answer;
struct pair;
struct stream;
struct target;
struct trial;

void contact_init(struct shard *shard);
/* Under way on the shard. */
unsigned contact_count(const struct shard *shard);

/* NULL when there are too many at once or in a minute (budget.h), or memory is refused. Ends in remote_ready() or
 * remote_failed(), unless it is cancelled. */
struct contact *contact_begin(struct pair *pair);
/* Ends in dialback_checked(). False as above: then the check is still the caller's. */
bool contact_begin_check(struct shard *shard, struct dialback_check *check);
/* Ends in trial->over(). False when memory is refused, or no server is looked for at all. */
bool contact_begin_trial(struct shard *shard, struct trial *trial);
/* Given up: the connection under way, if any, is closed. Frees it. */
void contact_cancel(struct contact *contact);

/* What is dialled, prepared; and the check it is for, or NULL. */
struct shard *contact_shard(const struct contact *contact);
struct span contact_ours(const struct contact *contact);
struct span contact_theirs(const struct contact *contact);
const struct dialback_check *contact_check(const struct contact *contact);
/* Where the stream under way leads. */
const struct target *contact_target(const struct contact *contact);
/* NULL: it is none. */
struct trial *contact_trial(const struct contact *contact);
/* The trial's stream was let in. */
void contact_passed(struct contact *contact);

/* What to answer if no other candidate lets us in: the one behind that stream said why. */
void contact_denied(struct s2s *s2s, enum stanza_error error);
/* The stream it opened: was let in; ends before that. */
struct pair *contact_won(struct contact *contact, struct stream *stream);
void contact_lost(struct contact *contact, struct stream *stream);
/* The other side has answered on the stream under way. */
bool contact_is_heard(const struct contact *contact);
/* ... and decides whether our dialback key is good. */
bool contact_awaits_dialback(const struct contact *contact);
/* Of a pair: the other side's own stream is preferred. Waits for it, until the pair's time is up; or takes it at once,
 * if it is a spare one, and then the contact is freed. */
void contact_yield(struct contact *contact);
/* An answer to <db:verify/> came on the stream of a check. */
void contact_verified(struct s2s *s2s, struct span id, enum dialback_result result);
/* The resolver's answer to one of the shard's contacts (a resolver_answer_fn; context is the shard). */
void contact_resolved(void *context, const struct resolver_answer *answer);
/* Called by the shard's io handler: io_dial() has come through, or not. The connection has no owner afterwards but a
 * stream. */
void contact_opened(struct shard *shard, struct io_conn *conn, int error);
/* The shard begins to drain: all that are under way fail in this turn. */
void contact_drain(struct shard *shard);
/* All that are under way on a shard that ends. */
void contact_fini(struct shard *shard);

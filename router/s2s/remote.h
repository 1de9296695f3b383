/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Remote: what the owner shard of a remote domain knows about it: for each of our domains that has something to say to
 * it (a pair) the stream in use, the stanzas that wait for one, and how long to rest after failures.
 *
 *   IDLE ──letter──> CONNECTING ──remote_ready()──> READY ──remote_stream_ended()──> IDLE | CONNECTING
 *                       └──remote_failed()──> RESTING ──time──> IDLE
 *
 * A stanza that waits is in COUNTER_S2S_WAITING, until it is on a stream, or returned (unsent.h) when the connection
 * fails. Waiting stanzas keep their order and go out before anything later; so do those that a stream which has ended
 * did not bring over as far as the other side has acknowledged them (ack.h). When it was we who ended it, its last <a/>
 * is waited for, but no longer than until the next stream is there. A pair of whose stanzas STUCK_MAX streams in a row
 * have brought over none gets them back.
 *
 * Bounds:  limits.queue_hard bytes wait for one pair, s2s.pairs_max pairs exist on a shard; beyond both the answer is
 *          <resource-constraint/>. Who connects has s2s.timeout; then the answer is <remote-server-timeout/>, and
 *          while a pair rests every stanza is answered at once with the error of its last failure (RFC 6120 s10.4).
 * Thread:  the remote domain's owner shard.
 */
#include "core/base/chain.h"
#include "core/base/wheel.h"
#include "router/route/reply.h"

struct contact;
struct letter;
struct s2s;
struct shard;
struct stream;

enum pair_state { PAIR_IDLE, PAIR_CONNECTING, PAIR_READY, PAIR_RESTING };

struct pair {
    struct remote *remote;
    struct pair *next; /* of the same remote domain */
    struct shard *shard;
    struct stream *stream;   /* READY: what is said goes out here */
    struct contact *contact; /* CONNECTING: contact.h */
    struct s2s *unsettled;   /* the stream before: its last acknowledgement is still to come */
    struct chain queue;      /* CONNECTING: whole stanzas, oldest first */
    uint32_t queued;         /* in it */
    uint64_t spare_ref;      /* CONNECTING: their bidi stream, taken if the contact comes to nothing; 0: none */
    uint64_t ready_ms;       /* READY: since when */
    struct timer timer;      /* CONNECTING: time is up; RESTING: rested; IDLE: forgotten */
    uint8_t state;
    uint8_t failures;        /* in a row; a stream that ends as soon as it is ready is one */
    uint8_t stuck;           /* streams in a row that had something to bring over, and nothing was acknowledged */
    bool was_brief;          /* the last stream */
    enum stanza_error error; /* RESTING: the answer meanwhile */
    uint16_t domain_size;
    char domain[]; /* ours */
};

struct remote {
    struct pair *first;
    uint16_t domain_size;
    char domain[]; /* theirs, prepared */
};

static inline struct span pair_local(const struct pair *pair)
{
    return span_of(pair->domain, pair->domain_size);
}

static inline struct span pair_remote(const struct pair *pair)
{
    return span_of(pair->remote->domain, pair->remote->domain_size);
}

void remote_init(struct shard *shard);
/* Throws away what waits: the whole shard ends. */
void remote_fini(struct shard *shard);

/* A letter for another domain: sent, queued, or answered with an error. */
void remote_deliver(struct shard *shard, struct letter *letter);

/* The pair of two prepared domains; made if it is not there. NULL when there are too many, or memory is refused. */
struct pair *remote_pair(struct shard *shard, struct span local, struct span domain);
struct pair *remote_pair_find(const struct shard *shard, struct span local, struct span domain);

/* Whoever rests after failures may be tried at once. */
void remote_end_rest(struct shard *shard, struct span domain);

/* The end of what contact_begin() began, one of both. ready also when the peer's own stream may carry our stanzas
 * (XEP-0288): a contact under way is then given up. */
void remote_ready(struct pair *pair, struct stream *stream);
void remote_failed(struct pair *pair, enum stanza_error error);
/* Their own stream is there already: READY on that. False: there is none, or it has ended meanwhile. */
bool remote_use_spare(struct pair *pair);
/* The stream in use gives way to another, named by remote_ready() next: what it has not brought over goes there. */
void remote_stream_replaced(struct pair *pair);
/* stream, which the pair sends on, is about to end: what it has not brought over goes to the next one. Before our end
 * tag is written. */
void remote_stream_ended(struct pair *pair);
/* The unsettled stream is over: what it has not brought over is known. */
void remote_settle(struct pair *pair);

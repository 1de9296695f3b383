/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Mail: the only thing that crosses shards, over one link per ordered pair.
 *
 * A letter is one routed stanza: prepared addresses, decoded id, and the payload, the stanza's bytes as a local
 * recipient must see them. On the way to another shard a payload up to MAIL_INLINE_MAX is copied into the link, a
 * larger one travels as its chain of chunks. Everything else that crosses is a notice.
 *
 * A full link never blocks and never drops: the letter waits in the sender's overflow queue for that link, its sender's
 * stream is not read until it has moved on, and the queue goes before anything posted later.
 *
 * Thread:  every call on the shard named.
 * Bounds:  overflow is bounded by the streams of the shard (one letter each and what a receive buffer held) and by the
 *          answers to letters that came in: while the link that brings answers is crowded, who writes in the other
 *          direction is not read. What nobody can be slowed down for comes on top, when sessions end: of each up to
 *          SESSION_DIRECTED_MAX unavailable presences (session.h), a few hundred bytes and the address each, and the
 *          errors for what it had not read (limits.queue_hard).
 */
#include "core/base/chain.h"
#include "router/route/stanza.h"

struct link;
struct overflow;
struct shard;
struct stream;
struct policy;

#define MAIL_INLINE_MAX 4096u

/* A stream on some shard; shard and io reference. Stale ones are a normal answer. */
struct stream_ref {
    uint64_t ref; /* io_ref(); 0: none */
    unsigned shard;
};

struct letter {
    enum stanza_kind kind;
    enum stanza_type type;
    bool is_remote; /* for another domain: its owner is the domain's, not the bare JID's */
    struct jid to;
    struct jid from; /* full, or the router's own address */
    struct span id;
    struct stream_ref sender; /* who is slowed down when the recipient does not read; none for the router's own */
    struct span payload_inline;
    struct chain *payload; /* if not NULL: the payload, in the shard's pool; deliver may take it */
};

enum notice {
    NOTICE_THROTTLE, /* to the sender's shard: this stream's recipient is slow: stop reading it once more */
    NOTICE_RELEASE,  /* ... the recipient caught up: one reason less */
    NOTICE_POLICY,   /* from control: exchange the policy for this one */
    NOTICE_DRAIN,    /* from control: close everything and stop */
    NOTICE_ASK,      /* from control: a question, answered in place */
    NOTICE_REMOVED,  /* from control: a struct withdrawal: the account is gone: close its sessions, end its logins */
    NOTICE_DISABLED, /* from control: the same, since it is disabled */
};

/* The argument of NOTICE_REMOVED and NOTICE_DISABLED, allocated; the shard frees it. */
struct withdrawal {
    uint32_t serial; /* session_close_user() */
    uint32_t bare_size;
    char bare[];
};

/* Sends a letter to another shard than this one. payload's chain is empty afterwards. False only when memory is
 * refused: then nothing was sent. */
bool mail_post_letter(struct shard *shard, unsigned to, struct letter *letter) __attribute__((warn_unused_result));
void mail_post_notice(struct shard *shard, unsigned to, enum notice notice, struct stream_ref stream);
/* From the control thread's own link; false when it is full. Publishes at once. */
bool mail_post_control(struct link *link, enum notice notice, void *argument);

/* The shard's turn: takes what came (bounded), retries what overflowed, publishes what was posted and wakes the shards
 * that have something new. drain and retry answer true when there is more to do at once. */
bool mail_drain(struct shard *shard);
bool mail_retry(struct shard *shard);
void mail_publish(struct shard *shard);
/* At the shard's end, when all others have stopped: throws away what was still under way to it. */
void mail_discard(struct shard *shard);
/* Letters that wait for room in a link. */
uint32_t mail_waiting(const struct shard *shard);
/* The overflow queues of a shard: part of its making and its end (what waits then is thrown away). */
struct overflow *mail_overflow_new(unsigned shard_count);
void mail_overflow_free(struct shard *shard);

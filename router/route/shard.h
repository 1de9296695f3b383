/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Shard: one reactor thread and everything it owns. A struct of pointers to the parts; each part's header tells its
 * rules. The shard composes them: its io handler and its turn are the only place that knows the order.
 *
 *   completions -> received -> streams -> route -> deliver | mail
 *   turn: mail in, store replies, timers, overflow, flush of every stream that has something to send, mail out
 *
 * Thread:  everything here belongs to the shard's own thread.
 */
#include "core/base/chain.h"
#include "core/base/counters.h"
#include "core/base/table.h"
#include "core/base/wheel.h"
#include "io/io.h"
#include "router/route/mail.h"
#include "router/route/router.h"
#include "router/certs/watch.h"
#include "router/s2s/budget.h"
#include "router/store/store.h"

struct overflow;
struct inspector_client;
struct resolver_client;
struct s2s;
struct slab;

/* Streams in negotiation, oldest first. */
struct waiting {
    struct stream *first;
    struct stream **end;
};

/* Of the accounts that were removed or disabled last: more than are told while a stream is between two shards. */
#define SHARD_WITHDRAWN_MAX 64u

struct withdrawn {
    uint64_t hash; /* of the bare JID */
    uint32_t serial;
};

struct shard {
    unsigned index;
    struct router *router;
    struct policy *policy;
    struct io *io;
    struct chunk_pool *pool; /* io's */
    struct counters *counters;
    struct wheel *wheel;
    struct xml_scratch *scratch;
    struct store_client *store;
    struct table users;                 /* struct user by bare JID: router/route/session.h */
    struct table remotes;               /* struct remote by their domain: router/s2s/remote.h */
    uint32_t pair_count;                /* in them */
    size_t ack_bytes;                   /* under way to other servers: router/s2s/ack.h */
    struct resolver_client *resolver;   /* NULL: no other server is looked for */
    struct inspector_client *inspector; /* NULL: nobody is asked about certificates */
    struct watch_list watches;
    struct s2s *servers; /* streams with other servers, newest first: router/s2s/s2s.h */
    uint64_t server_serial;
    struct slab *contacts;                     /* under way: router/s2s/contact.h */
    struct budget user_dials, domain_dials;    /* router/s2s/budget.h */
    struct chain work;                         /* the payload being routed; empty between two stanzas */
    struct waiting newcomers, newcomers_begun; /* router/stream/newcomer.h */
    uint32_t newcomer_count;                   /* in both */
    unsigned put_off;                          /* turns in a row without a step of theirs */
    uint64_t said, said_ms;                    /* stanzas and letters so far, and since when there are so many */
    struct verify *verify_first;               /* passwords to judge: router/stream/verify.h */
    struct verify **verify_end;
    struct stream *dirty;     /* streams with something to flush, each once */
    struct stream *runnable;  /* streams whose holds are gone, each once */
    struct stream *streams;   /* all, doubly linked */
    struct xml_limits limits; /* of the policy: readers point here */
    struct xml_limits limits_unauthenticated;
    struct overflow *overflow; /* per target shard */
    uint64_t *wake_mask;       /* targets that got something this turn */
    /* Of NOTICE_ASK, set by sluiced.c: a question comes in; one that took its time is answered. */
    void (*answer)(struct shard *shard, void *question);
    void (*answered)(struct shard *shard, void *question);
    struct withdrawn withdrawn[SHARD_WITHDRAWN_MAX]; /* a ring: session_was_closed() */
    uint32_t withdrawn_serial;                       /* the newest that this shard has heard of */
    struct stream *cursor;                           /* a walk over streams that takes several turns (drain, policy) */
    uint64_t drain_deadline_ms;                      /* 0: not draining */
    bool is_drained; /* no stream is left here; mail is still taken until no shard has any */
    bool is_stopping;
};

extern const struct io_handler shard_io_handler;

/* io is set by the caller right after io_new(); the shard must not be used before. */
bool shard_init(struct shard *shard, unsigned index, struct router *router, struct policy *policy,
                struct counters *counters, struct store_client *store, struct err *err);
void shard_start(struct shard *shard, struct io *io);
void shard_fini(struct shard *shard);

/* Closes every stream with <system-shutdown/>, then stops the io when all are gone or at the deadline. */
void shard_drain(struct shard *shard);
void shard_set_policy(struct shard *shard, struct policy *policy);

static inline uint64_t shard_now_ms(const struct shard *shard)
{
    return io_now_ms(shard->io);
}

static inline void shard_count(struct shard *shard, enum counter counter, uint64_t n)
{
    counter_add(shard->counters, counter, n);
}

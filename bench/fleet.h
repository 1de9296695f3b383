/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Fleet: the simulated clients of one thread, on one io. Partners of a pair are in the same fleet, so what one sends
 * and the other receives is compared without anything shared between threads.
 *
 * A fleet follows the load's phase and tells what happens in tallies; the main thread decides from their sums.
 *
 * Thread:  fleet_start, fleet_join, fleet_read, fleet_notify: the main one; the rest the fleet's own.
 *          Histograms and first_error are the fleet's until fleet_join().
 */
#include "bench/histogram.h"
#include "bench/load_options.h"
#include "bench/scram_client.h"
#include "bench/wallet.h"
#include "core/base/chain.h"
#include "core/base/counters.h"
#include "core/xml/reader.h"
#include "io/io.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

enum phase {
    PHASE_LOGIN, /* everybody logs in and waits */
    PHASE_RUN,   /* the load */
    PHASE_DRAIN, /* nothing new is sent; what is under way arrives */
    PHASE_LEAVE, /* everybody closes its stream in order */
};

enum tally {
    TALLY_BOUND,      /* sessions bound now */
    TALLY_OPEN,       /* clients that hold a connection now */
    TALLY_LOGINS,     /* logins done */
    TALLY_SENT,       /* messages or requests */
    TALLY_RECEIVED,   /* of these, arrived; duplicates do not count */
    TALLY_REFUSED,    /* answered with a stanza error */
    TALLY_DUPLICATED, /* arrived again */
    TALLY_REORDERED,  /* arrived before an earlier one, or behind a lost one */
    TALLY_CORRUPT,    /* other bytes than were sent, a wrong 'from', or nothing that anybody sent */
    TALLY_FAILED,     /* logins that did not come through */
    TALLY_BROKEN,     /* sessions or connections that ended unasked */
    TALLY_OVERRUN,    /* the server kept up so badly that sending was given up */
    TALLY_RESETS,     /* streams that the server ended with <reset/>, where that is waited for */
    TALLY_SEEN,       /* presence: sessions that the first of their account has seen, and that have heard of all */
    TALLY_ECHOED,     /* presence: changes that came back to who made them (RFC 6121 s4.4.2) */
    TALLY_PINGED,     /* the server asked whether a session is there, and was answered */
    TALLY_CUT,        /* storm: connections cut */
    TALLY_RETRIED,    /* storm: logins on the way back that broke and are tried again */
    TALLY_BEGUN,      /* flood: connections dialled */
    TALLY_SHAKEN,     /* flood: handshakes done */
    TALLY_DENIED,     /* flood: ended by the server at once */
    TALLY_EXPIRED,    /* flood: ended by the server later */
    TALLY_PHASE,      /* the last phase this fleet has turned to */
    TALLY_COUNT
};

#define FLEET_KEYS_MAX 1024u /* salts whose keys are kept */

struct client;
struct context;
struct load;

struct fleet {
    struct load *load;
    const struct load_options *options;
    unsigned index;
    pthread_t thread;
    sem_t is_open; /* io is there, or there is none and first_error says why */
    struct io *io;
    struct chunk_pool *pool;
    struct xml_scratch *scratch;
    struct client *clients;
    uint32_t client_count;
    struct client *idle, **idle_tail; /* wait for their turn to log in, in order */
    uint32_t logging_in;
    uint64_t login_due_ns; /* with a login rate: the next may begin */
    struct client *dirty;  /* have something to send */
    struct scram_keys *keys;
    uint64_t now_ns;    /* when the callback under way began */
    uint64_t run_ns;    /* when the load began */
    uint64_t due_count; /* rate: messages that were due so far */
    enum phase phase;
    bool is_measuring;
    struct histogram latency; /* of messages and requests, while measuring */
    struct histogram lag;     /* rate: from when a message was due until it was written */
    struct histogram login;   /* from dialling to a bound session, all of them */
    struct histogram
        back; /* storm: from the cut to a bound session; flood: from dialling to the end, not those at once */
    uint64_t cut_ns, back_ns; /* storm: when all were cut, when the last was back */
    char *hello;              /* flood: the one that all send */
    size_t hello_size;
    uint64_t first_reset_ns, last_reset_ns;
    FILE *record; /* NULL: none is kept */
    struct counters counters;
    char first_error[256];
    _Alignas(64) _Atomic uint64_t tallies[TALLY_COUNT];
};

/* What all fleets share; phase and is_measuring are the main thread's to write. */
struct load {
    struct load_options options;
    struct io_group *group;
    struct context *tls; /* NULL: plain */
    struct wallet wallet;
    uint32_t *seats; /* the account of each session; NULL: they go round */
    char *padding;   /* of every body, behind what differs */
    struct fleet *fleets;
    _Atomic unsigned phase;
    _Atomic bool is_measuring;
};

/* Makes the clients: those of pairs index, index + threads, ... */
bool fleet_start(struct fleet *fleet, struct load *load, unsigned index, struct err *err);
void fleet_notify(struct fleet *fleet);
/* Ends and frees all but the results. */
void fleet_join(struct fleet *fleet);

static inline uint64_t fleet_read(const struct fleet *fleet, enum tally tally)
{
    return atomic_load_explicit(&fleet->tallies[tally], memory_order_acquire);
}

static inline void fleet_set(struct fleet *fleet, enum tally tally, uint64_t value)
{
    atomic_store_explicit(&fleet->tallies[tally], value, memory_order_release);
}

static inline void fleet_add(struct fleet *fleet, enum tally tally, uint64_t n)
{
    fleet_set(fleet, tally, atomic_load_explicit(&fleet->tallies[tally], memory_order_relaxed) + n);
}

/* Keeps the first error of a fleet for the report. */
void fleet_note(struct fleet *fleet, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A client is done with logging in, well or not. */
void fleet_login_over(struct fleet *fleet);
/* A client without connection that wants to log in (again). */
void fleet_enqueue(struct fleet *fleet, struct client *client);

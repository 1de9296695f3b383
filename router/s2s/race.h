/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Race: connections to the addresses of one domain's servers, begun one after another until one has come through
 * (RFC 8305 s5): the next every s2s.attempt_delay, or RACE_GAP_MS after the one before when that has failed sooner.
 *
 * Only addresses of the same SRV priority run against each other. RFC 2782 wants the target of the lowest number that
 * can be reached, and a backup that stands nearer would win a race against it: those of the next number have their turn
 * when all before them have failed, or s2s.dial_timeout is over for them.
 *
 * The first that comes through ends the race. The others are closed, but stay in the list: they have not failed, and
 * have their turn again if nothing can be negotiated with the winner.
 *
 * Thread:  the shard's.
 * Owns:    the connections until they come through; a lane is conn->owner of its connection until then.
 * Bounds:  RACE_LANES_MAX addresses, RACE_DIALS_MAX connections begun in all, s2s.dial_timeout for each.
 */
#include "router/s2s/address.h"

struct contact;
struct io_conn;
struct race;
struct shard;
struct target;
struct trial;

#define RACE_LANES_MAX 12u
#define RACE_DIALS_MAX (2 * RACE_LANES_MAX)
/* RFC 8305 s5: "a subsequent connection MUST NOT be started within 10 milliseconds of the previous attempt". */
#define RACE_GAP_MS 10u

struct lane {
    struct race *race;
    struct io_conn *conn; /* being made */
    uint64_t due_ms;      /* when it, or what is negotiated on it, takes too long */
    union address address;
    const struct target *target; /* whose address it is */
    uint16_t priority;
    bool is_direct_tls;
    bool is_spent; /* it has failed, or come through */
};

struct race {
    struct shard *shard;
    struct contact *contact;
    struct trial *trial; /* is told what happens; or NULL */
    uint64_t last_ms;    /* when the last one was begun */
    uint64_t next_ms;    /* not before that the next one is */
    unsigned dial_count;
    unsigned count;
    struct lane lanes[RACE_LANES_MAX]; /* in the order of attempts */
};

void race_init(struct race *race, struct shard *shard, struct contact *contact);
/* The next in the order; priorities never fall. False: there are enough. */
bool race_add(struct race *race, const struct target *target, const union address *address, uint16_t priority,
              bool is_direct_tls);
/* Gives up what took too long and begins what is to be begun. False: nothing is under way, and nobody is left. */
bool race_step(struct race *race);
/* When to take the next step; after one that was true. */
uint64_t race_next_ms(const struct race *race);
/* io_dial() of this lane's connection has come through: the race is over until the next step. */
void race_won(struct lane *lane);
/* ... or has failed. */
void race_failed(struct lane *lane);
/* Closes all that are under way. */
void race_stop(struct race *race);

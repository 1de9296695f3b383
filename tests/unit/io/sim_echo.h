/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sim echo: a small router over io.h for the tests of the simulation: every shard sends back what it receives, keeps
 * at most ECHO_BACKLOG bytes waiting, and may move a connection to the next shard every few bytes.
 */
#include "io/io.h"
#include "io/sim/world.h"

#define ECHO_TAG     7u
#define ECHO_SHARDS  8u
#define ECHO_BACKLOG 20000u

struct echo;

struct echo_shard {
    struct echo *echo;
    struct io *io;
    struct counters counters;
    struct echo_session *sessions; /* of this shard */
    unsigned turns;
    uint64_t deadline; /* what turn answers */
    bool is_calling;   /* a callback is on the stack */
};

struct echo_session {
    struct echo_shard *shard;
    struct echo_session *next;
    struct io_conn *conn;
    struct chain out;
    size_t until_move;
    bool is_moving;
    bool is_ended;
    bool is_paused;
    bool is_shut;
    bool is_closing;
};

struct echo {
    struct world *world;
    struct io_group *group;
    unsigned shard_count;
    struct echo_shard shards[ECHO_SHARDS];
    uint16_t port;
    size_t move_every; /* bytes; 0: never */
    bool answers_fin;  /* FIN for FIN, then waits for the peer's reset or the test; else closes */
    bool sends_while_moving;
    unsigned opened, closed, closed_with_error, moves, moves_failed;
    int last_error;
};

void echo_init(struct echo *echo, uint64_t seed, const struct world_chaos *chaos, unsigned shard_count,
               const struct io_config *config);
/* Closes what is open, settles, frees shards and world; every session must be gone by then. */
void echo_fini(struct echo *echo);
/* Steps until idle; fails the test when it never is. */
void echo_settle(struct echo *echo);

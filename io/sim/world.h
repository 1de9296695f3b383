/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * World: the other side of the simulated io: peers, wires, the clock and the dice of one test, all in one thread.
 *
 * A world holds a group's shards (each made by io_new() as in the real program, but never given io_run()) and peers
 * that a test plays. world_step() delivers one seeded batch of events: completions in a random order within what the
 * real io allows, bytes in random pieces, partial writes, delayed closes, descriptors in flight between shards. Same
 * seed, same run.
 *
 * Thread:  the test's; everything runs inside world_step() and the calls here.
 */
#include "io/io.h"

struct world;
struct peer;

struct world_chaos {
    bool cut_receives;     /* bytes arrive in random pieces, down to single ones */
    bool cut_sends;        /* sends complete in parts */
    bool delay;            /* completions wait a random while; order across connections is shuffled */
    bool buffers_run_out;  /* receives stop and start again */
};

struct world *world_new(uint64_t seed, const struct world_chaos *chaos);
void world_free(struct world *world);
/* The group to hand to io_new(); io_group_new() is not used in a simulation. */
struct io_group *world_group(struct world *world, unsigned shard_count);
/* Delivers a batch; false when nothing is left to do now (only timers are pending). */
bool world_step(struct world *world);
/* Steps until idle, or max_steps; false then. */
bool world_settle(struct world *world, unsigned max_steps);
/* Moves both clocks; timers fire in the next step. */
void world_advance(struct world *world, uint64_t ms);
uint64_t world_now_ms(const struct world *world);

/* A peer connects to the listener of that tag on that shard. */
struct peer *peer_connect(struct world *world, unsigned shard, unsigned tag);
void peer_send(struct peer *peer, struct span bytes);
/* All the peer has received and not yet taken. */
struct span peer_received(const struct peer *peer);
void peer_take(struct peer *peer, size_t size);
/* A peer that stops reading fills its window. */
void peer_set_window(struct peer *peer, size_t bytes);
void peer_end(struct peer *peer);   /* FIN */
void peer_reset(struct peer *peer); /* RST */
bool peer_is_ended(const struct peer *peer);  /* the router sent FIN */
bool peer_is_closed(const struct peer *peer); /* the connection is gone */
void peer_free(struct peer *peer);
